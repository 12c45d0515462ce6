"""Runs inputs through targets and keeps the score; what fails is kept as a regression, and the run goes on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.cases import KEPT, Case, keep
from tests.fuzz.logs import captured_logs
from tests.fuzz.oracle import MEMORY_EVERY, BrokenPromiseError, Ending, Judge, Target

FAILURES_PER_RULE_MAX = 3
"""Inputs kept per target and broken promise in one run: a hundred that fail alike say no more than three."""
INPUTS_MIN = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that broke a promise."""

    case: Case
    rule: str
    detail: str
    kept_at: Path | None = None


@dataclass(slots=True)
class Score:
    """What came of the inputs of one target. `failed` counts all, `failures` holds the first of each kind."""

    target: str
    inputs: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)
    recipes: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    cpu_seconds: float = 0.0


def inputs_of(target: Target, inputs: int) -> int:
    """Return how many inputs a target gets where a channel's parser gets `inputs`."""
    return max(INPUTS_MIN, round(inputs * target.share))


def fuzz(
    target: Target, numbers: Iterable[int], seed: int, *, folder: Path | None = KEPT, advance: Callable[[int], None] = lambda _: None
) -> Score:
    """Return the score of `target` over the inputs `numbers` of the run `seed`; failures are kept in `folder` (None: nowhere)."""
    return _run(target, ((target.make(seed, number), number % MEMORY_EVERY == 0) for number in numbers), folder, advance)


def again(target: Target, cases: Iterable[Case]) -> Score:
    """Return the score of `target` over cases that were kept; each has its memory watched."""
    return _run(target, ((case, True) for case in cases), None, lambda _: None)


def _run(target: Target, cases: Iterable[tuple[Case, bool]], folder: Path | None, advance: Callable[[int], None]) -> Score:
    score = Score(target.name)
    started = time.process_time()

    async def run() -> None:
        with captured_logs() as captured:
            judge = Judge(captured)
            for case, watched in cases:
                await _one(judge, target, case, score, folder, watch_memory=watched)
                advance(1)

    asyncio.run(run())
    score.cpu_seconds = time.process_time() - started
    return score


async def _one(judge: Judge, target: Target, case: Case, score: Score, folder: Path | None, *, watch_memory: bool) -> None:
    """Judge one input and write it into the score."""
    score.inputs += 1
    score.recipes[case.recipe] += 1
    try:
        score.endings[await judge.judge(target, case, watch_memory=watch_memory)] += 1
    except BrokenPromiseError as error:
        score.failed[error.rule] += 1
        if score.failed[error.rule] <= FAILURES_PER_RULE_MAX:
            kept_at = None if folder is None else keep(case, str(error), folder)
            score.failures.append(Failure(case, error.rule, error.detail, kept_at))
