"""Records as the engine sees them: what came from a topic, and what is to go to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from shared.errors import BrokerUnavailableError
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


class PartlyWrittenError(BrokerUnavailableError):
    """Some partitions acknowledged what was written to them, others did not: whoever wrote to the former need not wait for the latter."""

    def __init__(self, message: str, unwritten: Iterable[Publication]) -> None:
        super().__init__(message)
        self._unwritten = frozenset((publication.topic.name, publication.key) for publication in unwritten)

    def concerns(self, publications: Iterable[Publication]) -> bool:
        """Return whether any of `publications` was to go to a partition that did not acknowledge."""
        return any((publication.topic.name, publication.key) in self._unwritten for publication in publications)


class Publisher(Protocol):
    """Writes records and returns when all are acknowledged by all in-sync replicas."""

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications`, in order per key.

        Raises PartlyWrittenError where some partitions acknowledged everything and others did not, and BrokerUnavailableError where
        nothing is known to be acknowledged in time. What was not acknowledged may have been written all the same.
        """
        ...
