"""The contact centre keeps its promises in simulated storms: on every kept seed, and on fresh ones for as long as there is time."""

from __future__ import annotations

import os
import secrets
import time

import pytest

from tests.sim.seeds import Kept, kept_seeds
from tests.sim.story import report
from tests.sim.world import Result, Run, World

SECONDS_VARIABLE = "PARLEY_SIM_SECONDS"
SECONDS_DEFAULT = 5.0
FRESH_HOURS = 12.0


def check(result: Result) -> None:
    """Fail with the whole story where a promise was broken."""
    assert result.violation is None, "\n".join(report(result))


@pytest.mark.parametrize("kept", kept_seeds(), ids=lambda kept: kept.found)
def test_what_once_broke_a_promise_does_so_no_more(kept: Kept) -> None:
    """A run that found a bug is run again with every change."""
    check(World(kept.run).run())


def test_fresh_seeds_break_no_promise() -> None:
    """Seeds that nobody has tried before, at least one, for PARLEY_SIM_SECONDS of CPU time."""
    seconds = float(os.environ.get(SECONDS_VARIABLE, SECONDS_DEFAULT))
    began = time.process_time()
    while True:
        check(World(Run(secrets.randbelow(10**9), hours=FRESH_HOURS)).run())
        if time.process_time() - began >= seconds:
            return


def test_a_run_has_faults_and_work_in_it() -> None:
    """A simulation in which nothing happens would keep every promise."""
    result = World(Run(5, hours=24)).run()
    check(result)
    assert len(result.hits) > 50
    assert result.records > 300
    assert result.requests > 10


def test_the_same_seed_is_the_same_run() -> None:
    """A failure can be looked at again: same steps, same faults, same records."""
    first, second = (World(Run(11, hours=6)).run() for _ in range(2))
    assert (first.steps, first.hits, first.records, first.requests) == (second.steps, second.hits, second.records, second.requests)


def test_a_muted_fault_does_not_strike() -> None:
    """Shrinking leaves faults out by their numbers."""
    whole = World(Run(11, hours=3)).run()
    number = whole.hits[0].number
    without = World(Run(11, hours=3, muted=frozenset({number}))).run()
    assert number not in {hit.number for hit in without.hits}


def test_a_run_ends_after_its_steps() -> None:
    """A long run can be looked at up to a step."""
    assert World(Run(11, hours=24, steps_max=500)).run().steps in range(500, 520)
