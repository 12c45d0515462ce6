"""All benchmarks in turn: `python -m tests.bench [--only NAME ...] [--quick]`. JSON lines on standard output, progress on the other."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from devstack.load.process import LoadError
from shared.errors import ParleyError
from tests.bench import at_rest, backlog, end_to_end, ingest
from tests.bench.reporting import machine, progress

Run = Callable[[], Coroutine[Any, Any, None]]

FULL: Mapping[str, Run] = MappingProxyType(
    {
        backlog.NAME: lambda: backlog.run(100_000, 5_000),
        ingest.NAME: ingest.run,
        end_to_end.NAME: end_to_end.run,
        at_rest.NAME: at_rest.run,
    }
)
QUICK: Mapping[str, Run] = MappingProxyType(
    {
        backlog.NAME: lambda: backlog.run(4_000, 200),
        ingest.NAME: lambda: ingest.run(closed_seconds=2.0, open_seconds=3.0),
        end_to_end.NAME: lambda: end_to_end.run(rate=20, seconds=5.0, trial_seconds=3.0, rates=(30,)),
        at_rest.NAME: lambda: at_rest.run(seconds=3.0, messages=400),
    }
)
"""Each as short as it can be and still walk every step: for seeing that it runs, not for its figures."""


def main() -> int:
    """Run what is asked for; return 1 where a benchmark failed. The others run all the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(FULL), default=tuple(FULL), help="run only these")
    parser.add_argument("--quick", action="store_true", help="shorten each: for seeing that it runs, not for its figures")
    parsed = parser.parse_args()
    runs = QUICK if parsed.quick else FULL
    sys.stdout.write(json.dumps({"machine": machine(), "quick": parsed.quick}) + "\n")
    failed = [name for name in FULL if name in parsed.only and not _run(name, runs[name])]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def _run(name: str, run: Run) -> bool:
    """Run one benchmark; return whether it came to its end."""
    progress(f"{name} begins")
    started = time.monotonic()
    try:
        asyncio.run(run())
    except (ParleyError, LoadError, RuntimeError, OSError, TimeoutError) as error:
        progress(f"{name} failed: {type(error).__name__}: {error}")
        return False
    progress(f"{name} took {time.monotonic() - started:.0f} s")
    return True


if __name__ == "__main__":
    raise SystemExit(main())
