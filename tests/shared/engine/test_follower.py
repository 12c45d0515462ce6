"""A follower sees everything that stands on the topics and leaves no trace there."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from devstack.ports import free_port
from shared.engine.follower import Follower, Seen
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import BrokerUnavailableError
from shared.ids import new_id
from shared.topics import COMMANDS, CONVERSATIONS
from tests.shared.engine.counting import command

PARTITIONS = 3
WAIT_SECONDS_MAX = 60.0


async def a_prefix(bootstrap: str) -> str:
    """Make topics of the test's own; return their prefix."""
    prefix = f"follower-{new_id()[:12]}."
    await create_topics(bootstrap, prefix, (COMMANDS, CONVERSATIONS), TopicLayout(PARTITIONS))
    return prefix


async def write(bootstrap: str, prefix: str, *values: bytes) -> None:
    """Write values, each under a key of its own."""
    publisher = KafkaPublisher(PublisherOptions(bootstrap, prefix, PARTITIONS, "test"))
    await publisher.publish([Publication(COMMANDS, f"k{number}", value) for number, value in enumerate(values)])
    await publisher.close()


async def everything(follower: Follower) -> list[Seen]:
    """Read to the end."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        return [seen async for page in follower.read_to_end() for seen in page]


@pytest.mark.broker
async def test_it_reads_to_the_end_and_ends(kafka_bootstrap: str) -> None:
    """All that stood there when it began, over all partitions; an empty topic is read at once."""
    prefix = await a_prefix(kafka_bootstrap)
    async with Follower(kafka_bootstrap, prefix, (CONVERSATIONS,)) as follower:
        assert await everything(follower) == []
    await write(kafka_bootstrap, prefix, *(command("a", event_id=str(number)) for number in range(2_500)))
    async with Follower(kafka_bootstrap, prefix, (COMMANDS, CONVERSATIONS)) as follower:
        seen = await everything(follower)
        assert {one.event.id for one in seen if one.event is not None} == {str(number) for number in range(2_500)}
        assert {one.record.partition for one in seen} == set(range(PARTITIONS))
        assert await everything(follower) == []


@pytest.mark.broker
async def test_what_comes_later_does_not_keep_it_going(kafka_bootstrap: str) -> None:
    """On a busy topic the end would never come."""
    prefix = await a_prefix(kafka_bootstrap)
    await write(kafka_bootstrap, prefix, command("a", event_id="1"))
    async with Follower(kafka_bootstrap, prefix, (COMMANDS,)) as follower, asyncio.timeout(WAIT_SECONDS_MAX):
        seen = []
        async for page in follower.read_to_end():
            seen.extend(page)
            await write(kafka_bootstrap, prefix, command("a", event_id=f"later {len(seen)}"))
    assert seen[0].event is not None
    assert seen[0].event.id == "1"


@pytest.mark.broker
async def test_from_now_on_it_sees_only_what_is_new(kafka_bootstrap: str) -> None:
    """The past is for those who ask for it."""
    prefix = await a_prefix(kafka_bootstrap)
    await write(kafka_bootstrap, prefix, command("a", event_id="old"))
    async with Follower(kafka_bootstrap, prefix, (COMMANDS,), from_beginning=False) as follower:
        await write(kafka_bootstrap, prefix, command("a", event_id="new"))
        found: list[Seen] = []
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not found:
                found = await follower.read()
    assert [one.event.id for one in found if one.event is not None] == ["new"]


@pytest.mark.broker
async def test_it_commits_nothing_and_joins_nothing(kafka_bootstrap: str) -> None:
    """Any number can look at the same time; no group ever hears of them."""
    prefix = await a_prefix(kafka_bootstrap)
    await write(kafka_bootstrap, prefix, command("a", event_id="1"))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        before = set(await admin.list_consumer_groups())
        async with Follower(kafka_bootstrap, prefix, (COMMANDS,)) as one, Follower(kafka_bootstrap, prefix, (COMMANDS,)) as other:
            assert [len(await everything(follower)) for follower in (one, other)] == [1, 1]
            assert {group for group in set(await admin.list_consumer_groups()) - before if prefix in str(group)} == set()
            assert one._consumer is not None
            assert one._consumer._group_id is None
    finally:
        await admin.close()


@pytest.mark.broker
async def test_what_is_no_event_is_shown_with_what_is_wrong(kafka_bootstrap: str) -> None:
    """People look at topics because something is wrong there."""
    prefix = await a_prefix(kafka_bootstrap)
    await write(kafka_bootstrap, prefix, b"no json", command("a", event_id="1"))
    async with Follower(kafka_bootstrap, prefix, (COMMANDS,)) as follower:
        seen = sorted(await everything(follower), key=lambda one: one.event is not None)
    assert (seen[0].event, seen[0].record.value) == (None, b"no json")
    assert seen[0].problem == "document: json_invalid (1 problems)"
    assert seen[1].problem is None


@pytest.mark.broker
async def test_a_topic_that_does_not_exist_holds_nothing(kafka_bootstrap: str) -> None:
    """Nor is it made by looking at it."""
    async with Follower(kafka_bootstrap, f"nothing-{new_id()}.", (COMMANDS,)) as follower:
        assert await everything(follower) == []
        assert await follower.read() == []


async def test_no_broker_is_told() -> None:
    """With its address."""
    port = free_port()
    with pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port}"):
        async with Follower(f"127.0.0.1:{port}", "t.", (COMMANDS,)):
            pass


async def test_a_follower_that_was_not_opened_says_so() -> None:
    """A slip of the programmer."""
    with pytest.raises(RuntimeError, match="async with"):
        await Follower("nowhere:1", "t.", (COMMANDS,)).read()
