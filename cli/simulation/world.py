"""Simulated people's side of the local shell: who listens to topics, and what is to be done at which moment."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from shared.clock import ManualClock
from shared.engine.local import LocalLog
from shared.engine.records import Publication
from shared.events.envelope import Event, EventData, new_event
from shared.topics import TOPICS, Topic

RECORDS_PER_READ_MAX = 1_000
Action = Callable[[], Awaitable[None]]
Listener = Callable[[Event[Any]], object]


class World:
    """One of the shell's runners: hands new events to listeners, and does what is on the agenda when its moment has come."""

    def __init__(self, clock: ManualClock, log: LocalLog) -> None:
        self._clock = clock
        self._log = log
        self._agenda: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._offsets: dict[tuple[Topic, int], int] = defaultdict(int)
        self._listeners: list[Listener] = []

    def now(self) -> datetime:
        """Return the simulated moment."""
        return self._clock.now()

    def listen(self, listener: Listener) -> None:
        """Hand every event from now on to `listener`."""
        self._listeners.append(listener)

    def at(self, moment: datetime, action: Action) -> None:
        """Do `action` at `moment`, or now where that has passed."""
        heapq.heappush(self._agenda, (max(moment, self.now()), next(self._order), action))

    def after(self, seconds: float, action: Action) -> None:
        """Do `action` in `seconds`."""
        self.at(self.now() + timedelta(seconds=seconds), action)

    async def publish(self, topic: Topic, key: str, data: EventData, *, source: str) -> None:
        """Publish as an integrator would."""
        event = new_event(data, event_id=f"{source}/{next(self._ids)}", source=source, subject=key, time=self.now())
        await self._log.publish([Publication(topic, key, event.to_json())])

    async def turn(self) -> bool:
        """Tell the news, then do what is due; return whether there was anything."""
        return self._tell_news() | await self._do_due()

    def next_moment(self, now: datetime) -> datetime | None:  # noqa: ARG002 # the shell's protocol
        """Return when the next action is due."""
        return self._agenda[0][0] if self._agenda else None

    @property
    def idle(self) -> bool:
        """Return whether nothing is left to do."""
        return not self._agenda

    def _tell_news(self) -> bool:
        told = False
        for topic in TOPICS:
            for partition in range(self._log.partitions):
                records = self._log.read(topic, partition, self._offsets[topic, partition], RECORDS_PER_READ_MAX)
                self._offsets[topic, partition] += len(records)
                for record in records:
                    event = topic.decode(record.value or b"")
                    for listener in self._listeners:
                        listener(event)
                told = told or bool(records)
        return told

    async def _do_due(self) -> bool:
        done = False
        while self._agenda and self._agenda[0][0] <= self.now():
            _, _, action = heapq.heappop(self._agenda)
            await action()
            done = True
        return done
