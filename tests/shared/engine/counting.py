"""A reducer for tests of the engine: it counts notes, and does on command what a rule should never do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shared.engine.document import Document
from shared.engine.records import Record
from shared.engine.reducer import Decision, Output, TimerFired
from shared.events.commands import AddNote, Close
from shared.events.conversations import NoteAdded
from shared.events.envelope import Event, Frozen, new_event
from shared.events.shapes import Author, AuthorKind
from shared.events.work import WorkWithdrawn
from shared.topics import COMMANDS, CONVERSATIONS, WORK, Topic

AUTHOR = Author(kind=AuthorKind.AGENT, id="agent.test")
TIMER = timedelta(seconds=10)
SIZES = {"huge": 2_000_000, "large": 900_000, "flood": 900_000}
COPIES = {"many": 1_000, "flood": 20}


class Count(Frozen):
    """How many notes there were, and when the timer rings."""

    notes: int = 0
    due_at: datetime | None = None


class Counter:
    """Answers each note with a NoteAdded that carries the count; some words in the note make it misbehave.

    `boom` raises, `huge` emits more than a record takes, `large` nearly as much, `flood` that twenty times over, `timer` arms the
    timer, `stuck` arms one that never lets go, `work` also writes under another key, `many` emits a thousand outputs, `quiet` none.
    """

    name = "counter"
    source = "parley/test/counter"
    inputs: tuple[Topic, ...] = (COMMANDS,)
    state = Count

    def decide(self, state: Count | None, event: Event[Any], now: datetime) -> Decision[Count]:
        """Return the next count."""
        state = state or Count()
        if isinstance(event.data, TimerFired):
            return self._timer(state, event)
        if not isinstance(event.data, AddNote):
            return Decision(None)
        text = event.data.text
        if text == "boom":
            message = "a rule failed on a customer's words"
            raise ValueError(message)
        counted = state.but(notes=state.notes + 1)
        if text == "quiet":
            return Decision(counted)
        if text == "timer":
            counted = counted.but(due_at=now + TIMER)
        if text == "stuck":
            counted = counted.but(due_at=now)
        words = "x" * SIZES[text] if text in SIZES else str(counted.notes)
        outputs = [Output(CONVERSATIONS, event.subject, note(words))] * COPIES.get(text, 1)
        if text == "work":
            outputs.insert(0, Output(WORK, "pool", WorkWithdrawn(conversation_id="c", thread=event.subject)))
        return Decision(counted, tuple(outputs))

    def due(self, state: Count) -> datetime | None:
        """Return when the timer rings."""
        return state.due_at

    def _timer(self, state: Count, event: Event[Any]) -> Decision[Count]:
        """Ring once; a state that was armed with `stuck` has counted one note and never lets go."""
        if state.due_at == event.data.due_at and state.notes == STUCK_NOTES:
            return Decision(state)
        return Decision(state.but(due_at=None), (Output(CONVERSATIONS, event.subject, note("late" if event.data.late else "ring")),))


STUCK_NOTES = 13


def note(text: str) -> NoteAdded:
    """Return an output."""
    return NoteAdded(conversation_id="c", author=AUTHOR, text=text)


def command(text: str, *, event_id: str, key: str = "thread", **attributes: Any) -> bytes:
    """Return a note as it stands on the topic, from a source without seq unless told otherwise."""
    event = new_event(
        AddNote(author=AUTHOR, text=text),
        event_id=event_id,
        source="test",
        subject=key,
        time=datetime.fromisoformat("2026-11-22T12:00:00Z"),
    )
    return event.but(**attributes).to_json()


def closing(event_id: str, key: str = "thread") -> bytes:
    """Return a command that the reducer does not care for."""
    return new_event(
        Close(author=AUTHOR), event_id=event_id, source="test", subject=key, time=datetime.fromisoformat("2026-11-22T12:00:00Z")
    ).to_json()


def record(value: bytes | None, offset: int, *, key: bytes | None = b"thread", partition: int = 0, topic: Topic = COMMANDS) -> Record:
    """Return a record of the only partition."""
    return Record(topic, partition, offset, key, value, 0)


def stored(document: Document[Any]) -> Document[Any]:
    """Return the document as the next step gets it once the plan is carried out: saved, and its outbox acknowledged."""
    document.version += 1
    document.outbox.clear()
    return document
