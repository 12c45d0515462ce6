"""Runs everything that CI runs, stage after stage, and says in the end what passed: `python -m tests.run_all [--only TITLE]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TEST_PROCESSES_MAX = 4
"""Each has a broker of its own (half a gigabyte)."""
RULES_TESTS = ("tests/services", "tests/flow", "tests/shared/engine/test_step.py", "tests/shared/engine/test_batch.py")
"""What covers the rules: these run under coverage, which doubles their cost, and the others without."""
BAD_INPUT_TESTS = ("tests/fuzz",)
"""These need a processor for long and no quiet machine (they judge by processor time), so they take the core that the simulation leaves."""
SIMULATION_MINUTES = 3
CHAOS_MINUTES = 5
CHAOS_SEED = 293_869
"""Some twenty-five faults, all kinds of the mix among them: what fails in one run is there in the next."""


@dataclass(frozen=True, slots=True)
class Check:
    """One command and what it is for."""

    title: str
    command: tuple[str, ...]


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def _commit() -> str:
    """Return the commit that is tested: the simulation's seeds follow from it, so each commit has its own and can be run again."""
    command = ("git", "rev-parse", "HEAD")
    found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 # our own command
    return found.stdout.strip() or "no commit"


Lane = tuple[Check, ...]
"""Checks that follow one another."""


def stages() -> tuple[tuple[Lane, ...], ...]:
    """Return the checks: the lanes of one stage run side by side, the cheap checks come first.

    What stands beside something else minds neither noise nor a shared core; tests of the real broker and chaos do, and run alone.
    """
    processes = str(max(1, min(TEST_PROCESSES_MAX, os.cpu_count() or 1)))
    pytest = ("pytest", "-n", processes, "--dist", "loadfile", "--durations=10")
    rules = _module(*pytest, "--cov", "--cov-report=", *RULES_TESTS)
    others = _module(*pytest, *(f"--ignore={path}" for path in (*RULES_TESTS, *BAD_INPUT_TESTS)))
    return (
        ((Check("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),),),
        ((Check("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),),),
        (
            (
                Check("types", (str(BIN / "mypy"),)),
                Check("import contracts", (str(BIN / "lint-imports"), "--no-cache")),
                Check("tests of the rules", rules),
                Check("full branch coverage of the rules", _module("tests.tidy.core_coverage")),
                Check("tests of bad input", _module("pytest", "--durations=10", *BAD_INPUT_TESTS)),
            ),
            (Check("simulation", _module("tests.sim", "--minutes", str(SIMULATION_MINUTES), "--draw", _commit())),),
        ),
        ((Check("tests", others),),),
        ((Check("chaos", _module("tests.chaos", "--minutes", str(CHAOS_MINUTES), "--seed", str(CHAOS_SEED), "--no-write")),),),
    )


async def run(check: Check, *, alone: bool) -> int:
    """Run one check and return its exit code. Beside others its lines carry its title."""
    started = time.monotonic()
    _say(f"── {check.title}")
    process = await asyncio.create_subprocess_exec(
        *check.command,
        cwd=ROOT,
        stdout=None if alone else asyncio.subprocess.PIPE,
        stderr=None if alone else asyncio.subprocess.STDOUT,
    )
    if process.stdout is not None:
        async for line in process.stdout:
            _say(f"{check.title} │ {line.decode(errors='replace').rstrip()}")
    code = await process.wait()
    if code == 0:
        _say(f"✓ {check.title} ({time.monotonic() - started:.0f} s)")
    else:
        _say(f"✗ {check.title} failed (exit {code}): {' '.join(check.command)}")
    return code


async def run_lane(lane: Lane, *, alone: bool) -> int:
    """Run the checks of a lane up to the first that fails; return its exit code."""
    for check in lane:
        if code := await run(check, alone=alone):
            return code
    return 0


async def run_stages(only: str | None) -> int:
    """Run the stages; stop after the first in which a check failed and return its exit code."""
    for stage in stages():
        lanes = [chosen for lane in stage if (chosen := tuple(check for check in lane if only in {None, check.title}))]
        codes = await asyncio.gather(*(run_lane(lane, alone=len(lanes) == 1) for lane in lanes))
        if failed := next((code for code in codes if code), 0):
            return failed
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the checks."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.run_all --only tests")
    parser.add_argument("--only", choices=[check.title for stage in stages() for lane in stage for check in lane], help="run just this one")
    return asyncio.run(run_stages(parser.parse_args().only))


if __name__ == "__main__":
    raise SystemExit(main())
