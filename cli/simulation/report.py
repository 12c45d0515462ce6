"""What the simulated days came to: volumes, promises, waiting, and the reconciliation of every count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from cli.output import say, table
from devstack.demo.board import Board
from devstack.demo.summary import reconcile
from shared.events.conversations import MessageAppended, OwnerChanged
from shared.events.envelope import Event
from shared.events.sends import SendRequested, SendWithheld
from shared.events.shapes import AuthorKind
from shared.events.sla import ClockBreached, ClockMet, ClockWarned
from shared.events.work import AssignmentLapsed, AssignmentMade

MARKS = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Day:
    """The days as they were played. `counts` are those of customers and channels; `dead` the dead letters."""

    days: int
    seed: int
    start: datetime
    until: datetime
    board: Board
    counts: Counter[str]
    dead: tuple[Event[Any], ...]


def report(day: Day) -> bool:
    """Print the result; return whether every count reconciles and no record was put aside."""
    say(f"{day.days} days from {day.start:%a %Y-%m-%d %H:%M} UTC, seed {day.seed}: {day.counts['customers']} customers")
    table(("what", "number"), _volumes(day), title="Volumes")
    table(("promise", "kept", "warned", "broken"), _promises(day), title="Promises")
    waiting = _waiting(day.board)
    if waiting:
        title = f"{len(waiting)} from the queue to a person, seconds"
        table(("waiting", *(f"p{mark * 100:g}" for mark in MARKS)), [_quantiles(title, waiting)])
    lines = reconcile(day.board, day.counts, not_ours=0, refused=0)
    rows = [
        (Text("✓", "green") if line.holds else Text("✗", "bold red"), line.title, str(line.left), str(line.right), line.detail)
        for line in lines
    ]
    table(("", "must be equal", "", "", "of which"), rows, title="Reconciled")
    for letter in day.dead:
        say(f"✗ dead letter {letter.id}: {letter.data.reason}: {letter.data.error}")
    return all(line.holds for line in lines) and not day.dead


def _volumes(day: Day) -> list[tuple[str, str]]:
    """Return how much of what there was."""
    board = day.board
    answers = Counter(
        event.data.author.kind for event in board.events(MessageAppended) if event.data.direction == "out" and event.data.author
    )
    permissions = Counter(str(event.data.permission) for event in board.events(SendRequested))
    rows = {
        "messages from customers": day.counts["messages.created"],
        "webhooks delivered twice": day.counts["webhooks.redelivered"],
        **{name: count for name, count in sorted(day.counts.items()) if name.startswith("language ")},
        "answers of the bot": answers[AuthorKind.BOT],
        "answers of agents": answers[AuthorKind.AGENT],
        **{f"sent as {permission}": count for permission, count in sorted(permissions.items())},
        "answers withheld": len(board.events(SendWithheld)),
        "offers to agents": len(board.events(AssignmentMade)),
        "offers that lapsed": len(board.events(AssignmentLapsed)),
        "events on the topics": len(board.by_id),
    }
    return [(name, str(count)) for name, count in rows.items()]


def _promises(day: Day) -> list[tuple[str, str, str, str]]:
    """Return per policy and clock how many promises were kept, in danger, and broken."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for kind, word in ((ClockMet, "kept"), (ClockWarned, "warned"), (ClockBreached, "broken")):
        counts.update((event.data.policy, event.data.clock, word) for event in day.board.events(kind))
    clocks = sorted({(policy, clock) for policy, clock, _ in counts})
    return [
        (f"{policy}: {clock.replace('_', ' ')}", *(str(counts[policy, clock, word]) for word in ("kept", "warned", "broken")))  # type: ignore[misc] # three words, three cells
        for policy, clock in clocks
    ]


def _waiting(board: Board) -> list[float]:
    """Return for each time in the queue the seconds until a person had the conversation."""
    queued: dict[str, datetime] = {}
    found: list[float] = []
    for event in board.events(OwnerChanged):
        if event.data.to == "queue":
            queued.setdefault(event.subject, event.time)
        elif (since := queued.pop(event.subject, None)) is not None and event.data.to.startswith("agent:"):
            found.append((event.time - since).total_seconds())
    return sorted(found)


def _quantiles(title: str, ordered: Sequence[float]) -> tuple[str, ...]:
    return (title, *(f"{ordered[min(len(ordered) - 1, int(mark * len(ordered)))]:.1f}" for mark in MARKS))
