"""The bounds of a worker, and what it needs of a consumer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from shared.engine.options import LoopOptions


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker reads, and how much it holds. `loop` names the broker and carries the time-outs all loops share."""

    loop: LoopOptions
    threads_max: int = 4_000
    """Threads being handled at once: most of them wait for their turn and cost a task each."""
    records_per_partition_max: int = 1_000
    """Records of one partition in hand, from which on it is paused; it is resumed at half of that."""
    records_per_poll_max: int = 500
    poll_seconds: float = 0.5
    """How long one read waits for records; also how late a stop or a failure is noticed at most."""
    poll_timeout_seconds: float = 5.0
    """How long one read may be stuck in a rebalance before the loop looks around."""
    stop_grace_seconds: float = 35.0
    """How long a stop waits for requests under way: longer than the longest request, shorter than the orchestrator's patience."""


class Consumer(Protocol):
    """What a worker needs of AIOKafkaConsumer."""

    async def start(self) -> None:
        """Connect and join the group."""
        ...

    async def stop(self) -> None:
        """Leave."""
        ...

    def subscribe(self, topics: Sequence[str], *, listener: ConsumerRebalanceListener) -> None:
        """Read these topics; tell the listener what is ours."""
        ...

    def assignment(self) -> set[TopicPartition]:
        """Return what is ours."""
        ...

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """Return the next records of the partitions that are not paused."""
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these offsets."""
        ...

    async def seek_to_beginning(self, *partitions: TopicPartition) -> object:
        """Read on from the oldest record."""
        ...

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`."""
        ...

    def pause(self, *partitions: TopicPartition) -> None:
        """Return nothing of these until they are resumed."""
        ...

    def resume(self, *partitions: TopicPartition) -> None:
        """Return records of these again."""
        ...
