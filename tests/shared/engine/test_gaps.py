"""Positions that the log does not have, on a real broker: a new group begins at the beginning, lost records are told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaConnectionError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.engine.gaps import began_anew
from shared.engine.options import consumer_options
from shared.metrics import Metrics
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import PATIENCE_SECONDS, Place
from tests.shared.engine.test_kafka_turns import COMMANDS_0, Desk, fetched


async def read(consumer: AIOKafkaConsumer, count: int, metrics: Metrics) -> list[ConsumerRecord[bytes, bytes]]:
    """Return the next records, as the loops read."""
    found: list[ConsumerRecord[bytes, bytes]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            try:
                batches = await consumer.getmany(timeout_ms=100)
            except KafkaError as error:
                if await began_anew(consumer, error, reader="witness", metrics=metrics) is None:
                    raise
                continue
            found += [record for records in batches.values() for record in records]
    return found


@pytest.mark.broker
async def test_records_that_retention_took_are_told_and_the_rest_is_read(kafka_bootstrap: str, tmp_path: Path) -> None:
    """A new group begins at the first record without a word; a group whose place is gone goes on at the oldest record, and says so."""
    place = Place(kafka_bootstrap, tmp_path)
    await place.make()
    topic = place.prefix + COMMANDS.name
    partition = TopicPartition(topic, 0)
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        for number in range(10):
            await producer.send_and_wait(topic, str(number).encode(), partition=0)
    metrics = Metrics()
    async with AIOKafkaConsumer(topic, **consumer_options(place.options(), "witness")) as consumer:
        assert [record.offset for record in await read(consumer, 10, metrics)] == list(range(10))
        await consumer.commit({partition: 2})
    assert metrics.registry.get_sample_value("parley_records_lost_total", {"reducer": "witness"}) is None
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=6)})
    await admin.close()
    async with AIOKafkaConsumer(topic, **consumer_options(place.options(), "witness")) as consumer:
        assert [record.offset for record in await read(consumer, 4, metrics)] == [6, 7, 8, 9]
    assert metrics.registry.get_sample_value("parley_records_lost_total", {"reducer": "witness"}) == 4


class Broken:
    """A consumer that cannot seek now."""

    async def seek_to_beginning(self, *_: TopicPartition) -> None:
        """Fail."""
        raise KafkaConnectionError("not now")

    async def position(self, _: TopicPartition) -> int:
        """Return nothing useful."""
        raise AssertionError


async def test_a_broker_that_does_not_tell_is_asked_at_the_next_read() -> None:
    """The error is ours, nothing is counted, and the client raises it again."""
    metrics = Metrics()
    error = OffsetOutOfRangeError({COMMANDS_0: 3})
    assert await began_anew(Broken(), error, reader="witness", metrics=metrics) == {}
    assert metrics.registry.get_sample_value("parley_records_lost_total", {"reducer": "witness"}) is None


async def test_other_errors_are_not_ours() -> None:
    """They are given back as before."""
    assert await began_anew(Broken(), KafkaConnectionError("gone"), reader="witness", metrics=Metrics()) is None


@pytest.mark.parametrize("error", [NoOffsetForPartitionError(COMMANDS_0), OffsetOutOfRangeError({COMMANDS_0: 3})])
async def test_the_loop_goes_on_without_giving_its_partitions_back(error: KafkaError) -> None:
    """No backoff, no seek to what is done: the partition goes on where the log begins."""
    desk = await Desk().open()
    sought: list[TopicPartition] = []

    async def seek_to_beginning(*partitions: TopicPartition) -> None:
        sought.extend(partitions)

    async def position(_: TopicPartition) -> int:
        return 5

    async def raising() -> Any:
        raise error

    consumer: Any = desk.consumer
    consumer.seek_to_beginning, consumer.position = seek_to_beginning, position
    desk.consumer.reads += [raising, {COMMANDS_0: fetched(5)}]
    await desk.turn()
    assert sought == [COMMANDS_0]
    assert desk.consumer.seeks == {}
    assert desk.loop._done[COMMANDS_0] == 5, "it is committed, so that the next assignment knows it"
    await desk.turn()
    assert desk.metrics.registry.get_sample_value("parley_events_decided_total", {"reducer": "witness"}) == 1.0
    skew = desk.metrics.registry.get_sample_value("parley_clock_skew_seconds", {"reducer": "witness"})
    assert skew == desk.metrics.registry.get_sample_value("parley_lag_seconds", {"reducer": "witness"})
