"""Gets the whole value of a record that is cut in its dead letter: from its own topic, as long as that keeps it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from cli.connection import Connection
from cli.replaying.letters import value_of
from shared.engine.dead_letters import VALUE_BYTES_MAX
from shared.events.rejected import DeadLetter

FETCH_SECONDS_MAX = 15.0


async def whole_value(consumer: AIOKafkaConsumer, connection: Connection, letter: DeadLetter) -> bytes | None:
    """Return the whole value of the letter's record, or None where it was cut and its topic no longer has it.

    `consumer` has no group; its assignment is changed. Raises KafkaError and TimeoutError as it does.
    """
    kept = value_of(letter)
    if len(kept) < VALUE_BYTES_MAX:
        return kept
    place = TopicPartition(connection.prefix + letter.topic, letter.partition)
    first, end = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
    if not first[place] <= letter.offset < end[place]:
        return None
    consumer.assign([place])
    consumer.seek(place, letter.offset)
    async with asyncio.timeout(FETCH_SECONDS_MAX):
        record = await consumer.getone(place)
    if record.offset != letter.offset or record.value is None or not record.value.startswith(kept):
        return None
    return bytes(record.value)
