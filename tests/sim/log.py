"""The simulated broker: partitioned topics with offsets, consumer groups with generations, and time in which it does not answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import TopicPartition

from tests.sim.loop import SimulatedLoop


class LogRecord(NamedTuple):
    """A record as aiokafka hands it out; `timestamp` in milliseconds. Names as in ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on its way to the log."""

    key: bytes | None
    value: bytes | None
    timestamp: int


class Log:
    """The topics. `written` hears of every record at the moment it stands."""

    def __init__(self, loop: SimulatedLoop, *, partitions: int, written: Callable[[LogRecord, str], None]) -> None:
        self.loop = loop
        self.partitions = partitions
        self.down_until = 0.0
        self._written = written
        self._records: dict[TopicPartition, list[LogRecord]] = defaultdict(list)
        self._waiting: dict[TopicPartition, list[asyncio.Future[None]]] = defaultdict(list)

    @property
    def is_down(self) -> bool:
        """Return whether the broker does not answer at the moment."""
        return self.loop.time() < self.down_until

    def append(self, topic: str, partition: int, entries: Iterable[Entry], *, writer: str) -> None:
        """Write a batch, whole, and wake whoever waits for the partition."""
        place = TopicPartition(topic, partition)
        records = self._records[place]
        for entry in entries:
            record = LogRecord(topic, partition, len(records), entry.timestamp, entry.key, entry.value)
            records.append(record)
            self._written(record, writer)
        for waiter in self._waiting.pop(place, ()):
            if not waiter.done():
                waiter.set_result(None)

    def end(self, place: TopicPartition) -> int:
        """Return the offset after the last record."""
        return len(self._records[place])

    def read(self, place: TopicPartition, offset: int, limit: int) -> list[LogRecord]:
        """Return up to `limit` records from `offset` on."""
        return [] if self.is_down else self._records[place][offset : offset + limit]

    def places(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic."""
        return [TopicPartition(topic, partition) for partition in range(self.partitions)]

    def all_of(self, topic: str) -> list[LogRecord]:
        """Return every record of a topic, partition after partition."""
        return [record for place in self.places(topic) for record in self._records[place]]

    def wait_for(self, places: Iterable[TopicPartition], waiter: asyncio.Future[None]) -> None:
        """Wake `waiter` with the next record of any of `places`."""
        for place in places:
            self._waiting[place] = [other for other in self._waiting[place] if not other.done()]
            self._waiting[place].append(waiter)

    def go_down(self, seconds: float) -> None:
        """Answer nobody for so long; whoever waits finds then what was written before."""
        self.down_until = max(self.down_until, self.loop.time() + seconds)
        self.loop.at(seconds, self._wake_all)

    def _wake_all(self) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        self._waiting.clear()

    def read_always(self, place: TopicPartition, begin: int, end: int) -> list[LogRecord]:
        """Return the records of [begin, end), also while the broker does not answer: for whoever stands outside the world."""
        return self._records[place][begin:end]
