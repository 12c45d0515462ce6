"""Which letters are replayed, and why the others are not. Pure.

Order per key is what is kept: nothing goes out before an earlier letter of its key that still waits, unless the operator says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cli.replaying.items import Ready, Refused
from cli.replaying.letters import INVALID, Letter, Letters


@dataclass(frozen=True, slots=True)
class Row:
    """One letter's fate. `ready` is there when it is to be replayed; `problem`: somebody has to do something about it."""

    letter: Letter
    words: str
    ready: Ready | None = None
    problem: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What the topics tell: the letters that were replayed before, and those of them that their reducer has not come to yet."""

    replayed: AbstractSet[str] = frozenset()
    not_taken: AbstractSet[str] = frozenset()


def make_plan(letters: Letters, items: Mapping[str, Ready | Refused], past: Past, *, skip_earlier: bool) -> list[Row]:
    """Return a row per selected letter, in the order in which they are replayed; `items` holds what each becomes, by its id."""
    held: dict[tuple[str, str], str] = {}
    seen: set[tuple[str, str]] = set()
    rows: list[Row] = []
    for letter in letters.selected:
        queue = (letter.source, letter.key)
        if letter.id in past.replayed:
            rows.append(_before(letter, past))
            if letter.id in past.not_taken:
                held[queue] = f"{letter.reducer} has not come to the replay of an earlier letter of this key yet: is it running?"
            continue
        item = items[letter.id]
        if isinstance(item, Ready) and not skip_earlier and letter.reason != INVALID and letter.reducer is not None:
            why = held.get(queue) or _earlier(letter, letters, past)
            item = item if why is None else Refused(letter, why)
        if isinstance(item, Refused):
            rows.append(Row(letter, item.why, problem=True))
            if letter.reason != INVALID:
                held.setdefault(queue, "an earlier letter of this key cannot be replayed; --skip-earlier goes on without it")
            continue
        events = {(letter.source, event_id) for event_id in item.event_ids}
        if events <= seen:
            rows.append(Row(letter, "the same event as an earlier letter"))
            continue
        seen |= events
        rows.append(Row(letter, item.what, item))
    return rows


def _before(letter: Letter, past: Past) -> Row:
    if letter.id in past.not_taken:
        return Row(letter, f"replayed before; {letter.reducer} has not come to it yet")
    return Row(letter, "replayed before")


def _earlier(letter: Letter, letters: Letters, past: Past) -> str | None:
    """Return why `letter` has to wait for one that was not selected, or None."""
    others = letters.others.get((letter.source, letter.key), [])
    waiting = sum(1 for other in others if other.place < letter.place and other.id not in past.replayed)
    if not waiting:
        return None
    return f"{waiting} earlier of this key not selected: --key alone takes all of them, --skip-earlier goes on without"
