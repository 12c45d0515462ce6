"""The fifth shape: a loop for work that takes effect outside (an HTTP call), where reducers take effect inside.

Records are handled concurrently across keys and one after the other within a key. What may be committed is the contiguous part of
each partition (`worker_offsets`), so a crash repeats records and never skips one; the handler knows from its own ledger what it has
done. A partition whose handling fails is read again from its first unfinished record; the others go on. A partition that holds too
much is paused. Before partitions are given away, what is under way is finished and committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, IllegalStateError, KafkaError

from shared.clock import Clock
from shared.engine.corruption import tell_corruption
from shared.engine.gaps import began_anew
from shared.engine.liveness import is_alive
from shared.engine.options import consumer_options
from shared.engine.records import Record
from shared.engine.status import LoopStatus
from shared.engine.stopping import stop_consumer
from shared.engine.worker_crew import Crew, GivenBack, Place
from shared.engine.worker_job import Handler
from shared.engine.worker_options import Consumer, WorkerOptions
from shared.errors import RecoverableError
from shared.metrics import Metrics
from shared.topics import Topic

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Setback:
    """A partition that failed: how often in a row, at which offset, and when it may be read again (monotonic seconds)."""

    in_a_row: int
    offset: int
    resume_at_seconds: float


class Worker(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka carries no types
    """Runs one handler over its topics until it is told to stop."""

    def __init__(
        self,
        handler: Handler,
        topics: Sequence[Topic],
        *,
        options: WorkerOptions,
        clock: Clock,
        metrics: Metrics,
        status: LoopStatus,
        consumer: Callable[[], Consumer] | None = None,
    ) -> None:
        self._handler = handler
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._status = status
        self._topics = {options.loop.topic_prefix + topic.name: topic for topic in topics}
        self._new_consumer = consumer or self._kafka_consumer
        self._crew = Crew(handler, active_max=options.threads_max)
        self._committed: dict[Place, int] = {}
        self._paused: set[TopicPartition] = set()
        self._setbacks: dict[Place, _Setback] = {}
        self._consumer: Consumer | None = None

    # --- the loop -------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Read and hand out until `stop` is set; then finish what is under way within its grace, commit and leave.

        A client whose background task died is let go of as at a revoke, and replaced.
        """
        try:
            while (consumer := await self._connected(stop)) is not None:
                await self._work_with(consumer, stop)
        finally:
            await self._crew.cancel()

    async def _work_with(self, consumer: Consumer, stop: asyncio.Event) -> None:
        """Read through `consumer` until `stop` is set or it is dead; then let go of everything and stop it."""
        committing = asyncio.create_task(self._commit_for_ever(consumer))
        try:
            while not stop.is_set() and is_alive(consumer):
                await self._turn(consumer)
        except CorruptRecordException as broken:
            tell_corruption(broken, reader=self._handler.name, metrics=self._metrics)
            await _wait_unless(stop, self._options.loop.backoff_seconds)
        finally:
            self._status.ready = False
            committing.cancel()
            await asyncio.wait({committing})
            await self._barrier(consumer, self._options.stop_grace_seconds if stop.is_set() else self._options.loop.revoke_timeout_seconds)
            self._forget_place()
            self._consumer = None
            if (error := await stop_consumer(consumer)) is not None:
                logger.warning("consumer.abandoned", worker=self._handler.name, error=type(error).__name__)

    async def _turn(self, consumer: Consumer) -> None:
        """Seek back what failed, pause what is full, and read once."""
        for given_back in self._crew.given_back():
            self._seek_back(consumer, given_back)
        self._regulate(consumer)
        try:
            async with asyncio.timeout(self._options.poll_timeout_seconds):
                fetched = await consumer.getmany(timeout_ms=self._poll_milliseconds(), max_records=self._options.records_per_poll_max)
        except TimeoutError:
            logger.info("poll.waited", worker=self._handler.name, seconds=self._options.poll_timeout_seconds)
            return
        except CorruptRecordException:
            raise  # only a new client knows where to read on
        except KafkaError as error:
            if await began_anew(consumer, error, reader=self._handler.name, metrics=self._metrics) is not None:
                return
            self._metrics.failures.labels(self._handler.name, "poll").inc()
            logger.warning("poll.failed", worker=self._handler.name, error=type(error).__name__)
            await asyncio.sleep(self._options.loop.backoff_seconds)
            return
        # No await between the read and this line: a rebalance cannot come between them.
        self._take(fetched)
        self._status.worked(self._clock.now())

    def _take(self, fetched: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        """Hand records to the crew."""
        oldest: int | None = None
        for partition, found in fetched.items():
            topic = self._topics[partition.topic]
            self._crew.take(Record(topic, partition.partition, r.offset, r.key, r.value, r.timestamp) for r in found)
            oldest = min((found[0].timestamp, oldest or found[0].timestamp)) if found else oldest
        now_milliseconds = self._clock.now().timestamp() * 1000
        self._metrics.lag_seconds.labels(self._handler.name).set(0.0 if oldest is None else max(0.0, (now_milliseconds - oldest) / 1000))

    # --- backpressure and failures ----------------------------------------------------------------------------------

    def _regulate(self, consumer: Consumer) -> None:
        """Pause the partitions that hold too much or failed a moment ago, resume the others."""
        assigned = consumer.assignment()
        self._paused &= assigned
        now = self._clock.monotonic_seconds()
        for partition in assigned:
            place = self._place(partition)
            setback = self._setbacks.get(place)
            waits = setback is not None and now < setback.resume_at_seconds
            bound = self._options.records_per_partition_max // (2 if partition in self._paused else 1)
            self._set_paused(consumer, partition, paused=waits or self._crew.held(place) >= max(1, bound))

    def _set_paused(self, consumer: Consumer, partition: TopicPartition, *, paused: bool) -> None:
        if paused and partition not in self._paused:
            consumer.pause(partition)
            self._paused.add(partition)
        elif not paused and partition in self._paused:
            consumer.resume(partition)
            self._paused.discard(partition)

    def _seek_back(self, consumer: Consumer, given_back: GivenBack) -> None:
        """Have a failed partition read again from its first unfinished record, later with every failure in a row."""
        place, error = given_back.place, given_back.error
        earlier = self._setbacks.get(place)
        in_a_row = earlier.in_a_row + 1 if earlier is not None and earlier.offset == given_back.offset else 1
        loop = self._options.loop
        wait_seconds = min(loop.backoff_seconds_max, loop.backoff_seconds * 2 ** min(in_a_row - 1, 10))
        self._setbacks[place] = _Setback(in_a_row, given_back.offset, self._clock.monotonic_seconds() + wait_seconds)
        self._report(given_back, in_a_row, wait_seconds)
        try:
            consumer.seek(TopicPartition(loop.topic_prefix + place.topic, place.partition), given_back.offset)
        except IllegalStateError:
            logger.info("seek.not_needed", worker=self._handler.name, partition=place.partition, error=type(error).__name__)

    def _report(self, given_back: GivenBack, in_a_row: int, wait_seconds: float) -> None:
        """Say what failed: in one line where something is down, with its traceback where it is a mistake of ours."""
        error = given_back.error
        recoverable = isinstance(error, RecoverableError)
        self._metrics.failures.labels(self._handler.name, type(error).__name__).inc()
        (logger.warning if recoverable else logger.error)(
            "partition.given_back",
            worker=self._handler.name,
            partition=given_back.place.partition,
            offset=given_back.offset,
            failures_in_a_row=in_a_row,
            again_in_seconds=wait_seconds,
            error=type(error).__name__,
            detail=str(error) if recoverable else None,
            exc_info=None if recoverable else error,
        )

    def _poll_milliseconds(self) -> int:
        """Return how long to wait for records: not longer than until a partition may be read again."""
        now = self._clock.monotonic_seconds()
        waits = [s.resume_at_seconds - now for s in self._setbacks.values() if s.resume_at_seconds > now]
        return int(min([self._options.poll_seconds, *waits]) * 1000) + 1

    # --- commits ------------------------------------------------------------------------------------------------------

    async def _commit_for_ever(self, consumer: Consumer) -> None:
        """Commit a while after something ended, as long as the worker runs."""
        while True:
            await self._crew.changed.wait()
            await asyncio.sleep(self._options.loop.commit_interval_seconds)
            self._crew.changed.clear()
            await self._commit(consumer)

    async def _commit(self, consumer: Consumer) -> None:
        """Commit the contiguous offsets, naming partitions; a failure is told, and tried again a while later."""
        assigned = {self._place(partition): partition for partition in consumer.assignment()}
        positions = {p: offset for p, offset in self._crew.positions().items() if p in assigned and self._committed.get(p) != offset}
        if not positions:
            return
        try:
            async with asyncio.timeout(self._options.loop.commit_timeout_seconds):
                await consumer.commit({assigned[place]: offset for place, offset in positions.items()})
        except (KafkaError, TimeoutError) as error:
            self._metrics.failures.labels(self._handler.name, "commit").inc()
            logger.warning("commit.failed", worker=self._handler.name, error=type(error).__name__, partitions=len(positions))
            self._crew.changed.set()  # nothing else may end for hours, and a partition would look as if it stood still
        else:
            self._committed.update(positions)

    # --- assignment ---------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 # eager: all are revoked, always
        """A barrier: finish what is under way, commit, forget. aiokafka gives all partitions away at every rebalance."""
        if self._consumer is not None:
            await self._barrier(self._consumer, self._options.loop.revoke_timeout_seconds)
        self._forget_place()

    def _forget_place(self) -> None:
        """Forget what was known of partitions that are no longer ours."""
        self._committed.clear()
        self._setbacks.clear()
        self._paused.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Tell the handler its share. Reading goes on from what was committed."""
        partitions = list(assigned)
        self._metrics.rebalances.labels(self._handler.name).inc()
        self._handler.owns(len(partitions))
        self._status.ready = True
        logger.info("partitions.assigned", worker=self._handler.name, partitions=sorted(p.partition for p in partitions))

    async def _barrier(self, consumer: Consumer, seconds: float) -> None:
        """Let go of everything: finish, commit, forget."""
        late = await self._crew.let_go(seconds)
        if late:
            logger.warning("barrier.timed_out", worker=self._handler.name, after_seconds=seconds, jobs=late)
        await self._commit(consumer)
        self._crew.forget()

    # --- connection ---------------------------------------------------------------------------------------------------

    def _kafka_consumer(self) -> Consumer:
        """Return a consumer of the real broker."""
        return cast("Consumer", AIOKafkaConsumer(**consumer_options(self._options.loop, self._handler.name)))

    async def _connected(self, stop: asyncio.Event) -> Consumer | None:
        """Return a consumer in its group, however long the broker takes to answer; None when told to stop before."""
        delay = self._options.loop.backoff_seconds
        while not stop.is_set():
            consumer = self._new_consumer()
            try:
                await consumer.start()
            except (KafkaError, OSError) as error:
                logger.warning("broker.unreachable", worker=self._handler.name, error=type(error).__name__, retry_in_seconds=delay)
                await stop_consumer(consumer)
                await _wait_unless(stop, delay)
                delay = min(self._options.loop.backoff_seconds_max, delay * 2)
                continue
            self._consumer = consumer
            consumer.subscribe(list(self._topics), listener=self)
            return consumer
        return None

    def _place(self, partition: TopicPartition) -> Place:
        return Place(self._topics[partition.topic].name, partition.partition)


async def _wait_unless(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not after `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
