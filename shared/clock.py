"""Clocks: the only place that reads one. Everything else is given `now`, so a test or a simulation can be any time it likes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NO_SKEW = timedelta(0)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        ...

    def monotonic_seconds(self) -> float:
        """Return seconds that only grow, for measuring durations."""
        ...


class SystemClock:
    """The machine's clock; `skew` is added to what it tells, for trials of clocks that do not agree (durations are not touched)."""

    def __init__(self, *, skew: timedelta = _NO_SKEW) -> None:
        self._skew = skew

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return datetime.now(UTC) + self._skew if self._skew else datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved: for tests and simulated time."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._now = start

    def now(self) -> datetime:
        """Return the moment it was set to."""
        return self._now

    def monotonic_seconds(self) -> float:
        """Return the seconds it was moved since it was made."""
        return (self._now - self._start).total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move forward; raises ValueError for a negative step."""
        if by < timedelta(0):
            message = "time goes forward"
            raise ValueError(message)
        self._now += by

    def move_to(self, moment: datetime) -> None:
        """Move forward to `moment`; a moment that has passed leaves the clock where it is."""
        self._now = max(self._now, moment)


def to_epoch_milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970-01-01 UTC, rounded down: how indexes hold times."""
    return (moment - _EPOCH) // _MILLISECOND


def from_epoch_milliseconds(milliseconds: int) -> datetime:
    """Return the moment that to_epoch_milliseconds stands for."""
    return _EPOCH + milliseconds * _MILLISECOND
