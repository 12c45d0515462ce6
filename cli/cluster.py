"""What the broker knows about an installation's topics: partitions, replicas, settings, offsets, and how far each group has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from cli.connection import Connection
from shared.engine.connection import client_options, reader_options
from shared.engine.refusals import refusal
from shared.errors import BrokerUnavailableError

LOOK_SECONDS_MAX = 60.0
"""How long connecting, and one look at everything, may take; reading records has bounds of its own."""
GROUPS_MAX = 100
"""Groups whose lag is looked up: one request each."""
SETTINGS_SHOWN = ("min.insync.replicas", "retention.ms", "max.message.bytes", "cleanup.policy")
_RESOURCE_NAME, _RESOURCE_CONFIG = 3, 4
"""Positions in a resource of the broker's answer to DescribeConfigs (error code, message, type, name, entries)."""


@dataclass(slots=True)
class TopicState:
    """A topic as the broker has it. `name` is without the prefix; `first` and `end` are the offsets per partition."""

    name: str
    partitions: int
    replicas: int
    in_sync: int
    first: dict[int, int] = field(default_factory=dict)
    end: dict[int, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Return how many records it holds (an upper bound: transactions leave markers)."""
        return sum(self.end[partition] - self.first[partition] for partition in self.end)


@asynccontextmanager
async def reading(connection: Connection) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer without a group. Whatever the broker does not answer becomes BrokerUnavailableError."""
    consumer = AIOKafkaConsumer(**reader_options(connection.bootstrap_servers), auto_offset_reset="earliest")
    try:
        await consumer.start()
        await asyncio.sleep(0)  # aiokafka's own task must have begun: a stop before its first step raises CancelledError
        yield consumer
    except (KafkaError, TimeoutError, OSError) as error:
        raise await _unavailable(connection, error) from error
    finally:
        await consumer.stop()


@asynccontextmanager
async def administering(connection: Connection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client; errors as `reading`."""
    admin = AIOKafkaAdminClient(**client_options(connection.bootstrap_servers))
    try:
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            await admin.start()
        yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        raise await _unavailable(connection, error) from error
    finally:
        await admin.close()


async def _unavailable(connection: Connection, error: BaseException) -> BrokerUnavailableError:
    return BrokerUnavailableError(
        f"Kafka at {connection.bootstrap_servers} {await refusal(connection.bootstrap_servers, error)}: "
        "is it running, and is KAFKA_BOOTSTRAP_SERVERS (or --bootstrap) right?"
    )


async def topic_names(connection: Connection) -> list[str]:
    """Return the installation's topics without the prefix, sorted."""
    async with administering(connection) as admin:
        return sorted(name.removeprefix(connection.prefix) for name in await admin.list_topics() if name.startswith(connection.prefix))


async def partition_counts(connection: Connection, topics: Iterable[str]) -> dict[str, int]:
    """Return the partition count of each of `topics` that exists; names without the prefix on both sides."""
    async with administering(connection) as admin:
        described = await admin.describe_topics([connection.prefix + name for name in topics])
    return {one["topic"].removeprefix(connection.prefix): len(one["partitions"]) for one in described if one["error_code"] == 0}


async def look(connection: Connection, topics: Iterable[str]) -> list[TopicState]:
    """Return the state of those of `topics` (without the prefix) that exist, in the order given."""
    names = [connection.prefix + name for name in topics]
    async with administering(connection) as admin, asyncio.timeout(LOOK_SECONDS_MAX):
        described = {one["topic"]: one for one in await admin.describe_topics(names) if one["error_code"] == 0}
        states = [_state(connection, described[name]) for name in names if name in described]
        places = [TopicPartition(connection.prefix + state.name, number) for state in states for number in range(state.partitions)]
        async with reading(connection) as consumer:
            first, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        by_name = {state.name: state for state in states}
        for place in places:
            state = by_name[place.topic.removeprefix(connection.prefix)]
            state.first[place.partition], state.end[place.partition] = first[place], end[place]
        await _add_lags(admin, connection, by_name)
        await _add_settings(admin, connection, by_name)
    return states


def _state(connection: Connection, described: Any) -> TopicState:
    partitions = described["partitions"]
    return TopicState(
        described["topic"].removeprefix(connection.prefix),
        len(partitions),
        max(len(partition["replicas"]) for partition in partitions),
        min(len(partition["isr"]) for partition in partitions),
    )


async def _add_lags(admin: AIOKafkaAdminClient, connection: Connection, states: dict[str, TopicState]) -> None:
    """Add to each topic how many records each group has still before it; a group without a commit there is not named."""
    groups = sorted(group[0] for group in await admin.list_consumer_groups())
    for group in groups[:GROUPS_MAX]:
        committed = await admin.list_consumer_group_offsets(group)
        for place, position in committed.items():
            state = states.get(place.topic.removeprefix(connection.prefix)) if place.topic.startswith(connection.prefix) else None
            if state is not None and position.offset >= 0 and place.partition in state.end:
                name = group.removeprefix(connection.prefix)
                behind = max(0, state.end[place.partition] - max(position.offset, state.first[place.partition]))
                state.lag[name] = state.lag.get(name, 0) + behind


async def _add_settings(admin: AIOKafkaAdminClient, connection: Connection, states: dict[str, TopicState]) -> None:
    """Add the settings that matter to operators."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, connection.prefix + name, dict.fromkeys(SETTINGS_SHOWN, "")) for name in states]
    for answer in await admin.describe_configs(resources):
        for resource in answer.resources:
            if resource[0] != 0:
                raise for_code(resource[0])
            state = states[resource[_RESOURCE_NAME].removeprefix(connection.prefix)]
            state.settings = {entry[0]: entry[1] for entry in resource[_RESOURCE_CONFIG]}
