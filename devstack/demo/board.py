"""What the topics say, folded into what a supervisor would look at. Pure: events in, rows and counts out.

It reads only what any integrator can read, so what it shows is what the platform has published, not what the demo believes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.events.commands import Reply, SendTemplate
from shared.events.conversations import (
    ConversationClosed,
    ConversationOpened,
    ConversationUpdated,
    MessageAppended,
    OwnerChanged,
    ReplyApproved,
    ReplyRejected,
)
from shared.events.deliveries import MessageDelivered, MessageRead, MessageSent, SendAccepted, SendRefused, SendUnknown
from shared.events.envelope import Event
from shared.events.inbound import MessageReceived
from shared.events.rejected import WebhookRejected
from shared.events.sends import SendRequested, SendWithheld
from shared.events.sla import ClockBreached, ClockMet, ClockStarted, ClockWarned, WindowClosed, WindowClosing, WindowOpened
from shared.events.work import AssignmentMade, QueuePositionChanged


@dataclass(slots=True)
class Row:
    """One conversation as it stands."""

    thread: str
    channel: str = ""
    account: str = ""
    department: str = ""
    language: str = ""
    owner: str = ""
    epoch: int = 0
    conversation_id: str = ""
    window_ends_at: datetime | None = None
    due_at: datetime | None = None
    last_event: str = ""
    changed_at: datetime | None = None


@dataclass(slots=True)
class Board:
    """Every event seen, once each by its id, and what follows from it."""

    rows: dict[str, Row] = field(default_factory=dict)
    by_id: dict[str, Event[Any]] = field(default_factory=dict)
    by_thread: dict[str, list[Event[Any]]] = field(default_factory=lambda: defaultdict(list))
    by_kind: dict[type[Any], list[Event[Any]]] = field(default_factory=lambda: defaultdict(list))
    kinds: Counter[str] = field(default_factory=Counter)
    repeated: int = 0

    def take(self, event: Event[Any]) -> bool:
        """Take note of one event; return whether it is new."""
        if event.id in self.by_id:
            self.repeated += 1
            return False
        self.by_id[event.id] = event
        self.by_thread[event.subject].append(event)
        self.by_kind[type(event.data)].append(event)
        self.kinds[event.data.NAME] += 1
        if not isinstance(event.data, WebhookRejected) and event.subject.count(":") >= 2:  # noqa: PLR2004 # a thread id
            row = self.rows.setdefault(event.subject, Row(event.subject))
            line = _apply(row, event.data)
            if line:
                row.last_event, row.changed_at = line, event.time
        return True

    def events(self, *kinds: type[Any]) -> list[Event[Any]]:
        """Return every event of these kinds, kind by kind, each in the order seen."""
        return [event for kind in kinds for event in self.by_kind.get(kind, ())]

    def of_thread(self, thread: str, *kinds: type[Any]) -> list[Event[Any]]:
        """Return the events of these kinds on one thread, in the order seen."""
        return [event for event in self.by_thread.get(thread, []) if isinstance(event.data, kinds)]

    def latencies(self) -> list[float]:
        """Return seconds from a webhook's arrival to the channel's acceptance of the automatic answer, followed along the causes."""
        requested = {event.data.send_id: event for event in self.events(SendRequested)}
        found: list[float] = []
        for accepted in self.events(SendAccepted):
            send = requested.get(accepted.data.send_id)
            cause = send
            while cause is not None and not isinstance(cause.data, MessageReceived):
                cause = self.by_id.get(cause.causationid or "")
            if cause is not None:
                found.append((accepted.data.at - cause.data.received_at).total_seconds())
        return found


def _opened(row: Row, data: ConversationOpened) -> str:
    row.channel, row.account = data.channel, data.account
    row.language, row.department = data.language or "", data.department or ""
    row.conversation_id, row.owner = data.conversation_id, "bot"
    return "conversation opened"


def _updated(row: Row, data: ConversationUpdated) -> str:
    row.language = data.changes["language"][1] or "" if "language" in data.changes else row.language
    row.department = data.changes["department"][1] or "" if "department" in data.changes else row.department
    return ""


def _changed_owner(row: Row, data: OwnerChanged) -> str:
    row.owner, row.epoch = data.to, data.epoch
    return f"now with {data.to}"


def _closed(row: Row, _data: ConversationClosed) -> str:
    row.owner, row.due_at = "nobody", None
    return "closed"


def _appended(_row: Row, data: MessageAppended) -> str:
    return f"customer wrote ({data.content.kind})" if data.direction == "in" else ""


def _window_opened(row: Row, data: WindowOpened) -> str:
    row.window_ends_at = data.ends_at if data.permission == "free_form" else row.window_ends_at
    return ""


def _clock_started(row: Row, data: ClockStarted) -> str:
    row.due_at = data.due_at
    return ""


def _clock_met(row: Row, data: ClockMet) -> str:
    row.due_at = None
    return f"{data.clock.replace('_', ' ')} kept"


CHANGES: dict[type[Any], Callable[[Row, Any], str]] = {
    ConversationOpened: _opened,
    ConversationUpdated: _updated,
    OwnerChanged: _changed_owner,
    ConversationClosed: _closed,
    MessageAppended: _appended,
    WindowOpened: _window_opened,
    ClockStarted: _clock_started,
    ClockMet: _clock_met,
    AssignmentMade: lambda _row, data: f"given to {data.agent}",
    QueuePositionChanged: lambda _row, data: f"waits, position {data.position}",
    WindowClosing: lambda _row, data: f"window closes in {data.remaining_seconds} s",
    WindowClosed: lambda _row, _data: "window closed",
    ReplyRejected: lambda _row, data: f"reply rejected: {data.reason}",
    ReplyApproved: lambda _row, data: f"{data.author.kind} answers",
    SendRequested: lambda _row, data: f"sending as {data.permission}",
    SendWithheld: lambda _row, data: f"withheld: {data.reason}",
    **dict.fromkeys(
        (ClockWarned, ClockBreached, SendAccepted, SendRefused, SendUnknown, MessageSent, MessageDelivered, MessageRead),
        lambda _row, data: data.NAME.replace(".", " "),
    ),
}
"""What each fact changes in its row, and the line that tells it (empty: nobody would look at it)."""


def _apply(row: Row, data: Any) -> str:
    """Bring a row up to date; return the line that tells what happened."""
    change = CHANGES.get(type(data))
    return "" if change is None else change(row, data)


def remaining(moment: datetime | None, now: datetime) -> str:
    """Return a countdown: `23:59:02`, `closed`, or nothing."""
    if moment is None:
        return ""
    left = moment - now
    if left <= timedelta(0):
        return "closed"
    seconds = int(left.total_seconds())
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def replies_asked(board: Board) -> set[str]:
    """Return the ids of all replies that anybody asked for."""
    return {event.data.reply_id for event in board.events(Reply, SendTemplate)}
