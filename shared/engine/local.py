"""The local shell: every service in one process, on a log in memory and a clock that is moved by hand.

The same engine, the same order and the same store port as on Kafka; only the log is a list. Made for flow tests and `parley simulate`:
a day in a contact centre passes in milliseconds and every run of it is the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.clock import ManualClock, to_epoch_milliseconds
from shared.engine.batch import BatchWork
from shared.engine.document import documents_of
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.records import Publication, Record
from shared.engine.reducer import Reducer
from shared.engine.step import Engine
from shared.errors import ParleyError
from shared.events.envelope import Event
from shared.metrics import Metrics
from shared.store.port import Store
from shared.topics import TOPICS, Topic, dead_letters_of

ROUNDS_MAX = 10_000
"""Turns without coming to rest after which two services are taken to be answering each other for ever."""


class RestlessError(ParleyError):
    """The services did not come to rest: two of them answer each other for ever."""


class ReducerStoppedError(ParleyError):
    """A reducer stopped by itself; the message says why."""


class LocalLog:
    """Topics in memory; a publisher for whoever writes."""

    def __init__(self, clock: ManualClock, *, partitions: int) -> None:
        self.partitions = partitions
        self._clock = clock
        self._records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._topics: dict[str, Topic] = {topic.name: topic for topic in TOPICS}

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Append `publications`; nothing can fail here."""
        for publication in publications:
            self._topics.setdefault(publication.topic.name, publication.topic)
            key = publication.key.encode()
            partition = partition_of(key, self.partitions)
            records = self._records[publication.topic.name, partition]
            moment = to_epoch_milliseconds(self._clock.now())
            records.append(Record(publication.topic, partition, len(records), key, publication.value, moment))

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """Return up to `limit` records from `offset` on."""
        return self._records[topic.name, partition][offset : offset + limit]

    def events(self, topic: Topic) -> list[Event[Any]]:
        """Return every event on `topic`: in order per key, partitions one after the other."""
        return [
            topic.decode(record.value or b"") for partition in range(self.partitions) for record in self._records[topic.name, partition]
        ]


class Runner(Protocol):
    """A service's part that reads the log."""

    async def turn(self) -> bool:
        """Take what is there; return whether there was something."""
        ...

    def next_moment(self, now: datetime) -> datetime | None:
        """Return when it wants to be run again although nothing was written, or None."""
        ...


class LocalReducer:
    """A reducer on the local log; it owns all partitions."""

    def __init__(self, reducer: Reducer[Any], work: BatchWork[Any], log: LocalLog, *, records_max: int) -> None:
        self._inputs = reducer.inputs
        self._work = work
        self._log = log
        self._records_max = records_max
        self._offsets: dict[tuple[Topic, int], int] = defaultdict(int)
        work.shards.own(set(range(log.partitions)))

    async def turn(self) -> bool:
        """Carry out one batch of whatever is new, and the timers that are due; errors of a rule surface here as dead letters do."""
        batch: dict[int, list[Record]] = {}
        for shard in range(self._log.partitions):
            records = [
                record for topic in self._inputs for record in self._log.read(topic, shard, self._offsets[topic, shard], self._records_max)
            ]
            if records:
                batch[shard] = records
        timers = self._work.shards.seconds_to_next_timer(self._work.now())
        if not batch and (timers is None or timers > 0):
            return False
        outcome = await self._work.carry_out(batch)
        for error, _ in outcome.failed:
            raise error
        if outcome.stopped is not None:
            raise ReducerStoppedError(outcome.stopped)
        self._offsets.update(outcome.done)
        return True

    def next_moment(self, now: datetime) -> datetime | None:
        """Return the moment of the nearest timer."""
        seconds = self._work.shards.seconds_to_next_timer(now)
        return None if seconds is None else now + timedelta(seconds=seconds)


class LocalShell:
    """Runs reducers and other readers of the log until all is quiet, and moves the clock from timer to timer."""

    def __init__(self, *, clock: ManualClock, store: Store, partitions: int = 1, records_max: int = 500) -> None:
        self.clock = clock
        self.log = LocalLog(clock, partitions=partitions)
        self.metrics = Metrics()
        self._store = store
        self._records_max = records_max
        self._runners: list[Runner] = []

    async def add_reducer(self, reducer: Reducer[Any]) -> None:
        """Run `reducer` from now on."""
        options = LoopOptions(bootstrap_servers="", topic_prefix="", partitions=self.log.partitions, instance="local")
        work: BatchWork[Any] = BatchWork(
            Engine(reducer, partitions=self.log.partitions, version="local"),
            await self._store.open(documents_of(reducer.name)),
            self.log,
            options=options,
            clock=self.clock,
            metrics=self.metrics,
        )
        self.add(LocalReducer(reducer, work, self.log, records_max=self._records_max))

    def add(self, runner: Runner) -> None:
        """Run `runner` from now on."""
        self._runners.append(runner)

    async def settle(self) -> None:
        """Run everybody until nobody has anything to do at this moment."""
        for _ in range(ROUNDS_MAX):
            busy = [await runner.turn() for runner in self._runners]
            if not any(busy):
                return
        raise RestlessError(f"the services did not come to rest in {ROUNDS_MAX} rounds: two of them answer each other for ever")

    async def advance(self, by: timedelta) -> None:
        """Let `by` pass: every timer in between fires at its own moment."""
        end = self.clock.now() + by
        await self.settle()
        while (moment := self._next_moment()) is not None and moment <= end:
            self.clock.move_to(moment)
            await self.settle()
        self.clock.move_to(end)
        await self.settle()

    def _next_moment(self) -> datetime | None:
        now = self.clock.now()
        moments = [moment for runner in self._runners if (moment := runner.next_moment(now)) is not None]
        return min(moments, default=None)

    def dead_letters(self, reducers: Iterable[str]) -> list[Event[Any]]:
        """Return the dead letters of `reducers`."""
        return [event for name in reducers for event in self.log.events(dead_letters_of(name))]
