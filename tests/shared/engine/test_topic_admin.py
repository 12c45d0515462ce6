"""Topics are made as the table says, once, also by several at a time."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from devstack.ports import free_port
from shared.engine.installation import describe
from shared.engine.topic_admin import RECORD_OVERHEAD_BYTES, TopicError, TopicLayout, create_topics
from shared.errors import BrokerUnavailableError
from shared.ids import new_id
from shared.topics import COMMANDS, INBOUND, RECORD_BYTES_MAX, REJECTED, Topic, all_topics

WAIT_SECONDS_MAX = 30.0


def a_prefix() -> str:
    """Return a prefix of the test's own."""
    return f"admin-{new_id()[:12]}."


async def settings_of(bootstrap: str, name: str) -> dict[str, str]:
    """Return a topic's settings, those that are not the broker's own included."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = dict.fromkeys(("retention.ms", "max.message.bytes", "cleanup.policy", "min.insync.replicas"), "")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=names)])
                error_code, *_, entries = answer.resources[0]
                if error_code == 0:  # a broker may hear of a new topic a moment later than the controller
                    return {entry[0]: entry[1] for entry in entries}
    finally:
        await admin.close()


@pytest.mark.broker
async def test_every_topic_of_an_installation_is_made_once(kafka_bootstrap: str) -> None:
    """The second call finds them and makes none."""
    prefix, topics = a_prefix(), all_topics(["conversation", "bot"])
    made = await create_topics(kafka_bootstrap, prefix, topics, TopicLayout(2))
    assert made == [prefix + topic.name for topic in topics]
    assert await create_topics(kafka_bootstrap, prefix, topics, TopicLayout(2)) == []
    found = await describe(kafka_bootstrap, made)
    assert {name: topic.partitions for name, topic in found.topics.items()} == dict.fromkeys(made, 2)


@pytest.mark.broker
async def test_a_topic_keeps_what_the_table_says_and_takes_the_largest_record(kafka_bootstrap: str) -> None:
    """Facts for a week, what people look at for a month; a batch with the largest record fits."""
    prefix = a_prefix()
    await create_topics(kafka_bootstrap, prefix, (INBOUND, REJECTED), TopicLayout(1))
    for topic in (INBOUND, REJECTED):
        settings = await settings_of(kafka_bootstrap, prefix + topic.name)
        assert settings["retention.ms"] == str(topic.retention_milliseconds)
        assert settings["max.message.bytes"] == str(RECORD_BYTES_MAX + RECORD_OVERHEAD_BYTES)
        assert (settings["cleanup.policy"], settings["min.insync.replicas"]) == ("delete", "1")


@pytest.mark.broker
async def test_several_make_the_same_topics_at_once(kafka_bootstrap: str) -> None:
    """Two services that start together do not fail each other."""
    prefix = a_prefix()
    answers = await asyncio.gather(*(create_topics(kafka_bootstrap, prefix, (INBOUND, COMMANDS), TopicLayout(3)) for _ in range(4)))
    assert {name for made in answers for name in made} == {prefix + INBOUND.name, prefix + COMMANDS.name}


@pytest.mark.broker
async def test_what_kafka_refuses_is_told_with_its_reason(kafka_bootstrap: str) -> None:
    """More replicas than brokers, a name that is none: which topic, and why."""
    prefix = a_prefix()
    with pytest.raises(TopicError, match=rf"refused to make {prefix}inbound: InvalidReplicationFactorError"):
        await create_topics(kafka_bootstrap, prefix, (INBOUND,), TopicLayout(1, replicas=9))
    with pytest.raises(TopicError, match="InvalidTopicError"):
        await create_topics(kafka_bootstrap, prefix, (Topic("no name", "thread", INBOUND.models),), TopicLayout(1))


async def test_no_broker_is_told_with_what_to_look_at() -> None:
    """The address is in the line."""
    port = free_port()
    with pytest.raises(BrokerUnavailableError, match=rf"127\.0\.0\.1:{port} does not answer .*is it running"):
        await create_topics(f"127.0.0.1:{port}", "t.", (INBOUND,), TopicLayout(1))
