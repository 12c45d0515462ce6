"""What the topics held, record by record: every event once on a board, and how often and in which order each was written."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from devstack.demo.board import Board
from shared.engine.follower import Seen
from shared.events.conversations import MessageAppended
from shared.events.envelope import Event
from shared.events.rejected import DeadLetter


@dataclass(slots=True)
class Records:
    """Every record of every topic so far.

    written       how often an event was written, by its id
    appended_at   when a customer's message was appended, by its native id
    seqs          every seq per source and emitting state
    values        the bytes of events that carry a seq: a repetition must be the same to the byte
    first_at      when an event was first written (seconds since 1970, the record's own time)
    first_place   where an event was first written: topic, partition, offset
    unreadable    records that are no event of their topic, per topic
    different     ids of repeated events whose bytes differed although they carry a seq
    """

    board: Board = field(default_factory=Board)
    appended_at: dict[str, float] = field(default_factory=dict)
    seqs: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    written: Counter[str] = field(default_factory=Counter)
    values: dict[str, bytes] = field(default_factory=dict)
    first_at: dict[str, float] = field(default_factory=dict)
    first_place: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    different: set[str] = field(default_factory=set)

    @property
    def duplicates(self) -> int:
        """Return how many records repeat an earlier one: all of them are to be dropped by whoever reads them."""
        return sum(self.written.values()) - len(self.written)

    def take(self, seen: Seen) -> Event[Any] | None:
        """Take note of a record; return its event where it is new."""
        record, event = seen.record, seen.event
        if event is None:
            self.unreadable[record.topic.name] += 1
            return None
        self.written[event.id] += 1
        if event.seq is not None and self.values.setdefault(event.id, record.value or b"") != record.value:
            self.different.add(event.id)
        if not self.board.take(event):
            return None
        self.first_at[event.id] = record.timestamp_milliseconds / 1000
        if event.seq is not None:
            self.seqs[event.source, event.emitter or event.subject].add(event.seq)
        if isinstance(event.data, MessageAppended) and event.data.message_id is not None:
            self.appended_at.setdefault(event.data.message_id, self.first_at[event.id])
        self.first_place[event.id] = (record.topic.name, record.partition, record.offset)
        return event

    def events(self, *kinds: type[Any]) -> list[Event[Any]]:
        """Return every event of these kinds, once, as it was seen."""
        return self.board.events(*kinds)

    def of_kind(self, *kinds: type[Any]) -> list[Event[Any]]:
        """Return every event of these kinds in the order of their partitions."""
        return sorted(self.events(*kinds), key=lambda event: self.first_place[event.id])

    def dead_letters(self) -> list[DeadLetter]:
        """Return every dead letter."""
        return [event.data for event in self.events(DeadLetter)]

    def seq_gaps(self) -> list[str]:
        """Return the emitting states whose seqs are not 1, 2, 3 … without a gap."""
        return sorted(f"{source} {key}" for (source, key), found in self.seqs.items() if max(found) != len(found))
