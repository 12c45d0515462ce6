"""Writing to Kafka: batches built per partition, one in flight per partition, and no answer before the last acknowledgement.

The batches are made by hand because the alternatives lose something: `send` per record costs five times the CPU, and FastStream's
batch publishing ignores the key. The producer is idempotent and is thrown away after any failure: what it may still hold must not
arrive behind what its successor writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.engine.connection import Servers, client_options
from shared.engine.placement import partition_of
from shared.engine.records import Publication, Publisher
from shared.errors import BrokerUnavailableError

BATCH_BYTES_MAX = 900 * 1024
"""Largest batch: below the broker's default limit of 1 MiB for a request's batch."""
STOP_TIMEOUT_SECONDS = 5.0
"""How long a producer may take to stop before it is given up."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """Where and how to write. `timeout_seconds` bounds one call of publish as a whole."""

    bootstrap_servers: Servers
    topic_prefix: str
    partitions: int
    client_id: str
    timeout_seconds: float = 15.0
    connect_timeout_seconds: float = 5.0


class KafkaPublisher:
    """Writes publications through one producer. One call at a time: callers that share it go through GroupingPublisher."""

    def __init__(self, options: PublisherOptions) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self.failing = False

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications` in order per key and return when all are acknowledged by all in-sync replicas.

        Raises BrokerUnavailableError otherwise; the producer is replaced at the next call.
        """
        if not publications:
            return
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                await self._write_all(publications)
        except (KafkaError, TimeoutError, OSError) as error:
            self.failing = True
            await self._discard()
            raise BrokerUnavailableError(f"Kafka did not acknowledge {len(publications)} records: {type(error).__name__}") from None
        except BaseException:
            await self._discard()
            raise
        self.failing = False

    async def _write_all(self, publications: Sequence[Publication]) -> None:
        producer = await self._connected()
        by_partition: dict[tuple[str, int], list[Publication]] = defaultdict(list)
        for publication in publications:
            partition = partition_of(publication.key.encode(), self._options.partitions)
            by_partition[self._options.topic_prefix + publication.topic.name, partition].append(publication)
        left = [(topic, partition, _batches(producer, chosen)) for (topic, partition), chosen in by_partition.items()]
        while left := await _write_next(producer, left):
            pass

    async def close(self) -> None:
        """Stop the producer after what it holds is written, within STOP_TIMEOUT_SECONDS."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await producer.stop()
        except (KafkaError, TimeoutError, OSError) as error:
            logger.warning("producer.abandoned", error=type(error).__name__)
            await _abandon(producer)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **client_options(self._options.bootstrap_servers),
                client_id=self._options.client_id,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES_MAX,
                request_timeout_ms=int(self._options.timeout_seconds * 1000),
            )
            try:
                async with asyncio.timeout(self._options.connect_timeout_seconds):
                    await producer.start()
            except BaseException:
                await _abandon(producer)
                raise
            self._producer = producer
        return self._producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Give a producer up without flushing it: what it still holds must not reach the log behind its successor's records."""
    producer._closed = True  # noqa: SLF001 # else it reports itself as forgotten when it is collected
    sender = producer._sender.sender_task  # noqa: SLF001 # stop() would flush first and may wait for ever; there is no public way
    if sender is not None:
        sender.cancel()
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await producer.client.close()


_Batches = Iterator[Any]
"""The batches of one partition, each made when the one before is acknowledged; aiokafka carries no types."""


def _batches(producer: AIOKafkaProducer, publications: Iterable[Publication]) -> _Batches:
    """Yield one partition's publications in batches that the broker takes."""
    batch = producer.create_batch()
    for publication in publications:
        key = publication.key.encode()
        if batch.append(key=key, value=publication.value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=publication.value, timestamp=None)
    yield batch


async def _write_next(producer: AIOKafkaProducer, left: Iterable[tuple[str, int, _Batches]]) -> list[tuple[str, int, _Batches]]:
    """Write the next batch of each partition and wait for all of them; return those that had one.

    No task per partition: they are handed over in one go, leave in one request, and its answer acknowledges them together.
    """
    handed_over: list[tuple[str, int, _Batches]] = []
    acknowledgements: list[asyncio.Future[Any]] = []
    for topic, partition, batches in left:
        batch = next(batches, None)
        if batch is not None:
            acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
            handed_over.append((topic, partition, batches))
    if acknowledgements:
        await asyncio.wait(acknowledgements)
    errors = [error for acknowledgement in acknowledgements if (error := acknowledgement.exception()) is not None]
    if errors:
        raise errors[0]
    return handed_over


@dataclass(slots=True)
class _Waiting:
    publications: Sequence[Publication]
    done: asyncio.Future[None]


@dataclass(slots=True)
class GroupingPublisher:
    """Lets many callers share one publisher: what arrives while a write is under way goes out together with the next.

    There is no linger: an idle publisher writes at once, a busy one makes its batches as large as the load asks for.
    """

    inner: Publisher
    publications_max: int = 5_000
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications` together with others'; errors as the inner publisher's."""
        if not publications:
            return
        entry = _Waiting(publications, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        await entry.done

    async def _drain(self) -> None:
        while self._waiting:
            entries = self._take()
            try:
                await self.inner.publish([publication for entry in entries for publication in entry.publications])
            except BrokerUnavailableError as error:
                _settle(entries, BrokerUnavailableError(str(error)))
            except BaseException as error:
                _settle([*entries, *self._waiting], BrokerUnavailableError(f"the publisher stopped: {type(error).__name__}"))
                self._waiting.clear()
                raise
            else:
                _settle(entries, None)

    def _take(self) -> list[_Waiting]:
        """Return the next callers' entries, up to publications_max records, without those who have given up waiting."""
        entries: list[_Waiting] = []
        count = 0
        while self._waiting and (not entries or count + len(self._waiting[0].publications) <= self.publications_max):
            entry = self._waiting.popleft()
            if not entry.done.done():
                entries.append(entry)
                count += len(entry.publications)
        return entries


def _settle(entries: Iterable[_Waiting], error: BrokerUnavailableError | None) -> None:
    for entry in entries:
        if not entry.done.done():
            if error is None:
                entry.done.set_result(None)
            else:
                entry.done.set_exception(error)
