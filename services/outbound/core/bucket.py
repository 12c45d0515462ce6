"""An account's pace: a token bucket that can be slowed and recovers by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ldexp

BURST_SECONDS = 0.1
"""How much of an account's rate may go out at once: a larger burst would break a limit that is counted per second."""
SLOWEST = 1 / 16
RECOVERY_SECONDS = 30.0
"""After a slow-down the rate doubles once per this time until it is whole again."""
_ENOUGH = 1 - 1e-9
"""A whole token, give or take the rounding of times to microseconds."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Tokens as of `at`; `rate_per_second` is this process's share of what the account may send.

    `slowed` is the factor of the last slow-down, at `slowed_at`; nothing goes out before `blocked_until`.
    """

    rate_per_second: float
    tokens: float
    at: datetime
    slowed: float = 1.0
    slowed_at: datetime | None = None
    blocked_until: datetime | None = None

    @classmethod
    def full(cls, rate_per_second: float, now: datetime) -> TokenBucket:
        """Return a bucket that has rested. Raises ValueError for a rate that is not above 0."""
        if rate_per_second <= 0:
            raise ValueError("a bucket fills at a rate above 0 per second")
        return cls(rate_per_second, _capacity(rate_per_second), now)

    def factor(self, now: datetime) -> float:
        """Return how much of its rate the account has at `now`, from SLOWEST to 1."""
        if self.slowed_at is None:
            return 1.0
        doublings = (now - self.slowed_at).total_seconds() // RECOVERY_SECONDS
        return min(1.0, ldexp(self.slowed, min(int(doublings), 8)))

    def at_moment(self, now: datetime) -> TokenBucket:
        """Return the bucket as it is at `now`; a moment that has passed changes nothing."""
        return self if now <= self.at else replace(self, tokens=self._tokens_at(now), at=now)

    def take(self, now: datetime) -> TokenBucket | None:
        """Return the bucket after one send at `now`, or None: not yet."""
        if self.blocked_until is not None and now < self.blocked_until:
            return None
        tokens = self._tokens_at(now)
        if tokens < _ENOUGH:
            return None
        # Written out, because replace() costs three times as much and this runs for every send.
        return TokenBucket(self.rate_per_second, tokens - 1, max(now, self.at), self.slowed, self.slowed_at, self.blocked_until)

    def _tokens_at(self, now: datetime) -> float:
        seconds = (now - self.at).total_seconds()
        if seconds <= 0:
            return self.tokens
        return min(_capacity(self.rate_per_second), self.tokens + seconds * self.rate_per_second * self.factor(now))

    def next_at(self, now: datetime) -> datetime:
        """Return when the next send may go, at the rate of `now`; `now` where one may at once."""
        filled = self.at_moment(now)
        if filled.tokens >= _ENOUGH:
            filled_at = now
        else:
            # One microsecond more, so that rounding never has somebody come too early and be sent away.
            seconds = (1 - filled.tokens) / (self.rate_per_second * self.factor(now))
            filled_at = max(now, filled.at) + timedelta(seconds=seconds, microseconds=1)
        return filled_at if self.blocked_until is None else max(filled_at, self.blocked_until)

    def slow_down(self, now: datetime, pause_seconds: float) -> TokenBucket:
        """Return the bucket after the channel said "too fast": empty, halved, and still for `pause_seconds`.

        Said again during the pause it says nothing new (those were under way when it began), except for how long.
        """
        until = now + timedelta(seconds=pause_seconds)
        if self.blocked_until is not None and now < self.blocked_until:
            until = max(until, self.blocked_until)
            return replace(self, at=until, blocked_until=until)
        return replace(self, tokens=0.0, at=until, slowed=max(SLOWEST, self.factor(now) / 2), slowed_at=now, blocked_until=until)

    def with_rate(self, rate_per_second: float, now: datetime) -> TokenBucket:
        """Return the bucket at another rate: this process owns more or fewer partitions now."""
        filled = self.at_moment(now)
        return replace(filled, rate_per_second=rate_per_second, tokens=min(filled.tokens, _capacity(rate_per_second)))


def _capacity(rate_per_second: float) -> float:
    """Return how many tokens a bucket holds: at least one, or nothing would ever go."""
    return max(1.0, rate_per_second * BURST_SECONDS)
