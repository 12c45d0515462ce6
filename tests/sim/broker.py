"""The broker as processes reach it: what travels, how long it takes, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, NotEnoughReplicasError, RequestTimedOutError

from tests.sim.consumer import SimulatedConsumer
from tests.sim.faults import BatchFate, CommitFate, Faults
from tests.sim.group import Group
from tests.sim.log import Entry, Log, LogRecord
from tests.sim.loop import PROCESS, Process, SimulatedLoop
from tests.sim.producer import SimulatedProducer

LATE_SECONDS_MAX = 20.0
"""How late a batch may arrive whose producer has given it up."""
TIMEOUT_SECONDS_MAX = 14.0


class Broker:
    """One simulated broker."""

    def __init__(
        self,
        loop: SimulatedLoop,
        chance: random.Random,
        faults: Faults,
        *,
        partitions: int,
        written: Callable[[LogRecord, str], None],
        committed: Callable[[str, Mapping[TopicPartition, int], Mapping[TopicPartition, int]], None],
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._faults = faults
        self._committed = committed
        self.log = Log(loop, partitions=partitions, written=written)
        self.groups: dict[str, Group] = {}
        self.consumers: list[SimulatedConsumer] = []
        self.batch_records_max = chance.choice((1, 3, 50))

    def group(self, name: str) -> Group:
        """Return the consumer group `name`."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.log, self._chance, committed=self._committed)
        return self.groups[name]

    # --- in place of aiokafka's classes -----------------------------------------------------------------------------

    def consumer(self, **options: Any) -> SimulatedConsumer:
        """Return a consumer of whoever is running."""
        return SimulatedConsumer(self, _running(), **options)

    def producer(self, **options: Any) -> SimulatedProducer:
        """Return a producer of whoever is running."""
        return SimulatedProducer(self, _running(), **options)

    # --- the network ------------------------------------------------------------------------------------------------

    def cross(self, process: Process, point: str) -> Awaitable[None]:
        """Wait as long as a message to the broker takes; see Faults.cross."""
        return self._faults.cross(process, point)

    def fetch_seconds(self) -> float:
        """Return how long a record takes from the log to a waiting reader."""
        return self._chance.random() * 0.05

    def fetched_first(self, places: Sequence[TopicPartition]) -> Iterable[TopicPartition]:
        """Return the partitions whose records have arrived, in the order of their arrival."""
        if len(places) < 2:
            return places
        order = list(places)
        self._chance.shuffle(order)
        return order[: self._chance.randint(1, len(order))]

    # --- writes and commits -------------------------------------------------------------------------------------------

    def take(self, process: Process, entries: Sequence[Entry], topic: str, partition: int) -> asyncio.Future[None]:
        """Take a batch; return the future of its acknowledgement."""
        answer: asyncio.Future[None] = self._loop.create_future()
        there = self._chance.random() * 0.01
        back = there + self._chance.random() * 0.01
        fate = self._faults.batch(process)
        if self.log.is_down:
            self._loop.at(self._chance.uniform(1, TIMEOUT_SECONDS_MAX), self._answer, process, answer, KafkaTimeoutError())
            return answer
        if fate is BatchFate.REFUSED:
            self._loop.at(back, self._answer, process, answer, NotEnoughReplicasError())
            return answer
        if fate is BatchFate.LATE:
            there = self._chance.uniform(0, LATE_SECONDS_MAX)
        self._loop.at(there, self._arrive, entries, topic, partition, process.name)
        if fate is BatchFate.WRITTEN:
            self._loop.at(back, self._answer, process, answer, None)
        else:
            self._loop.at(self._chance.uniform(0, TIMEOUT_SECONDS_MAX), self._answer, process, answer, RequestTimedOutError())
        return answer

    def _arrive(self, entries: Sequence[Entry], topic: str, partition: int, writer: str) -> None:
        self.log.append(topic, partition, entries, writer=writer)

    def _answer(self, process: Process, answer: asyncio.Future[None], error: KafkaError | None) -> None:
        """Deliver an acknowledgement, unless its process is hit in this moment."""
        self._faults.moment(process, "acknowledgement")
        if answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    async def commit(self, consumer: SimulatedConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit for a consumer. Raises KafkaError, also where the commit counted and its answer was lost.

        Whatever fails, the loop is to look around soon, as it does every second in earnest: it tries again at its next turn.
        """
        try:
            await self._commit(consumer, offsets)
        except BaseException:
            consumer.look_around()
            raise

    async def _commit(self, consumer: SimulatedConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        process = consumer.process
        await self._faults.cross(process, "commit")
        fate = self._faults.commit(process)
        if self.log.is_down or fate is CommitFate.REFUSED:
            await asyncio.sleep(self._chance.uniform(0, 4))
            raise KafkaTimeoutError
        consumer.group.commit(consumer, offsets)
        await self._faults.cross(process, "committed")
        if fate is CommitFate.LOST:
            raise RequestTimedOutError


def _running() -> Process:
    """Return the process whose code is running."""
    process = PROCESS.get()
    assert process is not None, "only a simulated process talks to the simulated broker"
    return process
