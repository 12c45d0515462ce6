"""Writing to a real broker: keys on Kafka's own partitions, in order over many batches, and what happens when it dies."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from devstack.kafka import EmbeddedKafka
from shared.engine.publisher import BATCH_BYTES_MAX, KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import BrokerUnavailableError
from shared.ids import new_id
from shared.topics import COMMANDS, CONVERSATIONS, RECORD_BYTES_MAX

pytestmark = pytest.mark.broker

PARTITIONS = 6
WAIT_SECONDS_MAX = 60.0


async def a_prefix(bootstrap: str) -> str:
    """Make topics of the test's own; return their prefix."""
    prefix = f"publisher-{new_id()[:12]}."
    await create_topics(bootstrap, prefix, (COMMANDS, CONVERSATIONS), TopicLayout(PARTITIONS))
    return prefix


def a_publisher(bootstrap: str, prefix: str, *, timeout_seconds: float = 30.0) -> KafkaPublisher:
    """Return a publisher."""
    return KafkaPublisher(PublisherOptions(bootstrap, prefix, PARTITIONS, "test", timeout_seconds=timeout_seconds))


async def read(bootstrap: str, topic: str) -> dict[int, list[tuple[str, bytes]]]:
    """Return key and value of every record, per partition."""
    found: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest") as consumer:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[place.partition].extend((record.key.decode(), record.value) for record in records)
    return found


def left_of_producers() -> list[str]:
    """Return what tasks of the library's sender still run."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("Sender.")]


async def test_a_key_is_where_kafkas_default_partitioner_puts_it(kafka_bootstrap: str) -> None:
    """An integrator's client, whatever its language, puts its records beside ours."""
    prefix = await a_prefix(kafka_bootstrap)
    keys = [f"whatsapp:1:{number}é" for number in range(100)]
    publisher = a_publisher(kafka_bootstrap, prefix)
    await publisher.publish([Publication(COMMANDS, key, b"ours") for key in keys])
    await publisher.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        await asyncio.gather(*[producer.send_and_wait(prefix + COMMANDS.name, b"theirs", key=key.encode()) for key in keys])
    found = await read(kafka_bootstrap, prefix + COMMANDS.name)
    places = {
        value: {key: number for number, records in found.items() for key, own in records if own == value} for value in (b"ours", b"theirs")
    }
    assert places[b"ours"] == places[b"theirs"]
    assert len(places[b"ours"]) == len(keys)
    assert set(found) == set(range(PARTITIONS))


async def test_order_holds_over_many_batches_and_calls(kafka_bootstrap: str) -> None:
    """Several times a batch's size per partition in one call, two topics, several calls: each key in the order it was given."""
    prefix = await a_prefix(kafka_bootstrap)
    publisher = a_publisher(kafka_bootstrap, prefix)
    keys = ["a", "b", "c"]
    size, count = 40_000, 150
    assert count * size > 2 * BATCH_BYTES_MAX
    for part in range(2):
        numbers = range(part * count, (part + 1) * count)
        await publisher.publish(
            [
                Publication(topic, keys[number % len(keys)], number.to_bytes(4) + b"x" * size)
                for number in numbers
                for topic in (COMMANDS, CONVERSATIONS)
            ]
        )
    await publisher.close()
    for topic in (COMMANDS, CONVERSATIONS):
        found = await read(kafka_bootstrap, prefix + topic.name)
        for key in keys:
            numbers_of_key = [int.from_bytes(value[:4]) for records in found.values() for own, value in records if own == key]
            assert numbers_of_key == [number for number in range(2 * count) if keys[number % len(keys)] == key]


async def test_the_largest_record_goes_through(kafka_bootstrap: str) -> None:
    """What the engine lets become state, the topic takes: also between small ones, and twice in a row."""
    prefix = await a_prefix(kafka_bootstrap)
    publisher = a_publisher(kafka_bootstrap, prefix)
    values = [b"first", b"x" * RECORD_BYTES_MAX, b"y" * RECORD_BYTES_MAX, b"last"]
    await publisher.publish([Publication(COMMANDS, "k" * 512, value) for value in values])
    await publisher.close()
    found = await read(kafka_bootstrap, prefix + COMMANDS.name)
    assert [value for records in found.values() for _, value in records] == values


async def test_nothing_to_write_needs_no_broker() -> None:
    """An idle reducer opens no connection."""
    publisher = a_publisher("nowhere:1", "t.")
    await publisher.publish([])
    await publisher.close()


async def test_a_topic_that_is_missing_is_told_in_time(kafka_bootstrap: str) -> None:
    """The client would ask for it for ever."""
    publisher = a_publisher(kafka_bootstrap, f"missing-{new_id()}.", timeout_seconds=1.0)
    async with asyncio.timeout(15):
        with pytest.raises(BrokerUnavailableError):
            await publisher.publish([Publication(COMMANDS, "k", b"v")])
    await publisher.close()


async def test_a_broker_that_died_is_told_in_time_and_written_to_again_when_it_is_back(tmp_path: Path) -> None:
    """The call fails within its time-out; the next takes a new producer; what was acknowledged stays, in order; nobody complains."""
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        prefix = await a_prefix(kafka.bootstrap_servers)
        publisher = a_publisher(kafka.bootstrap_servers, prefix, timeout_seconds=2.0)
        await publisher.publish([Publication(COMMANDS, "k", b"1")])
        await asyncio.to_thread(kafka.kill)
        for _ in range(2):
            async with asyncio.timeout(10):
                with pytest.raises(BrokerUnavailableError, match="did not acknowledge 1 records"):
                    await publisher.publish([Publication(COMMANDS, "k", b"lost")])
            assert not left_of_producers(), "nothing of a producer that was given up goes on"
        assert publisher.failing
        await asyncio.to_thread(kafka.restart)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while publisher.failing:
                try:
                    await publisher.publish([Publication(COMMANDS, "k", b"2")])
                except BrokerUnavailableError:
                    continue
        await publisher.publish([Publication(COMMANDS, "k", b"3")])
        await publisher.close()
        found = await read(kafka.bootstrap_servers, prefix + COMMANDS.name)
        values = [value for records in found.values() for _, value in records]
        assert (values[0], values[-1]) == (b"1", b"3")
        assert b"2" in values
        assert values == sorted(values)
    gc.collect()  # an abandoned producer would complain here
