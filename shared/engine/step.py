"""One step of the engine: records and documents in, a plan out. Plain synchronous code without I/O, clock or randomness.

The shell that called carries the plan out in its order: save the documents, publish, and only then commit. Everything that makes
a decision take effect once is here: what was applied is not decided again, what was seen is dropped, what was saved and not
acknowledged goes out whole before anything new of its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from traceback import extract_tb
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.engine.dead_letters import dead_letter
from shared.engine.document import Document, Emitted
from shared.engine.placement import partition_of
from shared.engine.plan import Plan, TimerDue, publications_of
from shared.engine.records import Publication, Record
from shared.engine.reducer import Reducer, TimerFired
from shared.engine.stamping import OUTBOX_BYTES_MAX, bytes_of, stamped
from shared.errors import InvalidEventError
from shared.events.envelope import Event, UnknownTypeError, new_event, to_milliseconds
from shared.ids import digest, remembers_digest
from shared.topics import RECORD_BYTES_MAX, Topic

S = TypeVar("S", bound=BaseModel)

TIMER_LATE_SECONDS = 5.0
"""A timer that fires later than this says so."""
OUTBOX_ENTRIES_MAX = 500
"""A key that has emitted so much in one step ends the step: its document carries all of it."""
TRACE_SAMPLED = "-01"
"""How the trace context of a message ends whose way is traced (W3C trace context, flags)."""
STEP_OUTPUTS_MAX = 20_000
"""Outputs of one step after which it ends; the rest of the records waits for the next."""

NOBODY: Mapping[str, str] = MappingProxyType({})


class TimerStuckError(Exception):
    """A timer changed nothing and is due again at once: it would fire for ever."""


class Engine(Generic[S]):
    """The engine of one reducer."""

    def __init__(self, reducer: Reducer[S], *, partitions: int, version: str) -> None:
        self.reducer = reducer
        self.partitions = partitions
        self.version = version

    def step(
        self,
        shard: int,
        inputs: Sequence[Record | TimerDue],
        documents: Mapping[str, Document[S]],
        now: datetime,
        refused: Mapping[str, str] = NOBODY,
    ) -> Plan[S]:
        """Return what follows from `inputs`, taken in their order.

        `documents` holds those of the inputs' keys that exist. A document whose outbox is not empty is taken as not
        acknowledged: the outbox goes out first. Inputs beyond `plan.taken` belong into the next step. The keys in `refused` are
        parked, for the reason given there, as if their rule had raised: what they would become cannot be stored.
        """
        return _Step(self, shard, documents, now, refused).run(inputs)

    def flush(self, shard: int, documents: Sequence[Document[S]]) -> Plan[S]:
        """Return the plan that publishes the outboxes of `documents` (what timers left) and nothing else."""
        plan: Plan[S] = Plan(shard)
        for document in documents:
            plan.touched[document.key] = document
            plan.publishes.extend(publications_of(document))
        return plan


class _Step(Generic[S]):
    """The work in progress of one step."""

    def __init__(
        self, engine: Engine[S], shard: int, documents: Mapping[str, Document[S]], now: datetime, refused: Mapping[str, str]
    ) -> None:
        self._reducer = engine.reducer
        self._partitions = engine.partitions
        self._version = engine.version
        self._shard = shard
        self._documents = documents
        self._now = to_milliseconds(now)
        self._refused = refused
        self._changed: set[str] = set()
        self._outputs = 0
        self._outbox_bytes: dict[str, int] = {}
        self._letters: set[int] = set()
        self._plan: Plan[S] = Plan(shard)

    def run(self, inputs: Sequence[Record | TimerDue]) -> Plan[S]:
        plan = self._plan
        for one in inputs:
            if isinstance(one, TimerDue):
                self._take_timer(one.key)
                full = False
            else:
                full = self._take_record(one)
                plan.commits[one.topic] = max(plan.commits.get(one.topic, 0), one.offset + 1)
            plan.taken += 1
            if full or self._outputs >= STEP_OUTPUTS_MAX:
                break
        plan.saves = [document for key, document in plan.touched.items() if key in self._changed]
        for document in plan.touched.values():
            plan.publishes.extend(publications_of(document, without=self._letters))
        return plan

    def _touch(self, key: str) -> Document[S]:
        """Return the key's document for this step; the engine's own, so that the caller's stays as it is if the plan fails."""
        document = self._plan.touched.get(key)
        if document is None:
            known = self._documents.get(key)
            document = Document(key, self._shard) if known is None else known.copy()
            if document.outbox:
                self._outbox_bytes[key] = bytes_of(document.outbox)
            else:
                document.dirty = False
            self._plan.touched[key] = document
        return document

    def _take_record(self, record: Record) -> bool:
        """Take one record; return whether its key has emitted so much that the step should end."""
        key = _key_of(record)
        if key is None:
            self._bury(record, "invalid", "the record's key is no text")
            return False
        if partition_of(record.key or b"", self._partitions) != record.partition:
            self._forward(record, key)
            return False
        document = self._touch(key)
        if record.offset <= document.applied.get(record.topic.name, -1):
            self._plan.counts.replayed += 1
            return False
        try:
            event = record.topic.decode(record.value or b"")
            if event.subject != key:
                raise InvalidEventError("subject: is not the record's key")  # noqa: TRY301 # handled like every other invalid record
        except UnknownTypeError:
            self._plan.counts.unknown_types += 1
            return False
        except InvalidEventError as error:
            self._bury(record, "invalid", str(error), document)
        else:
            self._take_event(document, record, event)
        return len(document.outbox) >= OUTBOX_ENTRIES_MAX or self._outbox_bytes.get(key, 0) >= OUTBOX_BYTES_MAX

    def _take_event(self, document: Document[S], record: Record, event: Event[Any]) -> None:
        """Decide about a valid event, unless it was seen or its key is parked."""
        if event.traceparent is not None and event.traceparent.endswith(TRACE_SAMPLED):
            self._plan.sampled.append(event.traceparent)
        if event.seq is None or self._is_replay(event):
            event_digest = digest(event.id)
            seen = remembers_digest(document.recent_ids, event_digest)
        else:
            event_digest = None
            seen = self._seen(document, record.topic, event, event.seq)
        if seen:
            self._plan.counts.duplicates += 1
            return
        if document.parked is not None and not self._may_go_on(document, event):
            self._bury(record, "parked", document.parked, document)
        elif self._decide(document, event):
            document.parked = None
            if event_digest is not None:
                document.remember_id(event_digest)
        else:
            self._bury(record, "decide_failed", document.parked or "", document)
        document.applied[record.topic.name] = record.offset
        document.last_topic = record.topic.name
        self._changed.add(document.key)

    def _seen(self, document: Document[S], topic: Topic, event: Event[Any], seq: int) -> bool:
        """Return whether the event with this seq took effect before; take note of the emitting state's seq.

        Per topic: a state counts its outputs on all of them, and a reader of two may come to the later output first.
        """
        emitter = emitter_on(topic, event)
        last = document.seen.get(emitter, 0)
        if seq <= last:
            return True
        if event.previousseq is not None and event.previousseq > last:
            self._plan.counts.gaps += 1
        document.remember_seq(emitter, seq)
        return False

    def _may_go_on(self, document: Document[S], event: Event[Any]) -> bool:
        """Return whether this replay may unpark its key: not one whose predecessor, of the same replay, has failed again."""
        return self._is_replay(event) and (event.replayafter is None or remembers_digest(document.recent_ids, digest(event.replayafter)))

    def _is_replay(self, event: Event[Any]) -> bool:
        """Return whether an operator replays a dead letter of this reducer: the topic's other readers have taken the event before."""
        return event.replayof is not None and event.replayof.startswith(f"{self._reducer.name}/")

    def _take_timer(self, key: str) -> None:
        """Fire the key's timer, if it is still due: the index may be older than the document."""
        document = self._touch(key)
        due_at = document.due_at
        if due_at is None or due_at > self._now or document.parked is not None:
            return
        late = self._now - due_at > timedelta(seconds=TIMER_LATE_SECONDS)
        milliseconds = int(due_at.timestamp() * 1000)
        event = new_event(
            TimerFired(due_at=due_at, late=late),
            event_id=f"{self._reducer.name}/{key}/timer/{milliseconds}"[-512:],
            source=self._reducer.source,
            subject=key,
            time=self._now,
        )
        emitted = document.emitted
        self._decide(document, event)
        self._plan.counts.timers += 1
        document.dirty = document.dirty or document.emitted > emitted
        self._changed.add(key)

    def _decide(self, document: Document[S], event: Event[Any]) -> bool:
        """Ask the reducer and take over its decision; where that fails, park the key and return False."""
        if document.key in self._refused:
            document.parked = self._refused[document.key]
            return False
        try:
            decision = self._reducer.decide(document.state, event, self._now)
            due_at = None if decision.state is None else self._reducer.due(decision.state)
            if due_at is not None:
                due_at = to_milliseconds(due_at)  # as the index holds it: the document and its row must agree on what is due
            if isinstance(event.data, TimerFired) and due_at is not None and due_at <= self._now and decision.state == document.state:
                raise TimerStuckError  # noqa: TRY301 # it parks the key like any failure of a rule
            entries, emitted_to = stamped(decision.outputs, self._reducer, document, event, self._now) if decision.outputs else ([], {})
        except Exception as error:  # noqa: BLE001 # whatever a rule raises parks its key and nothing else; the dead letter says what
            document.parked = f"{type(error).__name__} at {_place(error)}"
            return False
        document.state = decision.state
        document.due_at = due_at
        self._plan.counts.decided += 1
        if entries:
            document.emitted += len(entries)
            document.emitted_to.update(emitted_to)
            document.outbox.extend(entries)
            self._outputs += len(entries)
            self._outbox_bytes[document.key] = self._outbox_bytes.get(document.key, 0) + bytes_of(entries)
        return True

    def _bury(self, record: Record, reason: str, error: str, document: Document[S] | None = None) -> None:
        """Put a record aside. Its letter stands in the key's outbox too: a repetition passes over what the saved document applied."""
        letter = dead_letter(record, reducer=self._reducer.name, reason=reason, error=error, version=self._version, now=self._now)
        self._plan.dead_letters.append(letter)
        self._plan.buried.append(f"{record.topic.name}/{record.partition}/{record.offset}")
        if document is not None:
            document.outbox.append(Emitted(letter.topic.name, letter.key, letter.value))
            self._outbox_bytes[document.key] = self._outbox_bytes.get(document.key, 0) + len(letter.value)
            self._letters.add(id(letter.value))

    def _forward(self, record: Record, key: str) -> None:
        """Write a record again that another partitioner than Kafka's default put on the wrong partition.

        One that came compressed may be larger than what we can write: it would be refused for ever.
        """
        self._plan.counts.misplaced += 1
        value = record.value or b""
        if len(record.key or b"") + len(value) > RECORD_BYTES_MAX:
            self._bury(record, "invalid", f"on the wrong partition, and larger than the {RECORD_BYTES_MAX} bytes that can be moved")
        else:
            self._plan.publishes.append(Publication(record.topic, key, value))


def emitter_on(topic: Topic, event: Event[Any]) -> str:
    """Return what a document calls the state that emitted `event` on `topic`."""
    name = f"{topic.name}|{event.source}"
    return name if event.emitter is None else digest(f"{name}|{event.emitter}")


def _key_of(record: Record) -> str | None:
    """Return the record's key as text, or None where it has none."""
    try:
        return record.key.decode() if record.key else None
    except UnicodeDecodeError:
        return None


def _place(error: BaseException) -> str:
    """Return file:line where an exception was raised, without its message: that may hold a customer's words."""
    frame = extract_tb(error.__traceback__)[-1]
    return f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno}"
