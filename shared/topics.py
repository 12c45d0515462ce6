"""The topics: what stands on each, and under which key. The table of the design, in code.

All topics of one cluster have the same partition count, so one partition number of all topics with the same key is owned by
one process. Names on the broker carry a prefix (a setting, `parley.` by default).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from shared.events.commands import CommandsData
from shared.events.conversations import ConversationsData
from shared.events.deliveries import DeliveriesData
from shared.events.envelope import Event, EventCodec, EventData
from shared.events.inbound import InboundData
from shared.events.rejected import DeadData, RejectedData
from shared.events.sends import SendsData
from shared.events.sla import SlaData
from shared.events.work import AgentsData, AssignmentsData, WorkData

PARTITIONS_EMBEDDED = 6
PARTITIONS_PRODUCTION = 24
RETENTION_MILLISECONDS = 7 * 24 * 60 * 60 * 1000
RETENTION_MILLISECONDS_FOR_PEOPLE = 30 * 24 * 60 * 60 * 1000
RECORD_BYTES_MAX = 1024 * 1024
"""Largest value of one record: what a broker takes by default, checked before a state is saved."""


def _models(union: Any) -> tuple[type[EventData], ...]:
    """Return the members of a union type, or the one model that it is."""
    return get_args(union) or (union,)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its name without the prefix, what its key is, and the models of its events."""

    name: str
    key: Literal["thread", "pool", "account", "source"]
    models: tuple[type[EventData], ...]
    retention_milliseconds: int = RETENTION_MILLISECONDS

    def __hash__(self) -> int:
        """Return the name's hash: topics are looked up once per record, and equal ones have equal names."""
        return hash(self.name)

    def decode(self, value: bytes) -> Event[Any]:
        """Return the event in a record's value; errors as EventCodec.decode."""
        return _codec(self.models).decode(value)


@cache
def _codec(models: tuple[type[EventData], ...]) -> EventCodec:
    """Return the codec of these models, built at its first use."""
    return EventCodec(models)


INBOUND = Topic("inbound", "thread", _models(InboundData))
DELIVERIES = Topic("deliveries", "thread", _models(DeliveriesData))
COMMANDS = Topic("commands", "thread", _models(CommandsData))
CONVERSATIONS = Topic("conversations", "thread", _models(ConversationsData))
WORK = Topic("work", "pool", _models(WorkData))
AGENTS = Topic("agents", "pool", _models(AgentsData))
ASSIGNMENTS = Topic("assignments", "thread", _models(AssignmentsData))
SLA = Topic("sla", "thread", _models(SlaData))
SENDS = Topic("sends", "thread", _models(SendsData))
REJECTED = Topic("rejected", "account", _models(RejectedData), RETENTION_MILLISECONDS_FOR_PEOPLE)

TOPICS: tuple[Topic, ...] = (INBOUND, DELIVERIES, COMMANDS, CONVERSATIONS, WORK, AGENTS, ASSIGNMENTS, SLA, SENDS, REJECTED)


def dead_letters_of(reducer: str) -> Topic:
    """Return the dead-letter topic of a reducer or worker."""
    return Topic(f"dead.{reducer}", "source", _models(DeadData), RETENTION_MILLISECONDS_FOR_PEOPLE)


def all_topics(reducers: Iterable[str]) -> tuple[Topic, ...]:
    """Return every topic of an installation: the ten, and a dead-letter topic per reducer and worker."""
    return (*TOPICS, *(dead_letters_of(name) for name in reducers))
