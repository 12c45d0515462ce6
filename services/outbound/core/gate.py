"""Whose turn it is on one account: lanes, breaker, bucket and the bound of requests under way, asked with `now`.

Sends queue in three lanes; a person's answer goes before an automatic one, that before bulk. Whoever is let through makes one
request and reports what came of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from services.outbound.core.breaker import Breaker, BreakerPolicy
from services.outbound.core.bucket import TokenBucket
from shared.events.sends import Lane
from shared.events.shapes import Failure

LANES = (Lane.ANSWER, Lane.AUTOMATIC, Lane.BULK)


class Verdict(Enum):
    """What a waiting send is told."""

    GO = auto()
    """Make the request, and report."""
    EXPIRED = auto()
    """It may no longer go out."""
    STOPPED = auto()
    """The account has been in trouble for too long; the breaker's cause says why."""


class Effect(Enum):
    """What a request says about its account."""

    WORKED = auto()
    """The channel answered, be it with a refusal of this one send."""
    FAILED = auto()
    """The channel could not be reached or could not serve; or its answer was lost."""
    SLOWED = auto()
    """The account is over its limit."""
    STOPPED = auto()
    """The channel takes nothing from this account."""
    NONE = auto()
    """No request was made after all."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a request. `cause` for FAILED and STOPPED, `pause_seconds` for SLOWED."""

    effect: Effect
    cause: Failure | None = None
    pause_seconds: float = 0.0


class _Waiting(NamedTuple):
    """One send in a lane."""

    ticket: int
    not_after: datetime | None


class AccountGate:
    """The queue of one account in this process. Tickets are numbers that the caller makes, each used once."""

    def __init__(self, bucket: TokenBucket, policy: BreakerPolicy, *, requests_max: int) -> None:
        self.breaker = Breaker()
        self.bucket = bucket
        self._policy = policy
        self._requests_max = requests_max
        self._requests = 0
        self._probe: int | None = None
        self._lanes: dict[Lane, deque[_Waiting]] = {lane: deque() for lane in LANES}
        self._left: set[int] = set()

    def enter(self, ticket: int, lane: Lane, not_after: datetime | None) -> None:
        """Queue a send behind those of its lane."""
        self._lanes[lane].append(_Waiting(ticket, not_after))

    def leave(self, ticket: int) -> None:
        """Forget a send that has not been told anything yet."""
        self._left.add(ticket)

    def admit(self, now: datetime) -> list[tuple[int, Verdict]]:
        """Return who is told what now, in order."""
        told: list[tuple[int, Verdict]] = []
        while (first := self._first()) is not None:
            waiting, lane = first
            verdict = self._verdict(waiting, now)
            if verdict is None:
                break
            lane.popleft()
            told.append((waiting.ticket, verdict))
        return told

    def next_at(self, now: datetime) -> datetime | None:
        """Return when to ask again if nothing is reported before; None where only a report can change anything."""
        first = self._first()
        if first is None:
            return None
        moments = [moment for moment in (first[0].not_after, self._free_at(now)) if moment is not None]
        return min(moments, default=None)

    def report(self, ticket: int, report: Report, now: datetime) -> None:
        """Take note of what came of a send that was let through.

        While the breaker is open only the probe's trouble counts: the others were under way when it opened. Success always counts.
        """
        self._requests -= 1
        counts = self.breaker.probe_at is None or ticket == self._probe
        if ticket == self._probe:
            self._probe = None
        match report.effect:
            case Effect.WORKED:
                self.breaker = Breaker()
            case Effect.SLOWED:
                self.breaker = Breaker()
                self.bucket = self.bucket.slow_down(now, report.pause_seconds)
            case Effect.FAILED if counts:
                self.breaker = self.breaker.failed(report.cause, now, self._policy)
            case Effect.STOPPED if counts:
                self.breaker = self.breaker.stopped(report.cause, now, self._policy)
            case _:
                return

    def _first(self) -> tuple[_Waiting, deque[_Waiting]] | None:
        """Return who is next, with the lane; those who left are passed over."""
        for lane in self._lanes.values():
            while lane and lane[0].ticket in self._left:
                self._left.remove(lane.popleft().ticket)
            if lane:
                return lane[0], lane
        return None

    def _verdict(self, waiting: _Waiting, now: datetime) -> Verdict | None:
        """Return what the first in the queue is told, or None: it waits."""
        if waiting.not_after is not None and now >= waiting.not_after:
            return Verdict.EXPIRED
        if self.breaker.probe_at is not None:
            return self._verdict_while_open(waiting, self.breaker.probe_at, now)
        if self._requests >= self._requests_max:
            return None
        taken = self.bucket.take(now)
        if taken is None:
            return None
        self.bucket = taken
        self._requests += 1
        return Verdict.GO

    def _verdict_while_open(self, waiting: _Waiting, probe_at: datetime, now: datetime) -> Verdict | None:
        """Return what the first in the queue is told while the breaker is open: one may try at `probe_at`."""
        if self._probe is not None:
            return None
        if now >= probe_at:
            self._probe = waiting.ticket
            self._requests += 1
            return Verdict.GO
        return Verdict.STOPPED if self.breaker.gives_up(now, self._policy) else None

    def _free_at(self, now: datetime) -> datetime | None:
        """Return when the account may let somebody through or turn everybody away, without a report before."""
        if self.breaker.probe_at is not None and self.breaker.opened_at is not None:
            given_up_at = self.breaker.opened_at + timedelta(seconds=self._policy.wait_seconds_max)
            return None if self._probe is not None else min(self.breaker.probe_at, given_up_at)
        return None if self._requests >= self._requests_max else self.bucket.next_at(now)
