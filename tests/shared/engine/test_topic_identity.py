"""A topic that was deleted and made again is another topic, whatever it is called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from shared.engine.installation import Installation, InstallationChangedError, check_store, describe
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.engine.topic_identity import ClusterIdentity
from shared.ids import new_id
from shared.store.memory import MemoryStore
from shared.store.sqlite import SqliteStore
from shared.topics import COMMANDS, INBOUND
from tests.shared.engine.kafka_world import PATIENCE_SECONDS


@pytest.mark.broker
async def test_a_topic_made_again_has_another_id(kafka_bootstrap: str) -> None:
    """Same name, same partitions, same cluster: only the id tells them apart."""
    prefix = f"identity-{new_id()}."
    name = prefix + INBOUND.name
    await create_topics(kafka_bootstrap, prefix, (INBOUND,), TopicLayout(3))
    before = await _once_known(kafka_bootstrap, name, prefix + "nothing")
    again = await describe(kafka_bootstrap, [name])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
        while (await describe(kafka_bootstrap, [name])).topics:
            pass
    finally:
        await admin.close()
    await create_topics(kafka_bootstrap, prefix, (INBOUND,), TopicLayout(3))
    after = await _once_known(kafka_bootstrap, name)
    assert before == again
    assert set(before.topics) == {name}
    assert (before.cluster, before.topics[name].partitions) == (after.cluster, after.topics[name].partitions)
    assert before.topics[name].topic_id != after.topics[name].topic_id


async def _once_known(bootstrap: str, name: str, *others: str) -> ClusterIdentity:
    """Return what is told about the topics as soon as `name` is among them: it is made before everybody knows of it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while name not in (found := await describe(bootstrap, [name, *others])).topics:
            pass
    return found


async def test_state_refuses_topics_that_were_made_again() -> None:
    """Their offsets begin at 0 and would be taken for a replay: the service says so and does not start."""
    store = MemoryStore()
    await check_store(store, "counter", Installation("c", 6, {"in": "1"}))
    with pytest.raises(InstallationChangedError, match="in of that name is a new one"):
        await check_store(store, "counter", Installation("c", 6, {"in": "2"}))


@pytest.mark.parametrize("other", [Installation("d", 6, {}), Installation("c", 12, {})])
async def test_state_refuses_another_cluster_and_another_partition_count(other: Installation) -> None:
    """The message names both sides and what to do."""
    store = MemoryStore()
    await check_store(store, "counter", Installation("c", 6, {"in": "1"}))
    with pytest.raises(InstallationChangedError, match="start with an empty store"):
        await check_store(store, "counter", other)


async def test_an_input_that_is_new_in_a_release_is_remembered_from_then_on(tmp_path: Path) -> None:
    """A reducer may learn to read another topic; from its first start on that topic's id counts too."""
    store = SqliteStore(tmp_path / "s.sqlite3")
    try:
        await check_store(store, "counter", Installation("c", 6, {"in": "1"}))
        await check_store(store, "counter", Installation("c", 6, {"in": "1", COMMANDS.name: "2"}))
        with pytest.raises(InstallationChangedError):
            await check_store(store, "counter", Installation("c", 6, {"in": "1", COMMANDS.name: "3"}))
    finally:
        await store.close()
