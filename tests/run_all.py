"""Runs everything that CI runs, in order, and says in the end what passed: `python -m tests.run_all [--fast]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Check:
    """One command and what it is for."""

    title: str
    command: tuple[str, ...]


CHECKS = (
    Check("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Check("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    Check("types", (str(BIN / "mypy"),)),
    Check("import contracts", (str(BIN / "lint-imports"), "--no-cache")),
    Check("tests", (str(BIN / "python"), "-m", "pytest", "--cov", "--cov-report=term:skip-covered")),
    Check("full branch coverage of the rules", (str(BIN / "python"), "-m", "tests.tidy.core_coverage")),
)


def main() -> int:
    """Run the checks; stop at the first that fails and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.run_all --only tests")
    parser.add_argument("--only", choices=[check.title for check in CHECKS], help="run just this one")
    only = parser.parse_args().only
    for check in CHECKS:
        if only is not None and check.title != only:
            continue
        started = time.monotonic()
        sys.stdout.write(f"── {check.title}\n")
        sys.stdout.flush()
        code = subprocess.run(check.command, cwd=ROOT, check=False).returncode  # noqa: S603 # our own commands
        if code != 0:
            sys.stdout.write(f"✗ {check.title} failed (exit {code}): {' '.join(check.command)}\n")
            return code
        sys.stdout.write(f"✓ {check.title} ({time.monotonic() - started:.0f} s)\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
