"""Running faults: one in a house, all of them in the houses they need, and a seeded mix under constant load."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devstack.demo.summary import Line
from devstack.stack import StackError
from tests.chaos.catalogue import MIXED
from tests.chaos.counting import drain
from tests.chaos.house import House, Surroundings, open_house
from tests.chaos.trial import Fault, Figures, Finding, Trial, Verdict

PER_SECOND = 10.0
"""Messages per second of the constant load; each one leads to about ten events and a send."""
WARM_UP_MESSAGES = 5
SHORT_MIXED_SECONDS_MAX = 30.0

Say = Callable[[str], None]


def silent(_line: str) -> None:
    """Say nothing."""


async def try_fault(fault: Fault, house: House, *, short: bool, per_second: float = PER_SECOND) -> Verdict:
    """Play one fault in a running house under load of its own, wait until all is quiet, and judge it."""
    started_at, duplicates = time.time(), house.records.duplicates
    trial = Trial(house, short, per_second)
    error, broken = "", []
    if fault.loaded:
        await house.start_load(per_second)
        await trial.recovered(messages=WARM_UP_MESSAGES)
    try:
        await fault.play(trial)
    except StackError as failure:
        error = str(failure)
    house.edges.heal()
    broken = [line for line in await drain(house) if not line.holds]
    figures = trial.figures(duplicates, started_at)
    return Verdict(fault, tuple(trial.findings), tuple(broken), figures, tuple(trial.notes), error)


async def run_all(faults: Sequence[Fault], directory: Path, *, short: bool, say: Say = silent) -> AsyncIterator[Verdict]:
    """Try `faults`, those with the same surroundings in one house; yields each verdict as it is there."""
    for number, surroundings in enumerate(dict.fromkeys(fault.surroundings for fault in faults)):
        chosen = [fault for fault in faults if fault.surroundings == surroundings]
        say(f"A house with {_described(surroundings)}")
        async with open_house(directory / f"house-{number}", surroundings, on_step=say) as house:
            for fault in chosen:
                say(f"{fault.name}: {fault.title}")
                yield await try_fault(fault, house, short=short)


def _described(surroundings: Surroundings) -> str:
    """Return what kind of house it is."""
    brokers = "one broker" if surroundings.brokers == 1 else f"{surroundings.brokers} brokers"
    return f"{brokers} and {'the stand-in for MongoDB' if surroundings.mongo else 'SQLite'}"


@dataclass(slots=True)
class Mix:
    """What came of a mixed run: what was played in order, what each showed, and the equations in the end."""

    seed: int
    played: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    broken: list[Line] = field(default_factory=list)
    lines: int = 0
    figures: Figures = field(default_factory=Figures)

    @property
    def passed(self) -> bool:
        """Return whether everything reconciles and every fault kept its promise."""
        return bool(self.played) and not self.broken and all(one.holds for one in self.findings)


async def run_mixed(directory: Path, *, seconds: float, seed: int, say: Say = silent) -> Mix:
    """Play faults in an order drawn from `seed`, one after the other under constant load, for `seconds`; then drain and reconcile.

    Every fault comes once before any comes again.
    """
    chance, mix = random.Random(seed), Mix(seed)
    async with open_house(directory / "mixed", on_step=say) as house:
        started_at, deadline = time.time(), time.monotonic() + seconds
        await house.start_load(PER_SECOND)
        overall = Trial(house, short=True, per_second=PER_SECOND)
        await overall.recovered(messages=WARM_UP_MESSAGES)
        overall.begins()
        waiting: list[Fault] = []
        while time.monotonic() < deadline:
            waiting = waiting or chance.sample(MIXED, len(MIXED))
            fault = waiting.pop()
            say(f"{fault.name}: {fault.title}")
            trial = Trial(house, short=True, per_second=PER_SECOND)
            await fault.play(trial)
            house.edges.heal()
            mix.played.append(fault.name)
            mix.findings += [Finding(f"{fault.name}: {one.what}", one.holds, one.seen) for one in trial.findings]
        overall.ends()
        say("Draining")
        lines = await drain(house)
        mix.lines, mix.broken = len(lines), [line for line in lines if not line.holds]
        mix.figures = overall.figures(0, started_at)
    return mix
