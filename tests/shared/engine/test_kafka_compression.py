"""Whoever writes to the topics may compress as Kafka allows; one record that we could not unpack would stop its partition for everybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from shared.engine.connection import client_options
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import KEYS, Place, a_loop
from tests.shared.engine.witness import Asked

COMPRESSIONS = ("gzip", "snappy", "lz4", "zstd")
"""All that Kafka knows."""


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Topics of this test's own."""
    made = Place(kafka_bootstrap, tmp_path)
    await made.make()
    return made


async def test_records_are_read_however_they_are_compressed(place: Place) -> None:
    """Each of Kafka's ways, and none, on one partition, in order."""
    for compression in (*COMPRESSIONS, None):
        asked = Asked(COMMANDS, KEYS[0], f"packed with {compression}")
        async with AIOKafkaProducer(**client_options(place.bootstrap), compression_type=compression) as producer:
            await producer.send_and_wait(
                place.prefix + asked.topic.name, asked.value, key=asked.key.encode(), partition=place.shard(asked.key)
            )
        place.asked.append(asked)
    async with a_loop(place):
        await place.await_answers()
    await place.judged()
