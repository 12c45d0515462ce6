"""Positions that the log does not have: a new group begins at the beginning; a position that retention has passed is an incident.

The client is told not to choose by itself (`auto_offset_reset` none): it would go on at the oldest record and say nothing of those
that are gone.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared.metrics import Metrics

RESET_TIMEOUT_SECONDS = 5.0
"""How long the broker may take to tell where a partition begins; the next read asks again."""

logger = structlog.get_logger(__name__)


class Seeker(Protocol):
    """What is needed of a consumer."""

    async def seek_to_beginning(self, *partitions: TopicPartition) -> object:
        """Read on from the oldest record."""
        ...

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record."""
        ...


async def began_anew(consumer: Seeker, error: KafkaError, *, reader: str, metrics: Metrics) -> dict[TopicPartition, int] | None:
    """Let partitions whose position the log does not have go on at their oldest record.

    Returns where they go on, so that it can be committed and is known the next time; None where `error` is not about positions.
    Records that are gone are told: an error line says from which offset to which, and a counter how many there were.
    """
    if isinstance(error, NoOffsetForPartitionError):
        lost = dict.fromkeys(error.args)
    elif isinstance(error, OffsetOutOfRangeError):
        lost = dict(error.args[0])
    else:
        return None
    found: dict[TopicPartition, int] = {}
    for partition, offset in lost.items():
        try:
            async with asyncio.timeout(RESET_TIMEOUT_SECONDS):
                await consumer.seek_to_beginning(partition)
                begins = await consumer.position(partition)
        except (KafkaError, IllegalStateError, TimeoutError) as failure:
            logger.warning("position.not_found", reader=reader, topic=partition.topic, error=type(failure).__name__)
            continue
        found[partition] = begins
        if offset is not None:
            _report(reader, partition, int(offset), begins, metrics)
    return found


def _report(reader: str, partition: TopicPartition, offset: int, begins: int, metrics: Metrics) -> None:
    """Tell what nobody will ever read."""
    metrics.records_lost.labels(reader).inc(max(1, begins - offset))
    logger.error(
        "records.lost",
        reader=reader,
        topic=partition.topic,
        partition=partition.partition,
        from_offset=offset,
        to_offset=begins,
        to_do="the log no longer holds these records: find out why this reader was so late, and what the senders of that time need",
    )
