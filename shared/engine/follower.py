"""Reading topics without a group: for people and tools that look (trace, replay, the demo, tests), never for work.

A follower owns nothing and commits nothing, so any number of them can look at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.engine.connection import Servers, reader_options
from shared.engine.installation import describe
from shared.engine.records import Record
from shared.engine.refusals import refusal
from shared.engine.stopping import stop_consumer
from shared.errors import BrokerUnavailableError, InvalidEventError
from shared.events.envelope import Event
from shared.topics import Topic

RECORDS_PER_READ_MAX = 2_000
READ_MILLISECONDS = 200
CONNECT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A record and the event in it; `event` is None where it is none (`problem` says why)."""

    record: Record
    event: Event[Any] | None
    problem: str | None = None


class Follower:
    """Reads `topics` from their beginning, or from now on. Use as an async context manager."""

    def __init__(self, bootstrap_servers: Servers, topic_prefix: str, topics: Iterable[Topic], *, from_beginning: bool = True) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topics = {topic_prefix + topic.name: topic for topic in topics}
        self._from_beginning = from_beginning
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        """Connect and take its place. Raises BrokerUnavailableError."""
        found = await describe(self._bootstrap_servers, self._topics)
        consumer = AIOKafkaConsumer(**reader_options(self._bootstrap_servers), auto_offset_reset="earliest", fetch_max_wait_ms=100)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await consumer.start()
                partitions = [TopicPartition(name, number) for name, one in found.topics.items() for number in range(one.partitions)]
                consumer.assign(partitions)
                if partitions:
                    await (consumer.seek_to_beginning if self._from_beginning else consumer.seek_to_end)(*partitions)
        except (KafkaError, TimeoutError, OSError) as error:
            await stop_consumer(consumer)
            raise BrokerUnavailableError(
                f"Kafka at {self._bootstrap_servers} {await refusal(self._bootstrap_servers, error)}: "
                "is it running, and is KAFKA_BOOTSTRAP_SERVERS right?"
            ) from None
        self._consumer = consumer
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def read(self) -> list[Seen]:
        """Return what is there now, waiting up to READ_MILLISECONDS for something."""
        consumer = self._opened()
        fetched = await consumer.getmany(timeout_ms=READ_MILLISECONDS, max_records=RECORDS_PER_READ_MAX)
        return [
            _see(Record(self._topics[place.topic], place.partition, one.offset, one.key, one.value, one.timestamp))
            for place, records in fetched.items()
            for one in records
        ]

    async def read_to_end(self) -> AsyncIterator[list[Seen]]:
        """Yield everything up to what stood on the topics when this was called; nothing that comes later keeps it going."""
        consumer = self._opened()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            yield await self.read()

    def _opened(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            message = "open the follower first: async with Follower(…)"
            raise RuntimeError(message)
        return self._consumer


def _see(record: Record) -> Seen:
    """Return the record with its event, or with what is wrong with it."""
    try:
        return Seen(record, record.topic.decode(record.value or b""))
    except InvalidEventError as error:
        return Seen(record, None, str(error))
