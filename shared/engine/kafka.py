"""The reducers' loop on Kafka: the one file that owns delivery.

load → decide → save → publish → commit, a batch at a time, all partitions of a batch together. Whatever fails, the partitions
concerned forget what they hold in memory, go back to the last done offset on *all* their topics, wait and go on: never exit, never
skip. Plain aiokafka, because a framework's subscriber acknowledges, commits or swallows at moments of its own choosing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError
from pydantic import BaseModel

from shared.clock import Clock
from shared.engine.batch import BatchWork, Outcome
from shared.engine.corruption import tell_corruption
from shared.engine.gaps import began_anew
from shared.engine.liveness import is_alive
from shared.engine.options import LoopOptions, consumer_options
from shared.engine.records import Publisher, Record
from shared.engine.shards import Shards
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.engine.stopping import stop_consumer
from shared.errors import RecoverableError
from shared.metrics import Metrics
from shared.store.port import Collection
from shared.topics import Topic

S = TypeVar("S", bound=BaseModel)
Fetched = Mapping[TopicPartition, list[ConsumerRecord]]

logger = structlog.get_logger(__name__)


class ReducerLoop(ConsumerRebalanceListener, Generic[S]):  # type: ignore[misc] # aiokafka carries no types
    """Runs one reducer until it is told to stop."""

    def __init__(
        self,
        engine: Engine[S],
        collection: Collection,
        publisher: Publisher,
        *,
        options: LoopOptions,
        clock: Clock,
        metrics: Metrics,
        status: LoopStatus,
    ) -> None:
        self._engine = engine
        self._options = options
        self._clock = clock
        self._metrics = metrics
        self._status = status
        self._name = engine.reducer.name
        self._topics: dict[str, Topic] = {options.topic_prefix + topic.name: topic for topic in engine.reducer.inputs}
        self._work = BatchWork(engine, collection, publisher, options=options, clock=clock, metrics=metrics)
        self._shards: Shards[S] = self._work.shards
        self._batch_in_hand = asyncio.Lock()
        self._generation = 0
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._last_commit_seconds = 0.0
        self._committing: asyncio.Task[None] | None = None
        self._failures_in_a_row = 0
        self._consumer: AIOKafkaConsumer | None = None

    # --- the loop -------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Read, work and commit until `stop` is set; then finish the batch in hand, commit and leave."""
        while (consumer := await self._connected(stop)) is not None:
            try:
                while not stop.is_set() and is_alive(consumer):
                    await self._turn(consumer, stop)
            except CorruptRecordException as broken:
                tell_corruption(broken, reader=self._name, metrics=self._metrics)
                await _sleep_unless(stop, self._options.backoff_seconds)
            finally:
                async with self._batch_in_hand:
                    await self._commit_all(consumer)
                self._status.ready = False
                self._consumer = None
                if (error := await stop_consumer(consumer)) is not None:
                    logger.warning("consumer.abandoned", reducer=self._name, error=type(error).__name__)

    async def _turn(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """One batch, or one idle wait."""
        if self._status.stopped is not None:
            await stop.wait()
            return
        generation = self._generation
        try:
            async with asyncio.timeout(self._options.read_timeout_seconds):
                fetched: Fetched = await consumer.getmany(timeout_ms=self._wait_milliseconds(), max_records=self._options.records_max)
        except TimeoutError:
            return  # in a rebalance: nothing was read, for a read that is given up has taken nothing
        except CorruptRecordException:
            raise  # only a new client knows where to read on
        except KafkaError as error:
            if (begun := await began_anew(consumer, error, reader=self._name, metrics=self._metrics)) is None:
                await self._give_back(consumer, set(self._shards.owned), error, stop)
            else:
                self._done.update(begun)
            return
        async with self._batch_in_hand:
            if generation != self._generation:
                self._seek_to_first(consumer, fetched)
                return
            outcome = await self._work_on(fetched, generation)
            self._status.worked(self._clock.now())
        for reason, shards in outcome.failed:
            await self._give_back(consumer, shards, reason, stop, others_go_on=bool(outcome.done))
        if not outcome.failed:
            self._failures_in_a_row = 0
        self._commit_lazily(consumer)

    async def _work_on(self, fetched: Fetched, generation: int) -> Outcome:
        """Carry the batch through; return what came of it."""
        for partition, records in fetched.items():
            if records:
                self._done.setdefault(partition, records[0].offset)
        outcome = await self._work.carry_out(self._by_shard(fetched))
        if generation != self._generation:
            # A revoke did not wait for this batch any longer. What it did stands, but it is not ours to commit, nor to remember: who has
            # the partitions now, and be it we again, has gone on from what was committed.
            self._shards.own(set(self._shards.owned))
            return Outcome()
        for (topic, shard), offset in outcome.done.items():
            self._done[TopicPartition(self._options.topic_prefix + topic.name, shard)] = offset
        if outcome.stopped:
            self._status.stopped = outcome.stopped
        return outcome

    def _wait_milliseconds(self) -> int:
        """Return how long to wait for records: until the nearest timer."""
        seconds = self._shards.seconds_to_next_timer(self._clock.now())
        if seconds is None:
            return self._options.idle_wait_milliseconds
        return max(0, min(self._options.idle_wait_milliseconds, int(seconds * 1000) + 1))

    def _by_shard(self, fetched: Fetched) -> dict[int, list[Record]]:
        """Return the records per partition number, the topics of one merged by time so that none starves another."""
        topics_of: dict[int, list[list[Record]]] = defaultdict(list)
        for partition, records in fetched.items():
            topic = self._topics[partition.topic]
            topics_of[partition.partition].append(
                [Record(topic, partition.partition, r.offset, r.key, r.value, r.timestamp) for r in records]
            )
        by_shard = {shard: _merged(topics) for shard, topics in topics_of.items()}
        self._observe_lag(by_shard.values())
        return by_shard

    def _observe_lag(self, batches: Iterable[list[Record]]) -> None:
        oldest = min((record.timestamp_milliseconds for records in batches for record in records), default=None)
        now = self._clock.now().timestamp()
        self._metrics.lag_seconds.labels(self._name).set(0.0 if oldest is None else max(0.0, now - oldest / 1000))
        if oldest is not None:
            newest = max(records[-1].timestamp_milliseconds for records in batches if records)
            self._metrics.clock_skew.labels(self._name).set(now - newest / 1000)

    # --- failures -------------------------------------------------------------------------------------------------

    async def _give_back(
        self, consumer: AIOKafkaConsumer, shards: set[int], error: Exception, stop: asyncio.Event, *, others_go_on: bool = False
    ) -> None:
        """Forget the shards' memory, seek all their topics back to the last done offset, and wait with backoff."""
        self._failures_in_a_row += 1
        self._metrics.failures.labels(self._name, type(error).__name__).inc()
        recoverable = isinstance(error, RecoverableError | KafkaError)
        log = logger.warning if recoverable else logger.error
        log(
            "batch.given_back",
            reducer=self._name,
            shards=sorted(shards),
            error=type(error).__name__,
            detail=str(error) if recoverable else None,
            failures_in_a_row=self._failures_in_a_row,
            exc_info=None if recoverable else error,
        )
        async with self._batch_in_hand:
            self._shards.forget(shards)
            assigned = consumer.assignment()
            for partition in assigned:
                if partition.partition in shards and partition in self._done:
                    consumer.seek(partition, self._done[partition])
        await _sleep_unless(stop, self._pause_seconds(others_go_on=others_go_on))

    def _pause_seconds(self, *, others_go_on: bool) -> float:
        """Return how long to wait after a failure: ever longer, but not long where other shards' work waits meanwhile."""
        doubled = self._options.backoff_seconds * 2.0 ** min(self._failures_in_a_row - 1, 10)
        return min(doubled, self._options.shared_backoff_seconds_max if others_go_on else self._options.backoff_seconds_max)

    def _seek_to_first(self, consumer: AIOKafkaConsumer, fetched: Fetched) -> None:
        """Give back records that were read across a rebalance: who owns them has been decided anew."""
        assigned = consumer.assignment()
        for partition, records in fetched.items():
            if partition in assigned and records:
                consumer.seek(partition, records[0].offset)

    # --- commits --------------------------------------------------------------------------------------------------

    def _commit_lazily(self, consumer: AIOKafkaConsumer) -> None:
        """Begin a commit of what is done, if one is due: the next batch does not wait for its answer, a revoke does."""
        now = self._clock.monotonic_seconds()
        is_idle = self._committing is None or self._committing.done()
        if is_idle and now - self._last_commit_seconds >= self._options.commit_interval_seconds:
            self._last_commit_seconds = now
            if offsets := self._uncommitted(consumer):
                self._committing = asyncio.create_task(self._commit(consumer, offsets))

    async def _commit_all(self, consumer: AIOKafkaConsumer) -> None:
        """Commit everything that is done, after the commit that may be under way."""
        if self._committing is not None:
            await self._committing
        if offsets := self._uncommitted(consumer):
            await self._commit(consumer, offsets)

    def _uncommitted(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Return the next offset of every partition of ours where more is done than is committed."""
        assigned = consumer.assignment()
        return {tp: offset for tp, offset in self._done.items() if tp in assigned and self._committed.get(tp) != offset}

    async def _commit(self, consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
        """Commit, naming partitions and offsets; a failure is told and tried again with the next."""
        try:
            async with asyncio.timeout(self._options.commit_timeout_seconds):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._metrics.failures.labels(self._name, "commit").inc()
            logger.warning("commit.failed", reducer=self._name, error=type(error).__name__, partitions=len(offsets))
        else:
            self._committed.update(offsets)

    # --- assignment -----------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 # all are
        """A barrier: finish the batch in hand, commit, forget. aiokafka rebalances eagerly: all partitions are named."""
        try:
            async with asyncio.timeout(self._options.revoke_timeout_seconds), self._batch_in_hand:
                if self._consumer is not None:
                    await self._commit_all(self._consumer)
        except TimeoutError:
            logger.warning("revoke.timed_out", reducer=self._name, after_seconds=self._options.revoke_timeout_seconds)
        self._generation += 1
        self._shards.forget(set(self._shards.owned))
        self._shards.own(set())
        self._done.clear()
        self._committed.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take note of what is ours now; the next batch flushes what timers left unpublished and looks for due timers."""
        self._generation += 1
        self._metrics.rebalances.labels(self._name).inc()
        self._shards.own({partition.partition for partition in assigned})
        self._status.ready = True
        logger.info("partitions.assigned", reducer=self._name, shards=sorted(self._shards.owned))

    # --- connection -----------------------------------------------------------------------------------------------

    async def _connected(self, stop: asyncio.Event) -> AIOKafkaConsumer | None:
        """Return a consumer that has joined its group, however long the broker takes to answer; None when told to stop before."""
        delay = self._options.backoff_seconds
        while not stop.is_set():
            consumer = AIOKafkaConsumer(**consumer_options(self._options, self._name))
            try:
                await consumer.start()
            except (KafkaError, OSError) as error:
                logger.warning("broker.unreachable", reducer=self._name, error=type(error).__name__, retry_in_seconds=delay)
                await stop_consumer(consumer)
                await _sleep_unless(stop, delay)
                delay = min(self._options.backoff_seconds_max, delay * 2)
                continue
            self._consumer = consumer
            consumer.subscribe(topics=list(self._topics), listener=self)
            return consumer
        return None


def _merged(topics: list[list[Record]]) -> list[Record]:
    """Return the records of several topics by time, each topic's own in their order.

    Never sorted: producers' clocks differ, and a record behind one with a higher offset of its topic would be taken for a replay.
    """
    return topics[0] if len(topics) == 1 else list(heapq.merge(*topics, key=attrgetter("timestamp_milliseconds")))


async def _sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not after `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
