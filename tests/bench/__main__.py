"""All benchmarks in turn: `python -m tests.bench [--only NAME ...] [--quick] [--write]`.

JSON lines go to standard output, progress to the other. `--write` keeps the lines under var/bench and writes docs/performance.md from
them, where benchmarks that did not run this time keep what they found before; `--only --write` runs none and renders anew.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import redirect_stdout
from types import MappingProxyType
from typing import Any, TextIO

from shared.clock import SystemClock
from tests.bench import at_rest, backlog, end_to_end, growth, ingest, recovery, timers
from tests.bench.page import write
from tests.bench.reporting import began, ended, machine, progress

Run = Callable[[], Coroutine[Any, Any, None]]

FULL: Mapping[str, Run] = MappingProxyType(
    {
        backlog.NAME: lambda: backlog.run(100_000, 5_000),
        growth.NAME: growth.run,
        timers.NAME: timers.run,
        recovery.NAME: recovery.run,
        ingest.NAME: ingest.run,
        end_to_end.NAME: end_to_end.run,
        at_rest.NAME: at_rest.run,
    }
)
QUICK: Mapping[str, Run] = MappingProxyType(
    {
        backlog.NAME: lambda: backlog.run(4_000, 200, rounds=1),
        growth.NAME: lambda: growth.run(growth.Sizes(2_000, 200, (500, 5_000), (1,), (1, 2), 500, rounds=1)),
        timers.NAME: lambda: timers.run(armed=5_000, seconds=4.0, ending_per_second=50, messages_per_second=100, start_seconds=6.0),
        recovery.NAME: lambda: recovery.run(rate=100, session_seconds=6.0, steady_seconds=1.0),
        ingest.NAME: lambda: ingest.run(closed_seconds=2.0, open_seconds=3.0),
        end_to_end.NAME: lambda: end_to_end.run(rate=20, seconds=5.0, trial_seconds=3.0, rates=(30,)),
        at_rest.NAME: lambda: at_rest.run(seconds=3.0, messages=400),
    }
)
"""Each as short as it can be and still walk every step: for seeing that it runs, not for its figures."""


def main() -> int:
    """Run what is asked for; return 1 where a benchmark failed. The others run all the same."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=tuple(FULL), default=tuple(FULL), help="run only these (or none)")
    parser.add_argument("--quick", action="store_true", help="shorten each: for seeing that it runs, not for its figures")
    parser.add_argument("--write", action="store_true", help="keep the lines and write docs/performance.md")
    parsed = parser.parse_args()
    runs = QUICK if parsed.quick else FULL
    both = _Both(sys.stdout)
    with redirect_stdout(both):
        failed = [name for name in FULL if name in parsed.only and not _run(name, runs[name], quick=parsed.quick)]
    if parsed.write:
        write([json.loads(line) for line in both.kept.getvalue().splitlines()])
        progress("docs/performance.md is written")
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


class _Both(io.TextIOBase):
    """Standard output that is also kept."""

    def __init__(self, shown: TextIO) -> None:
        self._shown = shown
        self.kept = io.StringIO()

    def write(self, text: str) -> int:
        """Write to both."""
        self.kept.write(text)
        return self._shown.write(text)

    def flush(self) -> None:
        """Flush what is shown."""
        self._shown.flush()


def _run(name: str, run: Run, *, quick: bool) -> bool:
    """Run one benchmark, its circumstances before it and its end behind it; return whether it came to its end."""
    progress(f"{name} begins")
    began(name, {"date": SystemClock().now().date().isoformat(), **machine(), "quick": quick})
    started = time.monotonic()
    failure: str | None = None
    try:
        asyncio.run(run())
    except Exception as error:  # noqa: BLE001 # reported here and on the page; the other benchmarks run all the same
        failure = f"{type(error).__name__}: {error}"
        progress(f"{name} failed: {failure}")
    took = time.monotonic() - started
    ended(name, took, failure)
    progress(f"{name} took {took:.0f} s")
    return failure is None


if __name__ == "__main__":
    raise SystemExit(main())
