"""Records as the engine sees them: what came from a topic, and what is to go to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shared.topics import Topic


class Record(NamedTuple):
    """One record of a topic. `partition` is the shard; `key` and `value` are the bytes on the log, which may be absent.

    A tuple, like Publication: there is one per record of the topics, and it is made three times as fast as a frozen dataclass.
    """

    topic: Topic
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_milliseconds: int = 0


class Publication(NamedTuple):
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
