"""The letters: what stands on the dead-letter topics and on `rejected`, and which of it is asked for."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import NamedTuple

import orjson

from cli.connection import Connection
from cli.topic_table import DEAD
from shared.engine.follower import Follower, Seen
from shared.errors import ParleyError
from shared.events.envelope import Event
from shared.events.rejected import DeadLetter, WebhookRejected
from shared.topics import REJECTED, Topic, dead_letters_of

INVALID = "invalid"
Place = tuple[int, int]
"""Partition and offset on the letter's own topic: letters of one key are in their order there."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. `source` is its topic without the prefix; `place` is where the first letter of the same record stands.

    A record that was replayed and failed again has a new letter; it keeps the place of the first one, before its successors.
    """

    source: str
    event: Event[DeadLetter] | Event[WebhookRejected]
    place: Place

    @property
    def id(self) -> str:
        """Return the id of the letter: what a replay names."""
        return self.event.id

    @property
    def key(self) -> str:
        """Return the key of the record (a thread, a pool), or the account of a rejected webhook."""
        return self.event.subject

    @property
    def reducer(self) -> str | None:
        """Return whose dead letter it is; None for a rejected webhook."""
        return self.source.removeprefix(DEAD) if self.source.startswith(DEAD) else None

    @property
    def reason(self) -> str:
        """Return why it was put aside."""
        return self.event.data.reason

    @property
    def at(self) -> datetime:
        """Return when it was put aside."""
        data = self.event.data
        return data.first_failed_at if isinstance(data, DeadLetter) else data.received_at


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are asked for; an empty condition takes all. `limit`: the oldest ones, whole keys in their order."""

    sources: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    limit: int = 10_000

    def topics(self, there: Iterable[str]) -> list[Topic]:
        """Return the topics to read of those that are `there` (names without the prefix). Raises ParleyError for an unknown one."""
        known = {name: dead_letters_of(name.removeprefix(DEAD)) for name in there if name.startswith(DEAD)}
        known[REJECTED.name] = REJECTED
        if not self.sources:
            return list(known.values())
        return [known[self._named(source, known)] for source in sorted(self.sources)]

    @staticmethod
    def _named(source: str, known: dict[str, Topic]) -> str:
        name = source if source in known else DEAD + source
        if name not in known:
            close = get_close_matches(source, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise ParleyError(f"no letters are kept in {source}; {hint}")
        return name

    def takes(self, letter: Letter) -> bool:
        """Return whether `letter` is asked for, the limit aside."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (self.key is None or letter.key == self.key)
        )


class Other(NamedTuple):
    """What is remembered of a letter that was not selected."""

    place: Place
    id: str
    at: datetime


@dataclass(slots=True)
class Letters:
    """The letters that were found. `selected` are in the order of their topics, per key in the order of the records.

    `others` are those that were not selected, per source and key in their order. Records that were no valid events are not among
    them: nothing of their key waits for them.
    """

    selected: list[Letter] = field(default_factory=list)
    others: dict[tuple[str, str], list[Other]] = field(default_factory=lambda: defaultdict(list))
    unreadable: int = 0

    def before_selected(self) -> list[Other]:
        """Return the others that stand before a selected letter of their key: whether they were replayed decides about it."""
        last = {(letter.source, letter.key): letter.place for letter in self.selected}  # in their order: the last one stays
        return [other for queue, place in last.items() for other in self.others.get(queue, []) if other.place < place]


async def read_letters(connection: Connection, topics: list[Topic], selection: Selection) -> Letters:
    """Read `topics` to their present end and return what is selected. Raises BrokerUnavailableError."""
    found: dict[str, Letter] = {}
    letters = Letters()
    async with Follower(connection.bootstrap_servers, connection.prefix, topics) as follower:
        async for batch in follower.read_to_end():
            for seen in batch:
                _take(seen, found, letters)
    chosen = sorted((letter for letter in found.values() if selection.takes(letter)), key=lambda letter: (letter.at, letter.place))
    kept = {letter.id for letter in chosen[: selection.limit]}
    for letter in sorted(found.values(), key=lambda one: (one.source, one.place)):
        if letter.id in kept:
            letters.selected.append(letter)
        elif letter.reducer is not None and letter.reason != INVALID:
            letters.others[letter.source, letter.key].append(Other(letter.place, letter.id, letter.at))
    return letters


def _take(seen: Seen, found: dict[str, Letter], letters: Letters) -> None:
    """Add a letter, unless it was written twice (a batch that was carried out again writes the same letters)."""
    if seen.event is None:
        letters.unreadable += 1
        return
    if seen.event.id in found:
        return
    first = found.get(earlier_replay(seen.event) or "")
    place = (seen.record.partition, seen.record.offset) if first is None else first.place
    found[seen.event.id] = Letter(seen.record.topic.name, seen.event, place)


def earlier_replay(event: Event[DeadLetter] | Event[WebhookRejected]) -> str | None:
    """Return which letter the record of this one was a replay of, or None: it was none, or cannot be read."""
    if not isinstance(event.data, DeadLetter):
        return None
    try:
        document = orjson.loads(value_of(event.data))
    except orjson.JSONDecodeError:
        return None
    named = document.get("replayof") if isinstance(document, dict) else None
    return named if isinstance(named, str) else None


def value_of(letter: DeadLetter) -> bytes:
    """Return the record's value as far as the letter holds it; empty where it had none or the letter is broken."""
    try:
        return base64.b64decode(letter.value or "", validate=True)
    except ValueError:  # no base64, or no ASCII at all
        return b""
