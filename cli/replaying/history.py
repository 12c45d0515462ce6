"""What was replayed before: the topics themselves say it, for every replayed record names its letter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from cli.cluster import administering, partition_counts, reading
from cli.connection import Connection
from shared.clock import to_epoch_milliseconds
from shared.topics import Topic

READ_MILLISECONDS = 200
RECORDS_PER_READ_MAX = 5_000
_MARK = b'"replayof"'


@dataclass(frozen=True, slots=True)
class Replayed:
    """Where the replay of a letter stands. `next_offset` is behind it: a group that has come so far has taken it."""

    place: TopicPartition
    next_offset: int


async def find_replays(connection: Connection, topics: Iterable[Topic], letters: set[str], since: datetime) -> dict[str, Replayed]:
    """Return the last replay of each of `letters` that stands on `topics` and was written at `since` or later.

    Raises BrokerUnavailableError.
    """
    counts = await partition_counts(connection, [topic.name for topic in topics])
    places = [TopicPartition(connection.prefix + name, number) for name, count in counts.items() for number in range(count)]
    if not places or not letters:
        return {}
    async with reading(connection) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        starts = await consumer.offsets_for_times(dict.fromkeys(places, to_epoch_milliseconds(since)))
        wanted = {place: starts[place].offset for place in places if starts[place] is not None and starts[place].offset < ends[place]}
        consumer.assign(list(wanted))
        for place, offset in wanted.items():
            consumer.seek(place, offset)
        return await _read(consumer, {place: ends[place] for place in wanted}, letters)


async def _read(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], letters: set[str]) -> dict[str, Replayed]:
    """Return what is found up to `ends`."""
    found: dict[str, Replayed] = {}
    while any([await consumer.position(place) < end for place, end in ends.items()]):
        fetched = await consumer.getmany(timeout_ms=READ_MILLISECONDS, max_records=RECORDS_PER_READ_MAX)
        for place, records in fetched.items():
            for record in records:
                named = _named_in(record.value)
                if named in letters:
                    found[named] = Replayed(place, record.offset + 1)
    return found


def _named_in(value: bytes | None) -> str:
    """Return which letter a record replays, or nothing. Most records have no mark: they are not parsed."""
    if value is None or _MARK not in value:
        return ""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return ""
    return str(document.get("replayof", "")) if isinstance(document, dict) else ""


async def not_taken(connection: Connection, replays: dict[str, Replayed], reducers: dict[str, str]) -> set[str]:
    """Return the letters whose replay their reducer has not come to yet; `reducers` names the reducer per letter.

    Raises BrokerUnavailableError.
    """
    waiting: set[str] = set()
    async with administering(connection) as admin:
        for reducer in sorted({reducers[letter] for letter in replays if letter in reducers}):
            offsets = await admin.list_consumer_group_offsets(connection.prefix + reducer)
            for letter, replay in replays.items():
                position = offsets.get(replay.place)
                if reducers.get(letter) == reducer and (position is None or position.offset < replay.next_offset):
                    waiting.add(letter)
    return waiting
