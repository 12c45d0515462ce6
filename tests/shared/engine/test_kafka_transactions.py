"""Integrators may write in Kafka's transactions: what they take back has never been said. On the real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.engine.connection import client_options
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import KEYS, Place, a_loop
from tests.shared.engine.witness import Asked


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Topics of this test's own."""
    made = Place(kafka_bootstrap, tmp_path)
    await made.make()
    return made


@asynccontextmanager
async def an_integrator(place: Place, *, timeout_seconds: int = 60) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer that writes in transactions."""
    options = {
        **client_options(place.bootstrap),
        "transactional_id": f"{place.prefix}integrator",
        "transaction_timeout_ms": 1_000 * timeout_seconds,
    }
    async with AIOKafkaProducer(**options) as producer:
        yield producer


async def write(producer: AIOKafkaProducer, place: Place, asked: Sequence[Asked]) -> None:
    """Write inputs, and have them acknowledged, within the transaction that is open."""
    for one in asked:
        await producer.send_and_wait(
            place.prefix + one.topic.name, one.value, key=one.key.encode(), partition=place.shard(one.key), timestamp_ms=None
        )


def commands(*names: str) -> list[Asked]:
    """Return commands for one thread."""
    return [Asked(COMMANDS, KEYS[0], name) for name in names]


async def test_what_a_transaction_took_back_takes_no_effect(place: Place) -> None:
    """Neither an answer nor a dead letter comes of it; what was committed before and behind it is taken in order."""
    kept = commands("first", "last")
    async with an_integrator(place) as producer:
        for asked, is_kept in ((kept[:1], True), (commands("taken back", "taken back too"), False), (kept[1:], True)):
            await producer.begin_transaction()
            await write(producer, place, asked)
            await (producer.commit_transaction() if is_kept else producer.abort_transaction())
    place.asked.extend(kept)
    async with a_loop(place):
        await place.await_answers()
    await place.judged()


async def test_who_reads_to_the_end_sees_nothing_that_was_taken_back_and_stops_there(place: Place) -> None:
    """The marks of transactions stand at the end of a topic and are no records: a reader does not wait for them."""
    async with an_integrator(place) as producer:
        await producer.begin_transaction()
        await write(producer, place, commands("kept"))
        await producer.commit_transaction()
        await producer.begin_transaction()
        await write(producer, place, commands("taken back"))
        await producer.abort_transaction()
    assert [event.id for event in await place.events(COMMANDS)] == ["kept"]


async def test_an_integrator_that_leaves_a_transaction_open_holds_its_partition_up_until_the_time_out(place: Place) -> None:
    """Then the broker takes back what it wrote, and what others wrote behind it is taken in."""
    others = commands("of somebody else")
    async with an_integrator(place, timeout_seconds=1) as producer:
        await producer.begin_transaction()
        await write(producer, place, commands("never ended"))
        place.asked.extend(others)
        await place.write(others)
        async with a_loop(place):
            await place.await_answers()
        await place.judged()
        with pytest.raises(KafkaError):
            await producer.commit_transaction()
