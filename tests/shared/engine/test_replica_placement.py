"""The same partition number of every topic lies on the same brokers, spread over brokers and racks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.metadata import MetadataRequest
from hypothesis import given
from hypothesis import strategies as st

from devstack.kafka import EmbeddedKafka
from shared.engine.replica_placement import Broker, placement_of, replica_placement
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.topics import COMMANDS, CONVERSATIONS, INBOUND, WORK

WAIT_SECONDS_MAX = 30.0
RACKS = st.sampled_from([None, "a", "b", "c"])
CLUSTERS = st.dictionaries(st.integers(0, 50), RACKS, min_size=1, max_size=9).map(
    lambda racks: [Broker(number, rack) for number, rack in racks.items()]
)


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Return three brokers, which the tests share: each has a prefix of its own."""
    with EmbeddedKafka(tmp_path_factory.mktemp("three"), brokers=3) as kafka:
        yield kafka


async def described(admin: AIOKafkaAdminClient, *names: str) -> list[dict[str, Any]]:
    """Return the topics as metadata gives them, once every broker knows them: each hears of a new topic by itself."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        for broker in (1, 2, 3):
            while True:
                answer = await admin._send_request_to_node(broker, MetadataRequest(list(names)))
                topics: list[dict[str, Any]] = answer.to_object()["topics"]
                if all(topic["error_code"] == 0 and topic["partitions"] for topic in topics):
                    break
    return topics


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, list[Broker]]:
    """Return partitions, replicas, and brokers enough for them."""
    brokers = draw(CLUSTERS)
    return draw(st.integers(1, 48)), draw(st.integers(1, len(brokers))), brokers


@given(layouts())
def test_each_partition_has_its_replicas_on_different_brokers(layout: tuple[int, int, list[Broker]]) -> None:
    """Every partition is placed, on brokers that exist, none of them twice."""
    partitions, replicas, brokers = layout
    placement = replica_placement(partitions, replicas, brokers)
    assert list(placement) == list(range(partitions))
    for chosen in placement.values():
        assert len(chosen) == len(set(chosen)) == replicas
        assert set(chosen) <= {broker.number for broker in brokers}


@given(layouts())
def test_leaders_take_turns(layout: tuple[int, int, list[Broker]]) -> None:
    """No broker leads more than one partition more than another."""
    partitions, replicas, brokers = layout
    led = Counter({broker.number: 0 for broker in brokers})
    led.update(chosen[0] for chosen in replica_placement(partitions, replicas, brokers).values())
    assert max(led.values()) - min(led.values()) <= 1


@given(layouts())
def test_replicas_stand_in_as_many_racks_as_there_are(layout: tuple[int, int, list[Broker]]) -> None:
    """A rack holds a second replica of a partition only when every rack has one."""
    partitions, replicas, brokers = layout
    rack_of = {broker.number: broker.rack for broker in brokers}
    racks = min(replicas, len(set(rack_of.values())))
    for chosen in replica_placement(partitions, replicas, brokers).values():
        assert len({rack_of[number] for number in chosen}) == racks


@given(layouts(), st.randoms())
def test_whoever_makes_the_topics_places_them_alike(layout: tuple[int, int, list[Broker]], chance: random.Random) -> None:
    """The order in which brokers are told makes no difference."""
    partitions, replicas, brokers = layout
    shuffled = sorted(brokers, key=lambda _: chance.random())
    assert replica_placement(partitions, replicas, shuffled) == replica_placement(partitions, replicas, brokers)


def test_what_a_broker_led_is_shared_by_all_others_when_it_is_gone() -> None:
    """Of the twelve partitions that one of four brokers led, each other is the next to lead four."""
    placement = replica_placement(48, 2, [Broker(number) for number in (1, 2, 3, 4)])
    assert Counter(chosen[1] for chosen in placement.values() if chosen[0] == 2) == {1: 4, 3: 4, 4: 4}


def test_fewer_brokers_than_replicas_are_refused() -> None:
    """The message counts both."""
    with pytest.raises(ValueError, match="3 replicas need as many brokers, there are 2"):
        replica_placement(6, 3, [Broker(1), Broker(2)])


def test_a_topic_of_another_size_is_no_example() -> None:
    """Only a topic with as many partitions and replicas shows where new ones are to lie."""
    described = {"partitions": [{"partition": 1, "replicas": [2, 3]}, {"partition": 0, "replicas": [1, 2]}]}
    assert placement_of(described, 2, 2) == {0: [1, 2], 1: [2, 3]}
    assert placement_of(described, 3, 2) is None
    assert placement_of(described, 2, 1) is None
    with pytest.raises(TypeError, match="without partitions"):
        placement_of({"partitions": None}, 2, 2)


@pytest.mark.broker
async def test_topics_of_one_installation_lie_alike_also_those_made_later(three_brokers: EmbeddedKafka) -> None:
    """Two topics made together and two made after them, as a new version does it: each number on the same two brokers, in their order."""
    bootstrap, prefix = three_brokers.bootstrap_servers, "alike."
    layout = TopicLayout(6, replicas=2)
    await create_topics(bootstrap, prefix, (INBOUND, COMMANDS), layout)
    await create_topics(bootstrap, prefix, (INBOUND, COMMANDS, CONVERSATIONS, WORK), layout)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = await described(admin, *(prefix + topic.name for topic in (INBOUND, COMMANDS, CONVERSATIONS, WORK)))
    finally:
        await admin.close()
    placements = [placement_of(topic, 6, 2) for topic in topics]
    assert placements[0] is not None
    assert placements.count(placements[0]) == len(topics) == 4
    assert Counter(chosen[0] for chosen in placements[0].values()) == {1: 2, 2: 2, 3: 2}


@pytest.mark.broker
async def test_new_topics_follow_those_that_are_there_wherever_they_lie(three_brokers: EmbeddedKafka) -> None:
    """Partitions that an operator has moved are the example, not the rule."""
    bootstrap, prefix = three_brokers.bootstrap_servers, "moved."
    moved = {0: [3, 1], 1: [3, 2], 2: [1, 3]}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(prefix + INBOUND.name, -1, -1, moved)])
        await described(admin, prefix + INBOUND.name)
        await create_topics(bootstrap, prefix, (INBOUND, WORK), TopicLayout(3, replicas=2))
        (work,) = await described(admin, prefix + WORK.name)
    finally:
        await admin.close()
    assert placement_of(work, 3, 2) == moved
