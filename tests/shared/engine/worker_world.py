"""A consumer on lists and a handler on a script, for the tests of the worker."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from shared.clock import SystemClock
from shared.engine.options import LoopOptions
from shared.engine.records import Record
from shared.engine.status import LoopStatus
from shared.engine.worker import Worker
from shared.engine.worker_job import Job
from shared.engine.worker_options import WorkerOptions
from shared.metrics import Metrics
from shared.topics import SENDS

PATIENCE_SECONDS = 10.0
TOPIC = "t.sends"


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; fail when it does not within PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.001)


def place(partition: int) -> TopicPartition:
    """Return a partition of the topic."""
    return TopicPartition(TOPIC, partition)


@dataclass
class Broker:
    """What outlives a consumer: the log, and what was committed."""

    log: dict[TopicPartition, list[tuple[bytes, bytes]]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    def write(self, partition: int, *records: tuple[str, str]) -> None:
        """Append (key, value) pairs."""
        self.log[place(partition)].extend((key.encode(), value.encode()) for key, value in records)


class ListConsumer:
    """As much of AIOKafkaConsumer as a worker uses."""

    def __init__(self, broker: Broker, partitions: Sequence[int]) -> None:
        self.broker = broker
        self.listener: ConsumerRebalanceListener | None = None
        self.partitions = {place(number) for number in partitions}
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.pauses: list[TopicPartition] = []
        self.seeks: list[tuple[TopicPartition, int]] = []
        self.errors: dict[str, list[Exception]] = defaultdict(list)
        self.stopped = False
        self._coordinator: Any = SimpleNamespace(_coordination_task=None)
        self._assigned: set[TopicPartition] = set()
        self._rebalancing = False

    async def start(self) -> None:
        """Connect."""
        self._raise("start")

    async def stop(self) -> None:
        """Leave."""
        self.stopped = True
        self._raise("stop")

    def die(self) -> None:
        """Lose the background task, as aiokafka does after an error that it did not expect."""
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        self._coordinator = SimpleNamespace(_coordination_task=done)

    def subscribe(self, topics: Sequence[str], *, listener: ConsumerRebalanceListener) -> None:
        """Remember the listener; the test assigns."""
        assert list(topics) == [TOPIC]
        self.listener = listener

    async def assign(self) -> None:
        """Give the consumer its partitions, at what is committed."""
        self._assigned = set(self.partitions)
        self.positions = {partition: self.broker.committed.get(partition, 0) for partition in self._assigned}
        self.paused = set()
        self._rebalancing = False
        assert self.listener is not None
        await self.listener.on_partitions_assigned(self._assigned)

    async def revoke(self) -> None:
        """Take all partitions away, as a rebalance does."""
        self._rebalancing = True
        assert self.listener is not None
        await self.listener.on_partitions_revoked(self._assigned)
        self._assigned = set()

    def assignment(self) -> set[TopicPartition]:
        """Return what is ours."""
        return set(self._assigned)

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """Return what is there, or nothing after the time-out."""
        self._raise("getmany")
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            if not self._rebalancing and (found := self._read(max_records)):
                return found
            if not self._rebalancing and time.monotonic() >= deadline:
                return {}
            await asyncio.sleep(0.001)

    def _read(self, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        for partition in sorted(self._assigned - self.paused):
            first = self.positions[partition]
            taken = self.broker.log[partition][first : first + max_records]
            if taken:
                self.positions[partition] = first + len(taken)
                found[partition] = [record(partition, first + i, key, value) for i, (key, value) in enumerate(taken)]
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit."""
        self._raise("commit")
        self.broker.committed.update(offsets)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""
        if partition not in self._assigned:
            raise IllegalStateError("not assigned")
        self.seeks.append((partition, offset))
        self.positions[partition] = offset

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Read on from the oldest record."""
        for partition in partitions:
            self.seek(partition, 0)

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record."""
        return self.positions[partition]

    def pause(self, *partitions: TopicPartition) -> None:
        """Return nothing of these."""
        self.pauses.extend(partitions)
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Return records of these again."""
        self.paused -= set(partitions)

    def _raise(self, call: str) -> None:
        if self.errors[call]:
            raise self.errors[call].pop(0)


def record(partition: TopicPartition, offset: int, key: bytes, value: bytes) -> ConsumerRecord[bytes, bytes]:
    """Return a record as aiokafka does."""
    return ConsumerRecord(partition.topic, partition.partition, offset, 1_000, 0, key, value, None, len(key), len(value), ())


class ScriptedHandler:
    """Handles a record by what its value says, and keeps what it saw.

    `ok` is done at once; `wait` waits for `go`; `hold` waits for `go` and must be seen through; `hold-wait` does one after the other.
    Errors in `errors` are raised once per entry.
    """

    name = "scripted"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.aside: list[tuple[int, int]] = []
        self.owned: list[int] = []
        self.errors: dict[str, list[Exception]] = defaultdict(list)
        self.active: set[str] = set()
        self.go = asyncio.Event()

    async def handle(self, record: Record, job: Job) -> None:
        """Do what the value says: `<name> <act>`."""
        name, act = (record.value or b"").decode().split()
        thread = (record.key or b"").decode()
        assert thread not in self.active, "two records of one thread at once"
        self.active.add(thread)
        self.begun.append(name)
        try:
            if self.errors[name]:
                raise self.errors[name].pop(0)
            if act in {"hold", "hold-wait"}:
                job.hold()
                await self.go.wait()
                if act == "hold-wait":
                    job.release()
                    await asyncio.Event().wait()
            elif act == "wait":
                await self.go.wait()
            self.done.append(name)
        finally:
            self.active.discard(thread)

    async def give_up(self, record: Record, error: Exception, attempts: int) -> None:
        """Put aside."""
        assert str(error)
        if self.errors["give_up"]:
            raise self.errors["give_up"].pop(0)
        self.aside.append((record.offset, attempts))

    def owns(self, partitions: int) -> None:
        """Take note."""
        self.owned.append(partitions)


@dataclass
class Running:
    """A worker that runs."""

    worker: Worker
    handler: ScriptedHandler
    consumer: ListConsumer
    stop: asyncio.Event
    status: LoopStatus
    task: asyncio.Task[None]

    async def ended(self) -> None:
        """Stop it and wait for its end."""
        self.stop.set()
        await self.task


def options(**changes: Any) -> WorkerOptions:
    """Return options with which nothing takes long."""
    loop = LoopOptions(
        bootstrap_servers="",
        topic_prefix="t.",
        partitions=2,
        instance="0",
        commit_interval_seconds=0,
        backoff_seconds=0.001,
        backoff_seconds_max=0.01,
        revoke_timeout_seconds=changes.pop("revoke_timeout_seconds", 5),
    )
    return WorkerOptions(loop, **{"poll_seconds": 0.002, "poll_timeout_seconds": 0.05, "stop_grace_seconds": 5.0, **changes})


@asynccontextmanager
async def running(broker: Broker, partitions: Sequence[int] = (0, 1), handler: ScriptedHandler | None = None, **changes: Any) -> Any:
    """Run a worker with its partitions assigned; stop it in the end if the test has not."""
    handler = handler or ScriptedHandler()
    consumer = ListConsumer(broker, partitions)
    status = LoopStatus()
    worker = Worker(
        handler,
        (SENDS,),
        options=options(**changes),
        clock=SystemClock(),
        metrics=Metrics(),
        status=status,
        consumer=lambda: consumer,
    )
    stop = asyncio.Event()
    run = Running(worker, handler, consumer, stop, status, asyncio.create_task(worker.run(stop)))
    await until(lambda: consumer.listener is not None)
    await consumer.assign()
    try:
        yield run
    finally:
        handler.go.set()
        await run.ended()
