"""The breaker of one account: after repeated trouble, or a word of the channel, nothing is tried for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.events.shapes import Failure


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """The bounds of a breaker."""

    failures_max: int = 5
    """Failures in a row of requests that could not be served."""
    open_seconds: float = 5.0
    stopped_seconds: float = 30.0
    """How long after the channel stopped the account (a bad token, a lock, an unpaid bill) one send tries whether it works again."""
    open_seconds_max: float = 60.0
    wait_seconds_max: float = 300.0
    """From then on, after the trouble began, sends are refused at once instead of waiting: they would hold back other accounts."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while `probe_at` is None. Open: nothing goes before `probe_at`, then one send, whose answer decides.

    `opened_at` is when the trouble began; `cause` what the channel said last.
    """

    failures: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    cause: Failure | None = None

    def gives_up(self, now: datetime, policy: BreakerPolicy) -> bool:
        """Return whether the trouble has lasted so long that sends are refused."""
        return self.opened_at is not None and now >= self.opened_at + timedelta(seconds=policy.wait_seconds_max)

    def failed(self, cause: Failure | None, now: datetime, policy: BreakerPolicy) -> Breaker:
        """Return the breaker after a request that could not be served, or whose answer was lost."""
        if self.probe_at is None and self.failures + 1 < policy.failures_max:
            return replace(self, failures=self.failures + 1, cause=cause)
        return self._opened(cause, now, policy.open_seconds, policy)

    def stopped(self, cause: Failure | None, now: datetime, policy: BreakerPolicy) -> Breaker:
        """Return the breaker after the channel said that it takes nothing from this account."""
        return self._opened(cause, now, policy.stopped_seconds, policy)

    def _opened(self, cause: Failure | None, now: datetime, seconds: float, policy: BreakerPolicy) -> Breaker:
        """Return the breaker opened, for longer each time in a row."""
        longer = min(max(seconds, policy.open_seconds_max), seconds * 2 ** min(self.openings, 10))
        return Breaker(self.failures + 1, self.openings + 1, self.opened_at or now, now + timedelta(seconds=longer), cause)
