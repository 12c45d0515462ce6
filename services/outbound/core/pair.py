"""The pace towards one customer: an interval, and a burst that borrows from the future.

WhatsApp: one message per 6 s to the same user; bursts of up to 45 borrow from the future (About the platform). What is known is one
moment per customer: when all that was sent is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class PairPolicy:
    """One message per `interval_seconds`, up to `burst` of them ahead of time."""

    interval_seconds: float
    burst: int

    def ready_at(self, paid_at: datetime, now: datetime) -> datetime:
        """Return when the next message may go to a customer whose messages are paid for at `paid_at`; `now` where at once."""
        return max(now, paid_at - timedelta(seconds=self.interval_seconds * (self.burst - 1)))

    def after_send(self, paid_at: datetime | None, now: datetime) -> datetime:
        """Return when a customer's messages are paid for after one more at `now`."""
        return max(paid_at or now, now) + timedelta(seconds=self.interval_seconds)
