"""Making and listing the topics of an installation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.engine.connection import Servers, client_options
from shared.engine.refusals import refusal
from shared.engine.replica_placement import Broker, placement_of, replica_placement
from shared.errors import BrokerUnavailableError, ParleyError
from shared.topics import RECORD_BYTES_MAX, Topic

ADMIN_TIMEOUT_SECONDS = 30.0
RECORD_OVERHEAD_BYTES = 64 * 1024
"""What a batch adds to its largest record."""


class TopicError(ParleyError):
    """Kafka refused to make a topic; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """How topics are made: `partitions` for each, `replicas` of each, of which `in_sync_min` must have a record before it counts."""

    partitions: int
    replicas: int = 1
    in_sync_min: int = 1


async def create_topics(bootstrap_servers: Servers, topic_prefix: str, topics: Sequence[Topic], layout: TopicLayout) -> list[str]:
    """Make the topics that are missing; return the names of those that were made.

    They are placed like those that are there, else as `replica_placement` says: the same partition number on the same brokers.
    Raises TopicError where Kafka refuses one, BrokerUnavailableError where it does not answer within ADMIN_TIMEOUT_SECONDS.
    """
    admin = AIOKafkaAdminClient(**client_options(bootstrap_servers))
    try:
        async with asyncio.timeout(ADMIN_TIMEOUT_SECONDS):
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [topic for topic in topics if topic_prefix + topic.name not in existing]
            if missing:
                present = [name for topic in topics if (name := topic_prefix + topic.name) in existing]
                placement = await _placement(admin, present, layout)
                answer = await admin.create_topics([_new_topic(topic_prefix, topic, layout, placement) for topic in missing])
                _check(answer.topic_errors)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerUnavailableError(f"Kafka at {bootstrap_servers} {await refusal(bootstrap_servers, error)}: is it running?") from None
    finally:
        await admin.close()
    return [topic_prefix + topic.name for topic in missing]


async def _placement(admin: AIOKafkaAdminClient, present: Sequence[str], layout: TopicLayout) -> dict[int, list[int]] | None:
    """Return where partitions are to lie: as in the topics that are `present`; None where there are too few brokers, which Kafka tells."""
    for described in await admin.describe_topics(list(present)) if present else ():
        if (placement := placement_of(described, layout.partitions, layout.replicas)) is not None:
            return placement
    cluster = await admin.describe_cluster()
    brokers = [Broker(one["node_id"], one.get("rack")) for one in cluster["brokers"]]
    return replica_placement(layout.partitions, layout.replicas, brokers) if len(brokers) >= layout.replicas else None


def _new_topic(prefix: str, topic: Topic, layout: TopicLayout, placement: dict[int, list[int]] | None) -> NewTopic:
    """Return the order for one topic. Kafka wants either its partitions placed or their numbers, never both."""
    return NewTopic(
        name=prefix + topic.name,
        num_partitions=layout.partitions if placement is None else -1,
        replication_factor=layout.replicas if placement is None else -1,
        replica_assignments=placement,
        topic_configs={
            "retention.ms": str(topic.retention_milliseconds),
            "min.insync.replicas": str(layout.in_sync_min),
            "max.message.bytes": str(RECORD_BYTES_MAX + RECORD_OVERHEAD_BYTES),
            "cleanup.policy": "delete",
        },
    )


def _check(errors: Sequence[Sequence[object]]) -> None:
    """Raise TopicError for the first topic that was refused; one that another process has just made is fine."""
    for name, code, *explanation in errors:
        if code != 0 and for_code(code) is not TopicAlreadyExistsError:
            raise TopicError(f"Kafka refused to make {name}: {for_code(code).__name__} {' '.join(map(str, explanation))}".strip())
