"""Decisions of reducers in the stores: once each, in the order of the topics, nothing passed over; and commits that keep to them.

Every save is compared with the one before it. The trail that each state carries tells which events it decided since; each must be
the next of its topic that was not decided yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from aiokafka import TopicPartition

from shared.clock import from_epoch_milliseconds
from shared.engine.reducer import Reducer
from shared.ids import digest
from shared.store.port import SaveResult, StoredDocument
from tests.sim.facts import Facts, Findings
from tests.sim.log import LogRecord
from tests.sim.outputs import Outputs
from tests.sim.services import rules
from tests.sim.witness import ENTRY_CHARACTERS, TIMER_MARK

EARLY_SECONDS_MAX = 0.001


@dataclass(slots=True)
class Memory:
    """What was in the last saved document of one key, as far as it is compared; `decided` is everything ever decided, with its moment."""

    version: int = 0
    emitted: int = 0
    count: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    due_at: int | None = None
    dirty: bool = False
    parked: str | None = None
    inner: Any = None
    decided: list[tuple[str, datetime]] = field(default_factory=list)
    timers: set[str] = field(default_factory=set)
    emitted_at: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Per input topic, for each decided event in order, the seq that had been emitted once it was saved."""


class Progress(NamedTuple):
    """What one save added to a document: how many decisions, and which outputs."""

    key: str
    memory: Memory
    decisions: int
    outputs: list[bytes]


class Decisions:
    """Follows every document of every reducer. `seconds` tells the time of the run."""

    def __init__(self, facts: Facts, outputs: Outputs, findings: Findings, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._facts = facts
        self._outputs = outputs
        self._findings = findings
        self.reducers: dict[str, Reducer[Any]] = {one.name: one for some in rules().reducers.values() for one in some}
        self.documents: dict[tuple[str, str], Memory] = {}

    # --- saves ------------------------------------------------------------------------------------------------------

    def saved(self, collection: str, changes: Sequence[StoredDocument], result: SaveResult, process: str) -> list[Progress]:
        """Check a save of documents; return those that took effect."""
        if collection not in self.reducers:
            return []
        refused = result.stale | result.duplicate
        return [self._take(collection, one, process) for one in changes if one.key not in refused]

    def _take(self, reducer: str, row: StoredDocument, process: str) -> Progress:
        """Compare a saved row with the one it replaced."""
        name = (reducer, row.key)
        memory = self.documents.setdefault(name, Memory())
        body = orjson.loads(row.body)
        where = f"{reducer} of {row.key}, saved by {process} at version {row.version}"
        if row.version != memory.version:
            self._findings.report("no stale save", f"{where}: the version before was {memory.version}", row.key)
        for topic, offset in memory.applied.items():
            if body["applied"].get(topic, -1) < offset:
                self._findings.report(
                    "progress is kept", f"{where}: {topic} went back from {offset} to {body['applied'].get(topic)}", row.key
                )
        decided, emitted = memory.count, memory.emitted
        self._take_outputs(name, memory, body, where)
        self._take_trail(reducer, row.key, memory, body, where)
        memory.version = row.version + 1
        memory.applied = body["applied"]
        memory.due_at = row.fields.get("due_at")  # type: ignore[assignment] # the codec writes an integer or nothing
        memory.dirty = bool(row.fields.get("dirty"))
        memory.parked = body["parked"]
        return Progress(row.key, memory, memory.count - decided, self._outputs.saved[name][emitted:])

    def _take_outputs(self, name: tuple[str, str], memory: Memory, body: dict[str, Any], where: str) -> None:
        """Check that the new outputs are all in the outbox, and remember them to the byte."""
        saved = self._outputs.saved[name]
        new = body["emitted"] - memory.emitted
        outbox = [entry for entry in body["outbox"] if not entry[0].startswith("dead.")]
        entries = outbox[-new:] if new else []
        self._findings.require(
            "outputs are saved", f"{where}: {new} outputs, {len(entries)} in the outbox", name[1], holds=len(entries) == new
        )
        saved.extend(value.encode() for _, _, value in entries)
        if new:
            self._outputs.was_saved(name, self._seconds())
        memory.emitted = body["emitted"]
        if len(outbox) < memory.emitted - self._outputs.published_up_to(name):
            self._findings.report("outbox kept until acknowledged", f"{where}: the outbox lost what is on no topic", name[1])

    def _take_trail(self, reducer: str, key: str, memory: Memory, body: dict[str, Any], where: str) -> None:
        """Check every decision since the last save."""
        state = body["state"]
        if state is None:
            return
        new = state["count"] - memory.count
        entries = state["trail"][-new * ENTRY_CHARACTERS :] if new else ""
        if new < 0 or len(entries) != new * ENTRY_CHARACTERS:
            self._findings.report("decisions are kept", f"{where}: {memory.count} decisions became {state['count']}", key)
        for begin in range(0, len(entries), ENTRY_CHARACTERS):
            mark = entries[begin : begin + 16]
            moment = from_epoch_milliseconds(int(entries[begin + 16 : begin + ENTRY_CHARACTERS]))
            if mark.startswith(TIMER_MARK):
                self._take_timer(memory, mark, moment, where, key)
            else:
                self._take_event(reducer, key, memory, mark, where)
            memory.decided.append((mark, moment))
        memory.count = state["count"]
        memory.inner = state.get("inner")

    def _take_timer(self, memory: Memory, mark: str, moment: datetime, where: str, key: str) -> None:
        """A timer fires once, and not before its time.

        An event in between may arm the same moment again: two clocks that start with the same message warn at the same time.
        """
        due_at = from_epoch_milliseconds(int(mark[1:]))
        if mark in memory.timers:
            self._findings.report("timers fire once", f"{where}: the timer of {due_at.isoformat()} fired twice", key)
        if (due_at - moment).total_seconds() > EARLY_SECONDS_MAX:
            self._findings.report("timers fire at their time", f"{where}: the timer of {due_at.isoformat()} at {moment.isoformat()}", key)
        memory.timers.add(mark)

    def _take_event(self, reducer: str, key: str, memory: Memory, mark: str, where: str) -> None:
        """An event is decided once, next in its topic's order."""
        topics = [topic.name for topic in self.reducers[reducer].inputs]
        for topic in topics:
            done = len(memory.emitted_at[topic])
            order = self._facts.order.get((topic, key), [])
            if done < len(order) and order[done] == mark:
                memory.emitted_at[topic].append(memory.emitted)
                memory.timers.clear()
                return
        for topic in topics:
            place = self._facts.places.get((topic, key), {}).get(mark)
            done = len(memory.emitted_at[topic])
            if place is not None and place < done:
                self._findings.report("every decision once", f"{where}: event {place} of {topic} was decided before", key)
                return
            if place is not None:
                passed_over = self._name(topic, key, done)
                self._findings.report(
                    "nothing lost, in order", f"{where}: event {place} of {topic} before {passed_over} (event {done})", key
                )
                return
        self._findings.report("decisions follow from the topics", f"{where}: an event that stands on none of {topics}", key)

    def _name(self, topic: str, key: str, place: int) -> str:
        mark = self._facts.order[topic, key][place]
        return next(str(event["id"]) for event in self._facts.events[topic] if digest(event["id"]) == mark)

    # --- commits ----------------------------------------------------------------------------------------------------

    def committed(self, reducer: str, before: int, offset: int, records: Sequence[LogRecord], place: TopicPartition) -> None:
        """Check that everything below a committed offset is decided and its outputs acknowledged."""
        if offset < before:
            self._findings.report("commits go forward", f"{reducer} on {place}: from {before} back to {offset}")
        for record in records:
            if record in self._facts.misplaced or record.value in self._facts.poison:
                continue
            key = (record.key or b"").decode()
            mark = digest(orjson.loads(record.value or b"")["id"])
            event_place = self._facts.places[record.topic, key][mark]
            memory = self.documents.get((reducer, key))
            emitted_at = memory.emitted_at[record.topic] if memory is not None else []
            if event_place >= len(emitted_at):
                self._findings.report(
                    "committed after decided", f"{reducer} committed {offset} on {place}, {record.offset} is not decided", key
                )
                return
            if self._outputs.published_up_to((reducer, key)) < emitted_at[event_place]:
                self._findings.report(
                    "committed after published", f"{reducer} committed {offset} on {place}; outputs of {record.offset} are on no topic", key
                )
                return

    def lagging(self, ends: Mapping[tuple[str, str], int]) -> None:
        """Report events that nobody decided although all had time enough; `ends`: how many events of (topic, key) are that old."""
        for name, reducer in self.reducers.items():
            for topic in reducer.inputs:
                for (line, key), end in ends.items():
                    memory = self.documents.get((name, key))
                    done = len(memory.emitted_at[line]) if memory is not None else 0
                    if line == topic.name and done < end:
                        self._findings.report("nothing lost", f"{name} never decided {self._name(line, key, done)} on {line}", key)
                        return
