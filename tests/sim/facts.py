"""What stands on the topics, indexed as it is written: the ground on which every check stands."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.engine.placement import partition_of
from shared.ids import digest
from tests.sim.log import LogRecord


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which, how, and in whose thread."""

    promise: str
    detail: str
    key: str | None = None


@dataclass
class Findings:
    """The first violation of a run; what follows from it is of no interest."""

    first: Violation | None = None

    def report(self, promise: str, detail: str, key: str | None = None) -> None:
        """Keep a violation, if it is the first."""
        if self.first is None:
            self.first = Violation(promise, detail, key)

    def require(self, promise: str, detail: str, key: str | None = None, *, holds: bool) -> None:
        """Report unless it holds."""
        if not holds:
            self.report(promise, detail, key)


@dataclass
class Facts:
    """All records as events. `order` holds, per topic and key, the marks of the events in the order of their first appearance."""

    partitions: int
    first: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    by_mark: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    order: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    places: dict[tuple[str, str], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    poison: dict[bytes | None, str] = field(default_factory=dict)
    misplaced: list[LogRecord] = field(default_factory=list)
    letters: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    poisoned_records: list[LogRecord] = field(default_factory=list)
    records: int = 0
    lines: list[tuple[float, str, str | None]] = field(default_factory=list)
    """What happened, for the story of a failure: seconds, what, and the thread or pool concerned."""

    def take(self, record: LogRecord) -> tuple[dict[str, Any], bool] | None:
        """Return the event in a record and whether it is new; None where it is none that anybody should decide."""
        self.records += 1
        if partition_of(record.key or b"", self.partitions) != record.partition:
            self.misplaced.append(record)
            return None
        if record.value in self.poison:
            self.poisoned_records.append(record)
            return None
        event: dict[str, Any] = orjson.loads(record.value or b"")
        if record.topic.startswith("dead."):
            self.letters[record.topic.removeprefix("dead.")][event["id"]] = event
            return None
        name = (record.topic, event["id"])
        if name in self.first:
            return event, False
        self.first[name] = event
        self.events[record.topic].append(event)
        mark = digest(event["id"])
        self.by_mark[mark] = (record.topic, record.value or b"")
        line = (record.topic, (record.key or b"").decode())
        self.places[line][mark] = len(self.order[line])
        self.order[line].append(mark)
        return event, True
