"""The simulation finds deliberate mistakes: each is put into the product, and a run must break a promise by it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.mutations import MUTATIONS
from tests.sim.shrink import shrunk
from tests.sim.story import report
from tests.sim.world import Result, Run, World

HOURS = 24.0
SEEDS = range(1, 25)
"""Most mistakes fall to the first seed; the others are there for the day on which the product behaves otherwise."""
STORMS: dict[str, dict[str, Any]] = {
    "dirty timers not flushed after assignment": {"factors": {"crash": 5}, "favourites": {"saved": ("crash", 0.1)}},
    "timer not armed again when the clock is set back": {"factors": {"clock": 100, "freeze": 10}},
    "dead letter not in the outbox": {"factors": {"poison": 20, "batch refused": 25, "batch unanswered": 0}},
    "request on a stale claim": {"factors": {"freeze": 0, "crash": 0}, "favourites": {"saved": ("freeze", 0.2)}},
    "generation ignored": {"factors": {"scale": 200, "deploy": 100, "crash": 3, "freeze": 10}},
}
"""Mistakes that need more of one kind of weather than most seeds have: a death between a timer's save and its acknowledgement in a
thread that is silent afterwards; partitions that change hands all the time."""


def first_failure(name: str) -> Result | None:
    """Return the first run that breaks a promise under a mistake, or None; the mistake is in the product."""
    for seed in SEEDS:
        result = World(Run(seed, hours=HOURS, **STORMS.get(name, {}))).run()
        if result.violation is not None:
            return result
    return None


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_deliberate_mistake_is_found(name: str) -> None:
    """A mistake that every seed lets pass would show that the simulation sees nothing of it."""
    with MUTATIONS[name]():
        assert first_failure(name) is not None, f"no seed found the mistake: {name}"


def test_a_failure_is_made_smaller_and_told() -> None:
    """Fewer faults break the same promise; the report names the promise, the seed, the faults and the thread's story."""
    with MUTATIONS["seq check off by one"]():
        result = first_failure("seq check off by one")
        assert result is not None
        smaller = shrunk(result, seconds=20)
    assert result.violation is not None
    assert smaller.violation is not None
    assert smaller.violation.promise == result.violation.promise
    assert len(smaller.hits) < max(1, len(result.hits)) or not result.hits
    text = "\n".join(report(smaller))
    assert f"promise broken: {result.violation.promise}" in text
    assert f"make sim SEED={result.run.seed}" in text
    assert "the story of" in text
    assert len(smaller.story) > 1
