"""What a step of the engine says is to be done: a plan, which the shells carry out."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.engine.document import Document, Emitted
from shared.engine.records import Publication
from shared.topics import TOPICS, Topic, dead_letters_of

S = TypeVar("S", bound=BaseModel)

_TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}


@dataclass(frozen=True, slots=True)
class TimerDue:
    """The store's index says that `key` wants to be asked."""

    key: str


@dataclass(slots=True)
class Counts:
    """What happened in a step, for the metrics."""

    decided: int = 0
    replayed: int = 0
    duplicates: int = 0
    unknown_types: int = 0
    gaps: int = 0
    misplaced: int = 0
    timers: int = 0


@dataclass(slots=True)
class Plan(Generic[S]):
    """What the shell has to do, in this order: save, publish, commit.

    `touched` holds every document the step looked at, as it is once the plan is done (its outbox still in it); `saves` are those
    that changed. `publishes` are in order per key. `commits` is the next offset per topic. `sampled` are the trace
    contexts of inputs whose way is traced. `buried` says where the records stand that have dead letters. `taken` is how many inputs were
    used.
    """

    shard: int
    saves: list[Document[S]] = field(default_factory=list)
    touched: dict[str, Document[S]] = field(default_factory=dict)
    publishes: list[Publication] = field(default_factory=list)
    dead_letters: list[Publication] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    commits: dict[Topic, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    sampled: list[str] = field(default_factory=list)
    taken: int = 0


def publications_of(document: Document[Any], without: Container[int] = ()) -> list[Publication]:
    """Return the whole outbox of a document, in seq order, but for the values (by identity) that go out by themselves."""
    return [Publication(_topic_of(entry), entry.key, entry.value) for entry in document.outbox if id(entry.value) not in without]


def _topic_of(entry: Emitted) -> Topic:
    """Return where an entry of an outbox belongs: one of the topics, or the reducer's dead letters."""
    return _TOPIC_BY_NAME.get(entry.topic) or dead_letters_of(entry.topic.removeprefix("dead."))
