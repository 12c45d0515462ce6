"""Bad input in short form: every target, the inputs that once failed, and new ones."""

from __future__ import annotations

import pytest

from tests.fuzz.cases import Case, kept
from tests.fuzz.running import Score, again, fuzz, inputs_of
from tests.fuzz.targets.find import targets

INPUTS = 5_000
SEED = 20261122


def _story(score: Score) -> str:
    """Return what went wrong, as a person needs it."""
    return "\n".join(f"{one.rule}: {one.detail}\n  {one.case.origin}\n  {one.case.shown()}" for one in score.failures)


@pytest.mark.parametrize("name", targets())
def test_bad_input_ends_well(name: str) -> None:
    """As events, as known and ignored, in quarantine or refused; soon, in little memory, alone and unlogged."""
    target = targets()[name]
    score = fuzz(target, range(inputs_of(target, INPUTS)), SEED, folder=None)
    assert not score.failed, _story(score)
    assert score.inputs == inputs_of(target, INPUTS)


@pytest.mark.parametrize("case", kept(), ids=lambda case: f"{case.target}-{case.seed}-{case.number}")
def test_what_once_failed_ends_well(case: Case) -> None:
    """Every kept input, as every run tries it again."""
    score = again(targets()[case.target], [case])
    assert not score.failed, _story(score)
