"""One key that cannot be stored, or cannot be read, is alone with it: the others of its batch go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.engine import batch
from shared.engine.batch import BatchWork
from shared.engine.intake import UnreadableDocumentError
from shared.engine.placement import partition_of
from shared.engine.reducer import Decision, Output, TimerFired
from shared.engine.step import Engine
from shared.events.envelope import Event, Frozen
from shared.ids import digest
from shared.topics import COMMANDS, CONVERSATIONS, Topic
from tests.shared.engine.batch_world import NAME, World, a_world
from tests.shared.engine.counting import command, note

SHARDS = 4
BYTES_MAX = 3_000


class Kept(Frozen):
    """Everything that was ever said."""

    words: tuple[str, ...] = ()
    due_at: datetime | None = None


class Hoarder:
    """Keeps every note and repeats the last; `tick` arms a timer that keeps a long word."""

    name = NAME
    source = "parley/test/hoarder"
    inputs: tuple[Topic, ...] = (COMMANDS,)
    state = Kept

    def decide(self, state: Kept | None, event: Event[Any], now: datetime) -> Decision[Kept]:
        """Return the state with one word more."""
        state = state or Kept()
        ticks = isinstance(event.data, TimerFired)
        text = "t" * BYTES_MAX if ticks else event.data.text
        due_at = now + timedelta(seconds=5) if text == "tick" else None
        return Decision(Kept(words=(*state.words, text), due_at=due_at), (Output(CONVERSATIONS, event.subject, note(text)),))

    def due(self, state: Kept) -> datetime | None:
        """Return when it ticks."""
        return state.due_at


async def hoarding(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose documents may be BYTES_MAX long and whose reducer keeps everything."""
    monkeypatch.setattr(batch, "STATE_BYTES_MAX", BYTES_MAX)
    world = await a_world(partitions=SHARDS)
    engine: Engine[Any] = Engine(Hoarder(), partitions=SHARDS, version="test")
    world.work = BatchWork(engine, world.store, world.publisher, options=world.options, clock=world.clock, metrics=world.metrics)
    world.work.shards.own(set(range(SHARDS)))
    await world.turn()
    return world


def key_beside(key: str) -> str:
    """Return a key on the same shard."""
    shard = partition_of(key.encode(), SHARDS)
    return next(f"k{number}" for number in range(100) if partition_of(f"k{number}".encode(), SHARDS) == shard)


def say(world: World, key: str, *texts: str) -> None:
    """Put notes on the input."""
    for text in texts:
        number = len(world.log[partition_of(key.encode(), SHARDS)])
        world.write(key, command(text, event_id=f"{key}/{number}", key=key))


async def test_a_state_that_grew_too_large_parks_its_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records go to the dead letters with the reason; what it was before stays, and its neighbours on the shard go on."""
    world = await hoarding(monkeypatch)
    say(world, "thread", "one")
    await world.settle()
    say(world, "thread", "x" * BYTES_MAX, "two")
    say(world, key_beside("thread"), "fine")
    await world.settle()
    say(world, "thread", "three")
    await world.settle()
    assert world.texts() == ["one", "fine"]
    letters = [letter.data for letter in world.letters()]
    assert [(letter.offset, letter.reason) for letter in letters] == [(1, "decide_failed"), (2, "parked"), (4, "parked")]
    assert all(f"{BYTES_MAX} is the most" in letter.error for letter in letters)


async def test_a_timer_that_makes_a_state_too_large_parks_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not fire again and again."""
    world = await hoarding(monkeypatch)
    say(world, "thread", "tick")
    await world.settle()
    world.clock.advance(timedelta(seconds=6))
    await world.settle()
    say(world, "thread", "later")
    await world.settle()
    assert world.texts() == ["tick"]
    (letter,) = world.letters()
    assert (letter.data.reason, "StateTooLargeError" in letter.data.error) == ("parked", True)


def spoil(world: World, key: str) -> None:
    """Make the document of `key` one that nobody can read."""
    documents = world.data.tables[NAME].documents
    documents[key] = replace(documents[key], body=b'{"written": "by a stranger"}')


async def test_a_document_that_cannot_be_read_gives_back_its_shard_alone() -> None:
    """The error names the key by its digest, without a word of it; the other shards go on, and this one when it can be read again."""
    world = await a_world(partitions=SHARDS)
    keys = [next(f"k{n}" for n in range(100) if partition_of(f"k{n}".encode(), SHARDS) == shard) for shard in range(SHARDS)]
    for key in keys:
        say(world, key, "one")
    await world.settle()
    good = world.data.tables[NAME].documents[keys[0]]
    spoil(world, keys[0])
    world.commit()
    await world.restart()
    for key in keys:
        say(world, key, "two")
    outcome = await world.turn()
    ((error, shards),) = outcome.failed
    assert isinstance(error, UnreadableDocumentError)
    assert shards == {partition_of(keys[0].encode(), SHARDS)}
    assert digest(keys[0]) in str(error)
    assert "stranger" not in str(error)
    assert [world.document(key).state.notes for key in keys[1:]] == [2] * (SHARDS - 1)  # type: ignore[union-attr] # each has counted
    world.data.tables[NAME].documents[keys[0]] = good
    await world.settle()
    assert world.document(keys[0]).state.notes == 2  # type: ignore[union-attr] # likewise


async def test_an_unreadable_document_with_a_timer_leaves_the_other_shards_their_timers() -> None:
    """Found by the index, before any record names it."""
    world = await a_world(partitions=SHARDS)
    keys = [next(f"k{n}" for n in range(100) if partition_of(f"k{n}".encode(), SHARDS) == shard) for shard in range(2)]
    for key in keys:
        say(world, key, "timer")
    await world.settle()
    spoil(world, keys[0])
    world.commit()
    await world.restart()
    world.clock.advance(timedelta(seconds=11))
    outcome = await world.turn()
    assert [shards for _, shards in outcome.failed] == [{0}]
    assert world.texts()[-1:] == ["late"] or world.texts()[-1:] == ["ring"]
    assert (await world.turn()).failed


async def test_an_unreadable_document_that_must_be_flushed_leaves_the_others_theirs() -> None:
    """What timers of other shards left goes out; this shard's stays marked."""
    world = await a_world(partitions=SHARDS)
    keys = [next(f"k{n}" for n in range(100) if partition_of(f"k{n}".encode(), SHARDS) == shard) for shard in range(2)]
    for key in keys:
        say(world, key, "timer")
    await world.settle()
    world.publisher.faults.append("nothing")
    world.clock.advance(timedelta(seconds=10))
    await world.turn()
    spoil(world, keys[0])
    await world.restart()
    outcome = await world.turn()
    assert [shards for _, shards in outcome.failed] == [{0}]
    assert world.texts().count("ring") == 1
    assert world.work.shards.to_flush == {0}
