"""`make chaos`: faults over real processes under load, each judged by what is promised: `python -m tests.chaos --fault F7`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import shutil
import signal
import sys
from pathlib import Path

from tests.chaos.catalogue import FAULTS
from tests.chaos.report import Screen, write_page
from tests.chaos.running import run_all, run_mixed
from tests.chaos.trial import Verdict

DIRECTORY = Path("var/chaos")
SEED_MAX = 1_000_000
EXIT_BROKEN = 1
EXIT_INTERRUPTED = 130


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Runs faults over the real parts under load and judges each by its promise. Without arguments: all of them.",
        epilog="examples: python -m tests.chaos --fault F7   python -m tests.chaos --minutes 5 --seed 42 --no-write",
    )
    parser.add_argument("--fault", action="append", choices=tuple(FAULTS), default=[], help="only this one; may be repeated")
    parser.add_argument("--minutes", type=float, help="a mixed run of so many minutes: seeded faults one after another, then reconciled")
    parser.add_argument("--seed", type=int, help="of the mixed run (default: a fresh one, which is told)")
    parser.add_argument("--short", action="store_true", help="the short forms, as CI runs them")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reliability.md as it is")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where brokers, stores and logs go (default: %(default)s)")
    return parser.parse_args(arguments)


def main() -> int:
    """Run; return 0 when every promise was kept."""
    options = parse()
    if options.directory == DIRECTORY:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    try:
        return asyncio.run(_interruptible(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stdout.write("Stopped; nothing is left running.\n")
        return EXIT_INTERRUPTED


async def _interruptible(options: argparse.Namespace) -> int:
    """Run; Ctrl-C and SIGTERM end it in good order, once: what is under way is taken down within its bounds."""
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: task.cancel() if task is not None and not task.cancelling() else None)
    return await (_mixed(options) if options.minutes else _matrix(options))


async def _matrix(options: argparse.Namespace) -> int:
    """Run the chosen faults, or all."""
    screen = Screen()
    chosen = [FAULTS[name] for name in dict.fromkeys(options.fault)] or list(FAULTS.values())
    verdicts: list[Verdict] = []
    with screen:
        async for verdict in run_all(chosen, options.directory, short=options.short, say=screen.step):
            verdicts.append(verdict)
            screen.verdict(verdict)
            if not options.no_write and not options.short:
                write_page([verdict])
    screen.table(verdicts)
    return 0 if all(verdict.passed for verdict in verdicts) else EXIT_BROKEN


async def _mixed(options: argparse.Namespace) -> int:
    """Run the mix."""
    screen = Screen()
    seed = options.seed if options.seed is not None else random.randrange(SEED_MAX)
    screen.step(f"Mixed run of {options.minutes:g} minutes, seed {seed}")
    with screen:
        mix = await run_mixed(options.directory, seconds=options.minutes * 60, seed=seed, say=screen.step)
    screen.mix(mix)
    return 0 if mix.passed else EXIT_BROKEN


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our own clients meet the faults too; what it means is judged
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a text stream, always
    os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)  # faults come over brokers of our own only
    raise SystemExit(main())
