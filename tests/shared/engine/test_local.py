"""The local shell: services on a log in memory come to rest, and time passes from timer to timer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clock import ManualClock
from shared.engine.local import LocalShell, RestlessError
from shared.engine.records import Publication
from shared.engine.reducer import Decision, Output, TimerFired
from shared.errors import ParleyError
from shared.events.commands import AddNote
from shared.events.conversations import NoteAdded
from shared.events.envelope import Event
from shared.store.memory import MemoryData, MemoryStore
from shared.topics import COMMANDS, CONVERSATIONS, Topic
from tests.shared.engine.counting import AUTHOR, TIMER, Count, Counter, command

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Echo(Counter):
    """Answers the counter's notes with commands, as long as it is told to: two services that talk to each other."""

    name = "echo"
    source = "parley/test/echo"
    inputs: tuple[Topic, ...] = (CONVERSATIONS,)

    def __init__(self, *, answers_max: int) -> None:
        self._answers_max = answers_max

    def decide(self, state: Count | None, event: Event[Any], now: datetime) -> Decision[Count]:
        """Return a note for each note, up to a number."""
        del now
        state = state or Count()
        if not isinstance(event.data, NoteAdded) or state.notes >= self._answers_max:
            return Decision(state)
        return Decision(state.but(notes=state.notes + 1), (Output(COMMANDS, event.subject, AddNote(author=AUTHOR, text="echo")),))


class Ticker(Counter):
    """Rings every second, a number of times, and writes down when."""

    name = "ticker"

    def decide(self, state: Count | None, event: Event[Any], now: datetime) -> Decision[Count]:
        """Return the next ring."""
        state = state or Count()
        if isinstance(event.data, TimerFired) and state.notes == 0:
            return Decision(state.but(due_at=None))
        left = state.notes - 1 if isinstance(event.data, TimerFired) else 3
        said = (Output(CONVERSATIONS, event.subject, NoteAdded(conversation_id="c", author=AUTHOR, text=now.isoformat())),)
        return Decision(Count(notes=left, due_at=now + timedelta(seconds=1)), said)


def a_shell(data: MemoryData | None = None, **options: Any) -> LocalShell:
    """Return a shell at noon."""
    return LocalShell(clock=ManualClock(NOON), store=MemoryStore(data), **options)


async def say(shell: LocalShell, text: str, *, event_id: str, key: str = "thread") -> None:
    """Write a command."""
    await shell.log.publish([Publication(COMMANDS, key, command(text, event_id=event_id, key=key))])


def texts(shell: LocalShell) -> list[str]:
    """Return what the services said."""
    return [event.data.text for event in shell.log.events(CONVERSATIONS)]


@pytest.mark.parametrize("partitions", [1, 6])
async def test_services_answer_each_other_until_there_is_nothing_to_say(partitions: int) -> None:
    """Settling runs everybody until all have read everything."""
    shell = a_shell(partitions=partitions)
    await shell.add_reducer(Counter())
    await shell.add_reducer(Echo(answers_max=4))
    await say(shell, "a", event_id="1")
    await shell.settle()
    assert texts(shell) == ["1", "2", "3", "4", "5"]


async def test_a_long_backlog_is_read_in_parts() -> None:
    """A turn takes as much as it is told to; settling takes all."""
    shell = a_shell(records_max=3)
    await shell.add_reducer(Counter())
    for number in range(10):
        await say(shell, "a", event_id=str(number))
    await shell.settle()
    assert texts(shell) == [str(number) for number in range(1, 11)]


async def test_services_that_never_rest_are_told_apart_from_busy_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that answer each other for ever are a mistake, not a long day."""
    monkeypatch.setattr("shared.engine.local.ROUNDS_MAX", 200)
    shell = a_shell()
    await shell.add_reducer(Counter())
    await shell.add_reducer(Echo(answers_max=1_000_000))
    await say(shell, "a", event_id="1")
    with pytest.raises(RestlessError, match="answer each other"):
        await shell.settle()


async def test_time_stands_still_while_services_settle() -> None:
    """Only advancing moves it, and to the moment it was told."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    await say(shell, "timer", event_id="1")
    await shell.settle()
    assert shell.clock.now() == NOON
    await shell.advance(TIMER / 2)
    assert shell.clock.now() == NOON + TIMER / 2
    assert texts(shell) == ["1"]


async def test_every_timer_in_between_fires_at_its_own_moment() -> None:
    """A day that passes at once is a day: what a timer arms fires too, and each sees its own now."""
    shell = a_shell()
    await shell.add_reducer(Ticker())
    await say(shell, "a", event_id="1")
    await shell.advance(timedelta(days=1))
    assert texts(shell) == [(NOON + timedelta(seconds=second)).isoformat() for second in range(4)]
    assert shell.clock.now() == NOON + timedelta(days=1)


async def test_a_timer_at_the_very_end_fires() -> None:
    """Both ends count."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    await say(shell, "timer", event_id="1")
    await shell.advance(TIMER)
    assert texts(shell) == ["1", "ring"]


async def test_timers_of_several_services_fire_in_the_order_of_their_moments() -> None:
    """Whoever was added first."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    await shell.add_reducer(Ticker())
    await say(shell, "timer", event_id="1")
    await shell.advance(timedelta(minutes=1))
    said = [(event.time, event.data.text) for event in shell.log.events(CONVERSATIONS)]
    assert [moment for moment, _ in said] == sorted(moment for moment, _ in said)
    assert said[-1] == (NOON + TIMER, "ring")


async def test_a_restart_goes_on_where_the_store_was() -> None:
    """A second shell on the same data says again only what may not have been heard, decides nothing twice, and rings what is due."""
    data = MemoryData()
    first = a_shell(data)
    await first.add_reducer(Counter())
    await say(first, "timer", event_id="1")
    await first.settle()
    second = LocalShell(clock=ManualClock(NOON + timedelta(hours=1)), store=MemoryStore(data))
    second.log = first.log
    await second.add_reducer(Counter())
    await second.settle()
    assert [(event.seq, event.data.text) for event in second.log.events(CONVERSATIONS)] == [(1, "1"), (1, "1"), (2, "late")]


async def test_a_rule_that_fails_shows_in_the_dead_letters() -> None:
    """As on Kafka; the test looks there."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    await say(shell, "boom", event_id="1")
    await shell.settle()
    assert [letter.data.reason for letter in shell.dead_letters(["counter"])] == ["decide_failed"]


async def test_a_reducer_that_stops_says_why() -> None:
    """A burst of dead letters is no restlessness."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    for number in range(1_001):
        await say(shell, "boom", event_id=str(number), key=f"k{number}")
    with pytest.raises(ParleyError, match="more than 1000 dead letters in a minute"):
        await shell.settle()


async def test_an_error_of_the_store_surfaces() -> None:
    """Nothing is tried again in a test: it fails where it failed."""
    shell = a_shell()
    await shell.add_reducer(Counter())
    await shell._store.close()
    await say(shell, "a", event_id="1")
    with pytest.raises(ParleyError, match="closed"):
        await shell.settle()


async def test_the_log_keeps_keys_on_their_partition_in_order() -> None:
    """Like the broker."""
    shell = a_shell(partitions=6)
    for number in range(30):
        await say(shell, "a", event_id=str(number), key=f"k{number % 5}")
    for partition in range(6):
        records = shell.log.read(COMMANDS, partition, 0, 100)
        assert [record.offset for record in records] == list(range(len(records)))
    by_key = [event.id for event in shell.log.events(COMMANDS) if event.subject == "k3"]
    assert by_key == [str(number) for number in range(3, 30, 5)]
