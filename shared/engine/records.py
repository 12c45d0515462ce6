"""Records as the engine sees them: what came from a topic, and what is to go to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.topics import Topic


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic. `partition` is the shard; `key` and `value` are the bytes on the log, which may be absent."""

    topic: Topic
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """One record to be written. Its partition follows from the key, by Kafka's default hash."""

    topic: Topic
    key: str
    value: bytes


class Publisher(Protocol):
    """Writes records and returns when all are acknowledged by all in-sync replicas."""

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications`, in order per key.

        Raises BrokerUnavailableError when not all were acknowledged in time: some may have been written all the same.
        """
        ...
