"""One fault tried: what was promised, what was seen, and how long it took until nothing was late any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from devstack.demo.summary import Line
from tests.chaos.house import House, Surroundings

PLAIN = Surroundings()
LATE_SECONDS = 2.0
"""A message that is appended so long after it was due is late: well above an undisturbed one on a busy machine."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a promise: whether it was kept, and what was seen."""

    what: str
    holds: bool
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; recovery: seconds from the fault's end until nothing was late any more. `duplicates` are repeated records."""

    messages: int = 0
    recovery_seconds: float = 0.0
    worst_delay_seconds: float = 0.0
    duplicates: int = 0
    took_seconds: float = 0.0


@dataclass(slots=True)
class Trial:
    """A fault under way. `short`: the form for CI, with everything that can be shorter."""

    house: House
    short: bool
    per_second: float
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began_at: float = 0.0
    ended_at: float = 0.0
    measured_at: float = 0.0

    def seconds(self, short: float, full: float) -> float:
        """Return a duration of the form that is played."""
        return short if self.short else full

    def check(self, what: str, *, holds: bool, seen: object = "") -> None:
        """Take note of a part of the promise."""
        self.findings.append(Finding(what, holds, str(seen)))

    def note(self, seen: str) -> None:
        """Take note of a figure that promises nothing."""
        self.notes.append(seen)

    def begins(self) -> None:
        """The fault begins now (the first one, where there are several)."""
        self.began_at = self.began_at or time.time()

    def ends(self) -> None:
        """The fault, or the last of several, is over now."""
        self.ended_at, self.measured_at = time.time(), 0.0

    def measured(self) -> None:
        """Recovery is over: what comes now (processes that are put back) is no part of the fault."""
        self.measured_at = time.time()

    async def last(self, seconds: float) -> None:
        """Let things be as they are for a while: how long a fault lasts is part of it."""
        await asyncio.sleep(seconds)

    async def recovered(self, seconds_max: float = 60.0, messages: int = 10) -> bool:
        """Wait until messages that were written after now are appended."""
        now = time.time()
        return await self.house.until(lambda: sum(self._appended_of(since=now)) >= messages, seconds_max)

    async def caught_up(self, seconds_max: float) -> bool:
        """Wait until every message that is due by now is appended."""
        now, appended = time.time(), self.house.records.appended_at
        waiting = {message for message, post in self.house.provider.posts.items() if post.due_at <= now and message not in appended}
        return await self.house.until(lambda: appended.keys() >= waiting, seconds_max)

    def _appended_of(self, *, since: float) -> Iterator[bool]:
        """Yield, per message that was due since a moment, whether it is appended."""
        for message, post in reversed(self.house.provider.posts.items()):
            if post.due_at < since:
                return
            yield message in self.house.records.appended_at

    def figures(self, duplicates_before: int, started_at: float) -> Figures:
        """Return what was measured since `started_at` (seconds since 1970)."""
        ways = [(due, appended) for due, appended in self._way_of_messages() if due >= started_at - 1]
        end, measured_at = self.ended_at or started_at, self.measured_at or time.time()
        late = [
            appended for due, appended in ways if appended - due > LATE_SECONDS and self.began_at - 1 <= due and appended <= measured_at
        ]
        return Figures(
            messages=len(ways),
            recovery_seconds=max((appended - end for appended in late if appended > end), default=0.0) if self.ended_at else 0.0,
            worst_delay_seconds=max((appended - due for due, appended in ways), default=0.0),
            duplicates=self.house.records.duplicates - duplicates_before,
            took_seconds=time.time() - started_at,
        )

    def delays(self, customers: frozenset[str], since: float) -> list[float]:
        """Return the delays of the messages of some customers (business-scoped ids) that were due since a moment."""
        appended = self.house.records.appended_at
        return [
            appended[message] - post.due_at
            for message, post in self.house.provider.posts.items()
            if message in appended and post.due_at >= since and post.customer in customers
        ]

    def _way_of_messages(self) -> list[tuple[float, float]]:
        """Return, per message of the provider that is appended, when it was due and when it was appended."""
        appended = self.house.records.appended_at
        return [(post.due_at, appended[message]) for message, post in self.house.provider.posts.items() if message in appended]


Play = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the list, with what is promised of it. `mixed`: it can come beside others, one after the other, in one house."""

    name: str
    title: str
    promise: str
    play: Play
    surroundings: Surroundings = PLAIN
    mixed: bool = True
    loaded: bool = True
    where: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a fault: the findings, the equations that do not hold, and the figures."""

    fault: Fault
    findings: tuple[Finding, ...]
    broken: tuple[Line, ...]
    figures: Figures
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        """Return whether the promise was kept."""
        return not self.error and bool(self.findings) and all(one.holds for one in self.findings) and not self.broken
