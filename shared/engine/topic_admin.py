"""Making and listing the topics of an installation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.engine.connection import Servers, client_options
from shared.engine.refusals import refusal
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

    Raises TopicError where Kafka refuses one, BrokerUnavailableError where it does not answer within ADMIN_TIMEOUT_SECONDS.
    """
    admin = AIOKafkaAdminClient(**client_options(bootstrap_servers))
    try:
        async with asyncio.timeout(ADMIN_TIMEOUT_SECONDS):
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [topic for topic in topics if topic_prefix + topic.name not in existing]
            if missing:
                answer = await admin.create_topics([_new_topic(topic_prefix, topic, layout) for topic in missing])
                _check(answer.topic_errors)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerUnavailableError(f"Kafka at {bootstrap_servers} {await refusal(bootstrap_servers, error)}: is it running?") from None
    finally:
        await admin.close()
    return [topic_prefix + topic.name for topic in missing]


def _new_topic(prefix: str, topic: Topic, layout: TopicLayout) -> NewTopic:
    """Return the order for one topic."""
    return NewTopic(
        name=prefix + topic.name,
        num_partitions=layout.partitions,
        replication_factor=layout.replicas,
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
