"""A worker on the local log: for the local shell, in simulated time.

The handler's waits are moments of a ManualSleeper; everything else it awaits (the store in memory, the publisher of the local log, a
transport without a network) goes on by itself when the event loop turns.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.clock import Clock
from shared.engine.records import Record
from shared.engine.worker_crew import Crew
from shared.engine.worker_job import Handler
from shared.engine.worker_sleeper import ManualSleeper
from shared.topics import Topic

RECORDS_MAX = 500
QUIET_PASSES = 50
"""Passes of the event loop without anything ending, after which whoever has not ended waits for time to pass."""


class Log(Protocol):
    """What is read from: the local log."""

    partitions: int

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """Return up to `limit` records from `offset` on."""
        ...


class LocalWorker:
    """Runs one handler over all partitions; one of the local shell's runners."""

    def __init__(self, handler: Handler, inputs: Sequence[Topic], log: Log, *, clock: Clock, sleeper: ManualSleeper) -> None:
        self._inputs = inputs
        self._log = log
        self._clock = clock
        self._sleeper = sleeper
        self._crew = Crew(handler, active_max=100_000)
        self._offsets: dict[tuple[Topic, int], int] = defaultdict(int)
        handler.owns(log.partitions)

    async def turn(self) -> bool:
        """Take what is new, wake whose moment has come, and come to rest; return whether there was anything. Errors surface here."""
        taken = 0
        for topic in self._inputs:
            for partition in range(self._log.partitions):
                records = self._log.read(topic, partition, self._offsets[topic, partition], RECORDS_MAX)
                self._offsets[topic, partition] += len(records)
                self._crew.take(records)
                taken += len(records)
        woken = self._sleeper.wake(self._clock.now())
        if not taken and not woken:
            return False
        await self._rest()
        for given_back in self._crew.given_back():
            raise given_back.error
        return True

    def next_moment(self, now: datetime) -> datetime | None:  # noqa: ARG002 # the shell's protocol
        """Return the next moment that a send waits for."""
        return self._sleeper.next_at

    async def close(self) -> None:
        """End what still waits."""
        await self._crew.cancel()

    async def _rest(self) -> None:
        """Return when nothing goes on without time passing."""
        quiet = 0
        while quiet < QUIET_PASSES and self._crew.active:
            self._crew.changed.clear()
            await asyncio.sleep(0)
            quiet = 0 if self._crew.changed.is_set() else quiet + 1
