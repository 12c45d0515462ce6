"""Waiting for a moment of the injected clock, so that whatever waits can be run in simulated time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import datetime
from typing import Protocol

from shared.clock import Clock, ManualClock

SLEEP_SECONDS_MAX = 60.0
"""How long one sleep is at most: the machine's clock may have been set meanwhile."""


class Sleeper(Protocol):
    """Waits for a moment."""

    async def until(self, moment: datetime) -> None:
        """Return when the clock shows `moment` or later; at once where it does already."""
        ...


class ClockSleeper:
    """Waits in real time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def until(self, moment: datetime) -> None:
        """Return when the clock shows `moment` or later."""
        while (seconds := (moment - self._clock.now()).total_seconds()) > 0:  # noqa: ASYNC110 # a moment is waited for, not a condition
            await asyncio.sleep(min(seconds, SLEEP_SECONDS_MAX))


class ManualSleeper:
    """Waits in simulated time: nobody wakes before `wake` is called, which moves the clock."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    @property
    def next_at(self) -> datetime | None:
        """Return the earliest moment that somebody waits for, or None."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def until(self, moment: datetime) -> None:
        """Return when the clock has been moved to `moment` or later."""
        if moment <= self._clock.now():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._order), future))
        await future

    def wake(self, moment: datetime) -> int:
        """Move the clock to `moment` and wake everybody whose moment has come, in order; return how many."""
        self._clock.move_to(moment)
        woken = 0
        while (due := self.next_at) is not None and due <= self._clock.now():
            heapq.heappop(self._sleepers)[2].set_result(None)
            woken += 1
        return woken
