"""Collects what concerns a thread from the topics.

The topics keyed by thread are read on the one partition where its records are; those of pools and accounts whole. Reading stops at
what stood there when it began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from cli.cluster import partition_counts, reading, topic_names
from cli.connection import Connection
from cli.masking import mask_key
from cli.topic_table import DEAD
from shared.engine.placement import partition_of
from shared.engine.records import Record
from shared.errors import InvalidEventError, ParleyError
from shared.events.envelope import Event
from shared.events.shapes import Customer
from shared.ids import split_thread
from shared.topics import TOPICS, Topic, dead_letters_of

READ_MILLISECONDS = 200
RECORDS_PER_READ_MAX = 5_000
THREADS_NAMED_MAX = 10
PARTS = 3
"""Parts of a thread id."""

Advance = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Found:
    """A record that concerns the thread. `event` is None where it is no valid event (`problem` says why)."""

    record: Record
    event: Event[Any] | None
    problem: str = ""


class ThreadFinder:
    """Reads an installation's topics for one thread."""

    def __init__(self, connection: Connection, counts: dict[str, int], dead: list[Topic]) -> None:
        self._connection = connection
        self._counts = counts
        self._by_thread = [topic for topic in TOPICS if topic.key == "thread" and topic.name in counts]
        self._by_pool = [topic for topic in TOPICS if topic.key == "pool" and topic.name in counts]
        self._dead = dead

    @classmethod
    async def open(cls, connection: Connection) -> ThreadFinder:
        """Look at which topics there are. Raises BrokerUnavailableError."""
        there = await topic_names(connection)
        dead = [dead_letters_of(name.removeprefix(DEAD)) for name in there if name.startswith(DEAD)]
        counts = await partition_counts(connection, there)
        if not any(topic.name in counts for topic in TOPICS):
            raise ParleyError(
                f"{connection.bootstrap_servers} has no topics that begin with {connection.prefix}: is --prefix right, or run "
                "`parley topics create`"
            )
        return cls(connection, counts, dead)

    async def resolve(self, part: str, advance: Advance) -> str:
        """Return the id of the thread that `part` names: whole, or what only one thread has in its id or in its customer's other ids.

        A thread goes by the channel's most stable id, but what people know of a customer is the phone number, or a user name.
        Raises ParleyError for none or several.
        """
        if part.count(":") >= PARTS - 1:
            split_thread(part)
            return part
        wanted = part.removeprefix("+").encode()
        found: set[str] = set()
        async for record in self._records(self._by_thread, None, advance):
            if record.key is not None and (wanted in record.key or _names_customer(record, wanted)):
                found.add(record.key.decode("utf-8", "replace"))
        if part in {thread.rpartition(":")[2] for thread in found}:
            found = {thread for thread in found if thread.split(":", PARTS - 1)[-1] == part}
        if len(found) == 1:
            return found.pop()
        if not found:
            raise ParleyError(
                f"no thread on {self._connection.bootstrap_servers} has {mask_key(':' + part)[1:]} in its id, or its customer"
            )
        some = ", ".join(sorted(mask_key(thread) for thread in found)[:THREADS_NAMED_MAX])
        raise ParleyError(f"{len(found)} threads have that in their ids ({some}): write more of it")

    async def collect(self, thread: str, advance: Advance) -> list[Found]:
        """Return everything that concerns `thread`, topic by topic. Raises ParleyError where nothing does."""
        found = [_see(record) async for record in self._records(self._by_thread, thread, advance) if record.key == thread.encode()]
        letters = [_see(record) async for record in self._records(self._dead, thread, advance) if record.key == thread.encode()]
        if not found and not letters:
            raise ParleyError(f"nothing is on the topics about {mask_key(thread)}: they keep 7 days, dead letters 30")
        conversations = {
            name for one in found if one.event is not None and (name := getattr(one.event.data, "conversation_id", None)) is not None
        }
        pools = [_see(record) async for record in self._records(self._by_pool, None, advance) if _mentions(record, thread, conversations)]
        of_pools = [one for one in pools if one.event is not None and _concerns(one.event, thread, conversations)]
        return [*found, *of_pools, *letters]

    async def _records(self, topics: Iterable[Topic], thread: str | None, advance: Advance) -> AsyncIterator[Record]:
        """Yield the records of `topics`: of the partition of `thread`, or of all."""
        by_name = {self._connection.prefix + topic.name: topic for topic in topics}
        places = [TopicPartition(name, number) for name, topic in by_name.items() for number in self._partitions(topic, thread)]
        if not places:
            return
        async with reading(self._connection) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
            async for place, one in _read_to(consumer, ends):
                advance(1)
                yield Record(by_name[place.topic], place.partition, one.offset, one.key, one.value, one.timestamp)

    def _partitions(self, topic: Topic, thread: str | None) -> Iterable[int]:
        count = self._counts[topic.name]
        return range(count) if thread is None else (partition_of(thread.encode(), count),)


async def _read_to(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> AsyncIterator[tuple[TopicPartition, Any]]:
    """Yield what stands before `ends`."""
    while any([await consumer.position(place) < end for place, end in ends.items()]):
        fetched = await consumer.getmany(timeout_ms=READ_MILLISECONDS, max_records=RECORDS_PER_READ_MAX)
        for place, records in fetched.items():
            for record in records:
                if record.offset < ends[place]:
                    yield place, record


def _see(record: Record) -> Found:
    """Return the record with its event, or with what is wrong with it."""
    try:
        return Found(record, record.topic.decode(record.value or b""))
    except InvalidEventError as error:
        return Found(record, None, str(error))


def _names_customer(record: Record, wanted: bytes) -> bool:
    """Return whether the record tells of a customer who has `wanted` in one of the ids that are not the thread's own."""
    if wanted not in (record.value or b""):  # cheap: few records need be decoded
        return False
    event = _see(record).event
    customer = getattr(event.data, "customer", None) if event is not None else None
    if not isinstance(customer, Customer):
        return False
    ids = (customer.phone, customer.business_scoped_id, customer.parent_id, customer.username, customer.email)
    return any(wanted.decode() in one for one in ids if one is not None)


def _mentions(record: Record, thread: str, conversations: set[str]) -> bool:
    """Return whether a pool's record may concern the thread: cheap, so that the others need not be decoded."""
    value = record.value or b""
    return thread.encode() in value or any(name.encode() in value for name in conversations)


def _concerns(event: Event[Any], thread: str, conversations: set[str]) -> bool:
    """Return whether a pool's event is about the thread or one of its conversations."""
    return getattr(event.data, "thread", None) == thread or getattr(event.data, "conversation_id", None) in conversations
