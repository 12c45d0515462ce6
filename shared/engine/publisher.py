"""Writing to Kafka: batches built per partition, one in flight per partition, and no answer before the last acknowledgement.

The batches are made by hand because the alternatives lose something: `send` per record costs five times the CPU, and FastStream's
batch publishing ignores the key. The producer is idempotent and is thrown away after any failure: what it may still hold must not
arrive behind what its successor writes.

Partitions fail one by one (too few replicas in sync, a leader that is gone), so each is told apart from its neighbours: who wrote to a
healthy one is not held up by a sick one for longer than `laggards_seconds`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.engine.connection import Servers, client_options
from shared.engine.placement import partition_of
from shared.engine.records import PartlyWrittenError, Publication
from shared.errors import BrokerUnavailableError

BATCH_BYTES_MAX = 900 * 1024
"""Largest batch: below the broker's default limit of 1 MiB for a request's batch."""
STOP_TIMEOUT_SECONDS = 5.0
"""How long a producer may take to stop before it is given up."""
LAGGARDS_SECONDS = 3.0
"""How long healthy partitions wait for sick ones, unless told otherwise: well above what brokers differ by when nothing is wrong."""
PLACES_SHOWN_MAX = 5

logger = structlog.get_logger(__name__)

Written = Callable[[Sequence[Publication]], None]
"""Hears, batch by batch, which publications are acknowledged, as soon as they are."""


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """Where and how to write. `timeout_seconds` bounds one call of publish as a whole.

    `laggards_seconds`: how much longer than the first partition the others of a call may take, and how long one may take that did not
    acknowledge the last time.
    """

    bootstrap_servers: Servers
    topic_prefix: str
    partitions: int
    client_id: str
    timeout_seconds: float = 15.0
    connect_timeout_seconds: float = 5.0
    laggards_seconds: float = LAGGARDS_SECONDS


class KafkaPublisher:
    """Writes publications through one producer. One call at a time: callers that share it go through GroupingPublisher."""

    def __init__(self, options: PublisherOptions) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._suspects: set[_Place] = set()
        self.failing = False

    async def publish(self, publications: Sequence[Publication], *, written: Written | None = None) -> None:
        """Write `publications` in order per key and return when all are acknowledged by all in-sync replicas.

        Raises PartlyWrittenError or BrokerUnavailableError otherwise; the producer is replaced at the next call.
        """
        if not publications:
            return
        parts = self._parts(publications)
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                failed = await self._write_all(parts, written)
        except (KafkaError, TimeoutError, OSError) as error:
            failed = dict.fromkeys((part.place for part in parts), error)
            self._suspects.update(failed)
        except BaseException:
            await self._discard()
            raise
        self.failing = bool(failed)
        if failed:
            await self._discard()
            raise _refusal(parts, failed)

    def _parts(self, publications: Sequence[Publication]) -> list[_Part]:
        """Return the publications by partition, in their order."""
        by_place: dict[_Place, list[Publication]] = defaultdict(list)
        for publication in publications:
            partition = partition_of(publication.key.encode(), self._options.partitions)
            by_place[_Place(self._options.topic_prefix + publication.topic.name, partition)].append(publication)
        return [_Part(place, chosen) for place, chosen in by_place.items()]

    async def _write_all(self, parts: Sequence[_Part], written: Written | None) -> dict[_Place, Exception]:
        """Write all parts, batch after batch; return those that were not acknowledged whole, and why."""
        producer = await self._connected()
        left = [(part.place, _batches(producer, part.publications)) for part in parts]
        failed: dict[_Place, Exception] = {}
        patience = _Patience(self._options.laggards_seconds, self._suspects)
        while left:
            left, refused = await _write_next(producer, left, patience, written)
            failed |= refused
        self._suspects = (self._suspects - {part.place for part in parts}) | failed.keys()
        return failed

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
    senders = _tasks_of(producer._sender)  # noqa: SLF001 # stop() would flush first and may wait for ever; there is no public way
    for task in senders:
        task.cancel()
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await producer.client.close()
    if senders:
        await asyncio.wait(senders, timeout=STOP_TIMEOUT_SECONDS)


def _tasks_of(sender: object) -> list[asyncio.Task[Any]]:
    """Return the tasks that run a method of `sender`: its own, and one per request under way, to which it alone has references."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is sender:
            found.append(task)
    return found


class _Place(NamedTuple):
    """A partition on the broker: the topic with its prefix, and the number."""

    topic: str
    partition: int


class _Part(NamedTuple):
    """What of one call goes to one partition."""

    place: _Place
    publications: Sequence[Publication]


class _Patience(NamedTuple):
    """How long to wait: `laggards_seconds` after the first acknowledgement, or from the start where only `suspects` are written to."""

    laggards_seconds: float
    suspects: set[_Place]


_Batches = Iterator[tuple[Any, list[Publication]]]
"""The batches of one partition with what is in each, made when the one before is acknowledged; aiokafka carries no types."""
_Left = list[tuple[_Place, _Batches]]


def _batches(producer: AIOKafkaProducer, publications: Iterable[Publication]) -> _Batches:
    """Yield one partition's publications in batches that the broker takes."""
    batch, chosen = producer.create_batch(), list[Publication]()
    for publication in publications:
        key = publication.key.encode()
        if batch.append(key=key, value=publication.value, timestamp=None) is None:
            yield batch, chosen
            batch, chosen = producer.create_batch(), []
            batch.append(key=key, value=publication.value, timestamp=None)
        chosen.append(publication)
    yield batch, chosen


async def _write_next(
    producer: AIOKafkaProducer, left: _Left, patience: _Patience, written: Written | None
) -> tuple[_Left, dict[_Place, Exception]]:
    """Write the next batch of each partition and wait for them; return those that had one, and which were not acknowledged, and why.

    No task per partition: they are handed over in one go, leave in one request, and its answer acknowledges them together.
    """
    handed_over: dict[_Place, _Batches] = {}
    acknowledgements: dict[_Place, asyncio.Future[Any]] = {}
    for place, batches in left:
        if (following := next(batches, None)) is not None:
            batch, chosen = following
            acknowledgements[place] = acknowledgement = await producer.send_batch(batch, place.topic, partition=place.partition)
            handed_over[place] = batches
            if written is not None:
                acknowledgement.add_done_callback(_telling(written, chosen))
    await _wait(acknowledgements, patience)
    failed = {place: error for place, one in acknowledgements.items() if (error := _error_of(one)) is not None}
    return [(place, batches) for place, batches in handed_over.items() if place not in failed], failed


async def _wait(acknowledgements: dict[_Place, asyncio.Future[Any]], patience: _Patience) -> None:
    """Wait until all are there, or the laggards have had their time."""
    missing = set(acknowledgements.values())
    if missing and not patience.suspects.issuperset(acknowledgements):
        _, missing = await asyncio.wait(missing, return_when=asyncio.FIRST_COMPLETED)
    if missing:
        await asyncio.wait(missing, timeout=patience.laggards_seconds)


def _error_of(acknowledgement: asyncio.Future[Any]) -> Exception | None:
    """Return why a batch was not acknowledged, or None where it was."""
    if not acknowledgement.done():
        return TimeoutError()
    error = acknowledgement.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _telling(written: Written, chosen: Sequence[Publication]) -> Callable[[asyncio.Future[Any]], None]:
    """Return what tells that `chosen` are written, once their acknowledgement is there."""

    def tell(acknowledgement: asyncio.Future[Any]) -> None:
        if not acknowledgement.cancelled() and acknowledgement.exception() is None:
            written(chosen)

    return tell


def _refusal(parts: Sequence[_Part], failed: dict[_Place, Exception]) -> BrokerUnavailableError:
    """Return the error that says what was not acknowledged."""
    unwritten = [publication for part in parts if part.place in failed for publication in part.publications]
    reasons = ", ".join(sorted({type(error).__name__ for error in failed.values()}))
    if len(failed) == len(parts):
        return BrokerUnavailableError(f"Kafka did not acknowledge {len(unwritten)} records: {reasons}")
    places = ", ".join(f"{place.topic}/{place.partition}" for place in sorted(failed)[:PLACES_SHOWN_MAX])
    return PartlyWrittenError(
        f"Kafka did not acknowledge {len(unwritten)} records on {len(failed)} partitions ({places}): {reasons}", unwritten
    )
