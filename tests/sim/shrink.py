"""Makes a failing run smaller: the same seed with fewer faults, as long as the same promise breaks."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.sim.world import Result, World


def shrunk(result: Result, *, seconds: float) -> Result:
    """Return the smallest run found within `seconds` that breaks the promise that `result` broke.

    Faults are left out in halves, then quarters, down to one by one (delta debugging); a run ends where it fails, so its steps are the
    shortest prefix. Of two runs the one with fewer faults is smaller, then the one with fewer steps.
    """
    deadline = time.monotonic() + seconds
    best = result
    parts = 2
    while len(best.hits) > 0 and time.monotonic() < deadline:
        numbers = [hit.number for hit in best.hits]
        size = max(1, len(numbers) // parts)
        for begin in range(0, len(numbers), size):
            left_out = best.run.muted | frozenset(numbers[begin : begin + size])
            smaller = World(replace(best.run, muted=left_out)).run()
            if _same(smaller, result) and len(smaller.hits) < len(best.hits):
                best = smaller
                parts = max(2, parts - 1)
                break
            if time.monotonic() >= deadline:
                return best
        else:
            if size == 1:
                return best
            parts = min(parts * 2, len(numbers))
    return best


def _same(one: Result, other: Result) -> bool:
    """Return whether both broke the same promise."""
    return one.violation is not None and other.violation is not None and one.violation.promise == other.violation.promise
