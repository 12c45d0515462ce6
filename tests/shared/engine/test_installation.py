"""A store's offsets belong to one log: another one is refused with what to do; a missing one is waited for."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from devstack.ports import free_port
from shared.engine.installation import Installation, InstallationChangedError, check_store, describe, wait_for_topics
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import BrokerUnavailableError
from shared.ids import new_id
from shared.store.memory import MemoryData, MemoryStore
from shared.topics import COMMANDS, INBOUND
from tests.shared.engine.kafka_world import until

KNOWN = Installation("cluster-1", 6)


async def test_the_first_start_remembers_and_the_next_agrees() -> None:
    """Per reducer: each has offsets of its own."""
    data = MemoryData()
    for _ in range(2):
        await check_store(MemoryStore(data), "bot", KNOWN)
    await check_store(MemoryStore(data), "sla", Installation("cluster-2", 24))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Installation("cluster-2", 6), ["cluster cluster-1 with 6", "cluster cluster-2 with 6"]),
        (Installation("cluster-1", 24), ["cluster-1 with 6", "cluster-1 with 24"]),
    ],
)
async def test_another_log_is_refused_with_what_to_do(found: Installation, words: list[str]) -> None:
    """Its offsets would be taken for replays, and what is new would be lost."""
    store = MemoryStore()
    await check_store(store, "bot", KNOWN)
    with pytest.raises(InstallationChangedError) as caught:
        await check_store(store, "bot", found)
    for word in [*words, "the state of bot", "connect to that one, or start with an empty store"]:
        assert word in str(caught.value)
    await check_store(store, "bot", KNOWN)


async def test_two_that_start_at_once_agree() -> None:
    """Whoever is second finds what the first wrote."""
    data = MemoryData()
    await asyncio.gather(*(check_store(MemoryStore(data), "bot", KNOWN) for _ in range(5)))
    answers = await asyncio.gather(
        *(check_store(MemoryStore(MemoryData()), "bot", one) for one in (KNOWN, Installation("cluster-2", 6))), return_exceptions=True
    )
    assert answers == [None, None]


@pytest.mark.broker
async def test_topics_are_waited_for_until_somebody_makes_them(kafka_bootstrap: str) -> None:
    """A service that starts before `parley topics create` says what is missing, and goes on by itself."""
    prefix, stop = f"installation-{new_id()[:12]}.", asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        waiting = asyncio.create_task(wait_for_topics(kafka_bootstrap, prefix, (INBOUND, COMMANDS), partitions=3, stop=stop))
        await until(lambda: lines)
        assert lines[0]["event"] == "topics.missing"
        assert lines[0]["topics"] == [prefix + "commands", prefix + "inbound"]
        assert "parley topics create" in lines[0]["to_do"]
        await create_topics(kafka_bootstrap, prefix, (INBOUND, COMMANDS), TopicLayout(3))
        async with asyncio.timeout(30):
            found = await waiting
    assert found is not None
    assert found.partitions == 3
    assert found.cluster == (await describe(kafka_bootstrap, [])).cluster


@pytest.mark.broker
async def test_another_partition_count_than_configured_is_refused_at_once(kafka_bootstrap: str) -> None:
    """The setting is named, and what the topic has."""
    prefix = f"installation-{new_id()[:12]}."
    await create_topics(kafka_bootstrap, prefix, (INBOUND,), TopicLayout(3))
    with pytest.raises(
        InstallationChangedError, match=rf"PARLEY_PARTITIONS is 6, but {prefix}inbound has 3: set it to what the topics have"
    ):
        await wait_for_topics(kafka_bootstrap, prefix, (INBOUND,), partitions=6, stop=asyncio.Event())


async def test_a_broker_that_is_not_there_is_waited_for_until_told_to_stop() -> None:
    """A stop is heard in between."""
    port, stop = free_port(), asyncio.Event()
    with pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port}"):
        await describe(f"127.0.0.1:{port}", [])
    with structlog.testing.capture_logs() as lines:
        waiting = asyncio.create_task(wait_for_topics(f"127.0.0.1:{port}", "t.", (INBOUND,), partitions=3, stop=stop))
        await until(lambda: lines)
        stop.set()
        async with asyncio.timeout(30):
            assert await waiting is None
    assert lines[0]["event"] == "broker.unreachable"
