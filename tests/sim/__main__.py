"""`python -m tests.sim`: simulate days of a contact centre under faults, seed after seed, and stop at the first broken promise."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import zlib
from collections.abc import Sequence

from rich.console import Console

from tests.sim.dice import stream
from tests.sim.shrink import shrunk
from tests.sim.story import report
from tests.sim.world import Result, Run, World

SECONDS_DEFAULT = 60.0
HOURS_DEFAULT = 24.0
SHRINK_SECONDS = 60.0
EXAMPLES = """examples:
  python -m tests.sim                       fresh seeds for a minute
  python -m tests.sim --minutes 3           fresh seeds for three minutes
  python -m tests.sim --seed 4711           one seed, one simulated day
  python -m tests.sim --seed 4711 --steps 9000 --hours 48
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 0 where every promise was kept and 1 where one was not."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    began, busy = time.monotonic(), time.process_time()
    simulated = 0.0
    seeds = [options.seed] if options.seed is not None else _fresh(options.draw)
    deadline = None if options.seed is not None else began + 60 * options.minutes
    for runs, seed in enumerate(seeds, start=1):
        result = World(Run(seed, hours=options.hours, steps_max=options.steps)).run()
        simulated += result.seconds
        _progress(console, result, runs=runs, days=simulated / 86_400, cpu_seconds=time.process_time() - busy)
        if result.violation is not None:
            console.print(f"\nseed {seed} breaks a promise; making it smaller …")
            console.print("\n".join(report(shrunk(result, seconds=SHRINK_SECONDS))), markup=False)
            return 1
        if deadline is not None and time.monotonic() >= deadline:
            break
    return 0


def _fresh(text: str | None) -> list[int]:
    """Return seeds that nobody has seen, more than any run takes; from `text` where there is one."""
    chance = stream(secrets.randbits(64) if text is None else zlib.crc32(text.encode()), "seeds")
    return [chance.randrange(10**9) for _ in range(100_000)]


def _progress(console: Console, result: Result, *, runs: int, days: float, cpu_seconds: float) -> None:
    """Say how it goes: one line that renews itself on a terminal, one line per seed in a file."""
    line = (
        f"seed {result.run.seed}: {result.steps} steps, {len(result.hits)} faults, {result.records} records, {result.requests} requests"
        f" · {runs} runs, {days:.1f} simulated days, {days / max(cpu_seconds, 0.001) * 60:.0f} days per minute of one core"
    )
    if console.is_terminal:
        console.print(line, end="\r", soft_wrap=True)
        sys.stdout.flush()
    else:
        console.print(line, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="run this seed alone (default: fresh ones)")
    parser.add_argument("--draw", help="draw the fresh seeds from this text (a commit, a date): the same text, the same seeds")
    parser.add_argument("--steps", type=int, help="end each run after so many steps, without the checks of its end")
    parser.add_argument("--hours", type=float, default=HOURS_DEFAULT, help=f"simulated hours per seed (default {HOURS_DEFAULT:g})")
    parser.add_argument(
        "--minutes", type=float, default=SECONDS_DEFAULT / 60, help=f"how long to take fresh seeds (default {SECONDS_DEFAULT / 60:g})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
