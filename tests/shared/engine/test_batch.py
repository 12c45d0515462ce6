"""A batch carried out: load, decide, save, publish, in this order, and nothing half done when any of them fails."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import structlog

from shared.engine.batch import PLACES_SHOWN_MAX
from shared.engine.document import StaleDocumentError
from shared.engine.step import OUTBOX_ENTRIES_MAX
from shared.engine.timers import DIRTY_CLEANED_MAX
from shared.errors import BrokerUnavailableError
from shared.store.port import StoreUnavailableError
from shared.topics import COMMANDS
from tests.shared.engine.batch_world import NOON, World, a_world, keys_of_shards
from tests.shared.engine.counting import TIMER, command

SECOND = timedelta(seconds=1)


# --- the order --------------------------------------------------------------------------------------------------------


async def test_load_then_save_then_publish() -> None:
    """What was not saved is never seen by anyone."""
    world = await a_world()
    world.publisher.calls = world.store.calls
    world.write("thread", command("a", event_id="1"))
    outcome = await world.turn()
    assert world.store.calls == ["load", "save", "saved", "publish"]
    assert outcome.done == {(COMMANDS, 0): 1}
    assert world.texts() == ["1"]


async def test_what_is_published_is_what_was_saved() -> None:
    """At the moment of publishing the store holds the very bytes."""
    world = await a_world()
    world.write("thread", command("a", event_id="1"))
    world.publisher.faults.append("nothing")
    await world.turn()
    saved = [entry.value for entry in world.document().outbox]
    assert world.publisher.written == []
    await world.turn()
    assert [one.value for one in world.publisher.written] == saved


async def test_a_document_is_loaded_once_while_it_is_held() -> None:
    """Memory spares the store; the outbox is known to be acknowledged, so nothing is written twice."""
    world = await a_world()
    for number in range(3):
        world.write("thread", command("a", event_id=str(number)))
        await world.turn()
    assert world.store.calls.count("load") == 1
    assert world.texts() == ["1", "2", "3"]
    assert len(world.document().outbox) == 1


async def test_without_memory_every_batch_loads_and_says_nothing_twice() -> None:
    """What made a loaded outbox is done, so the outbox is acknowledged: it is not written again, however often its key is loaded."""
    world = await a_world(documents_cached_max=0)
    for number in range(3):
        world.write("thread", command("a", event_id=str(number)))
        await world.turn()
    assert world.texts() == ["1", "2", "3"]
    assert [event.seq for event in world.events()] == [1, 2, 3]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["load", "save", "saved"])
async def test_a_store_that_fails_leaves_nothing_done(fault: str) -> None:
    """The shard is given back; the replay gives the same outputs, once, saved or not."""
    world = await a_world()
    world.write("thread", command("a", event_id="1"))
    world.store.faults.append(fault)
    outcome = await world.turn()
    ((error, shards),) = outcome.failed
    assert isinstance(error, StoreUnavailableError)
    assert (shards, outcome.done, world.publisher.written) == ({0}, {}, [])
    await world.settle()
    assert world.texts() == ["1"]
    assert world.document().emitted == 1


@pytest.mark.parametrize("fault", ["load hangs", "save hangs", "saved hangs", "scan hangs"])
async def test_a_store_that_hangs_is_a_store_that_fails(fault: str) -> None:
    """Every wait has an end of its own."""
    world = await a_world(store_timeout_seconds=0.01)
    world.write("thread", command("a", event_id="1"))
    if fault.startswith("scan"):
        world.work.shards.forget({0})
    world.store.faults.append(fault)
    ((error, shards),) = (await world.turn()).failed
    assert isinstance(error, StoreUnavailableError)
    assert "0.01 s" in str(error)
    assert shards == {0}
    await world.settle()
    assert world.texts() == ["1"]


@pytest.mark.parametrize("fault", ["nothing", "half", "all"])
async def test_a_publisher_that_fails_leaves_nothing_done(fault: str) -> None:
    """Nobody knows what was written, so the whole outbox goes out again before anything new, in seq order."""
    world = await a_world()
    for number in range(4):
        world.write("thread", command("a", event_id=str(number)))
    world.publisher.faults.append(fault)
    outcome = await world.turn()
    ((error, shards),) = outcome.failed
    assert isinstance(error, BrokerUnavailableError)
    assert (shards, outcome.done) == ({0}, {})
    before = {"nothing": 0, "half": 2, "all": 4}[fault]
    world.write("thread", command("a", event_id="later"))
    await world.settle()
    assert world.texts() == [*["1", "2", "3", "4"][:before], "1", "2", "3", "4", "5"]
    assert world.count("records_replayed_total") == 4


async def test_a_failure_after_a_failure_changes_nothing() -> None:
    """However often it is tried."""
    world = await a_world()
    world.write("thread", command("work", event_id="1"))
    world.store.faults.extend(["load", "save", "saved"])
    world.publisher.faults.extend(["nothing", "half"])
    for _ in range(5):
        assert (await world.turn()).failed
    await world.settle()
    assert world.document().emitted == 2
    assert [event.seq for event in world.events()] == [2]


async def test_a_stale_save_drops_its_shard_and_no_other() -> None:
    """A zombie's work is refused: nothing of that shard is published, its neighbours go on."""
    first, second = keys_of_shards(2)
    world = await a_world(partitions=2)
    for key in (first, second):
        world.write(key, command("a", event_id="1", key=key))
    await world.turn()
    zombie, owner = world.work, world.another()
    world.write(first, command("a", event_id="2", key=first))
    await owner.carry_out({0: world.log[0][1:]})
    world.write(first, command("a", event_id="3", key=first))
    world.write(second, command("a", event_id="2", key=second))
    before = len(world.publisher.written)
    outcome = await zombie.carry_out({0: world.log[0][1:], 1: world.log[1][1:]})
    ((error, shards),) = outcome.failed
    assert isinstance(error, StaleDocumentError)
    assert shards == {0}
    assert outcome.done == {(COMMANDS, 1): 2}
    assert [one.key for one in world.publisher.written[before:]] == [second]
    assert world.count("fenced_total") == 1
    zombie.shards.forget(shards)
    await zombie.carry_out({0: world.log[0][1:]})
    assert [event.seq for event in world.events() if event.subject == first] == [1, 2, 2, 3]


async def test_a_zombie_with_saved_work_publishes_only_what_was_saved() -> None:
    """It froze between save and publish: what it writes late are duplicates of what the owner flushed at first touch."""
    world = await a_world()
    world.write("thread", command("a", event_id="1"))
    frozen, thawed = asyncio.Event(), asyncio.Event()
    publish = world.publisher.publish

    async def publish_late(publications: Any) -> None:
        world.publisher.publish = publish  # type: ignore[method-assign] # only the first is late
        frozen.set()
        await thawed.wait()
        await publish(publications)

    world.publisher.publish = publish_late  # type: ignore[method-assign] # a process that stops here
    zombie = asyncio.create_task(world.turn())
    await frozen.wait()
    owner = world.another()
    await owner.carry_out({0: world.log[0]})
    world.write("thread", command("b", event_id="2"))
    await owner.carry_out({0: world.log[0][1:]})
    thawed.set()
    assert (await zombie).failed == []
    assert [(event.seq, event.data.text) for event in world.events()] == [(1, "1"), (2, "2"), (1, "1")]
    world.write("thread", command("c", event_id="3"))
    assert isinstance((await world.turn()).failed[0][0], StaleDocumentError)
    await world.settle()
    assert [event.seq for event in world.events()] == [1, 2, 1, 2, 3]


async def test_a_failure_of_a_rule_holds_up_nobody() -> None:
    """The key is parked, the letter is written with the batch, the shard goes on."""
    world = await a_world()
    world.write("thread", command("boom", event_id="1"))
    world.write("other", command("a", event_id="2", key="other"))
    await world.settle()
    assert [letter.data.reason for letter in world.letters()] == ["decide_failed"]
    assert world.texts() == ["1"]
    assert world.count("dead_letters_total") == 1


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_a_burst_of_dead_letters_stops_before_anything_is_saved() -> None:
    """A bad deployment must not drain a topic into them."""
    world = await a_world(dead_letters_per_minute_max=3)
    for number in range(4):
        world.write(f"k{number}", command("boom", event_id=str(number), key=f"k{number}"))
    outcome = await world.turn()
    assert outcome.stopped == "more than 3 dead letters in a minute: look at dead.counter, then restart"
    assert (outcome.done, world.publisher.written, outcome.failed) == ({}, [], [])
    assert "save" not in world.store.calls


async def test_the_log_says_where_the_records_of_dead_letters_stand() -> None:
    """Topic, partition, offset: what an operator needs to look at one. Of a burst the first few."""
    world = await a_world()
    for _ in range(PLACES_SHOWN_MAX + 2):
        world.write("thread", b"no json")
    with structlog.testing.capture_logs() as lines:
        await world.turn()
    [line] = [line for line in lines if line["event"] == "records.dead_lettered"]
    shard = world.letters()[0].data.partition
    assert line["records"] == [f"commands/{shard}/{offset}" for offset in range(PLACES_SHOWN_MAX)]
    assert (line["count"], line["topic"]) == (PLACES_SHOWN_MAX + 2, "dead.counter")


async def test_a_broker_that_is_away_counts_no_letter_twice() -> None:
    """What is tried again is not written yet: an outage must not look like a burst."""
    world = await a_world(dead_letters_per_minute_max=3)
    for _ in range(3):
        world.write("thread", b"no json")
    world.publisher.faults.extend(["nothing"] * 5)
    for _ in range(5):
        outcome = await world.turn()
        assert outcome.failed
        assert outcome.stopped is None
    await world.settle()
    assert [letter.data.offset for letter in world.letters()] == [0, 1, 2]
    world.write("thread", b"no json")
    assert (await world.turn()).stopped is not None
    world.clock.advance(timedelta(seconds=61))
    assert (await world.turn()).stopped is None


# --- hot keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["nothing", "all"])
@pytest.mark.parametrize("bad", [b"{", command("boom", event_id="bad")], ids=["invalid", "failing rule"])
async def test_a_letter_is_not_lost_with_the_acknowledgement(fault: str, bad: bytes) -> None:
    """A record that was put aside before one of its key that was applied is passed over by the repetition; its letter is not."""
    world = await a_world()
    world.write("thread", bad)
    world.write("thread", command("a", event_id="good"))
    world.publisher.faults.append(fault)
    assert (await world.turn()).failed
    await world.restart()
    await world.settle()
    assert {letter.id for letter in world.letters()} >= {"counter/commands/0/0"}


async def test_a_hot_key_goes_on_in_the_next_round() -> None:
    """Its document carries its batch's outputs, so the batch is cut; the rest follows within the same turn."""
    world = await a_world()
    for number in range(3):
        world.write("thread", command("many", event_id=str(number)))
    outcome = await world.turn()
    assert outcome.done == {(COMMANDS, 0): 3}
    assert world.store.calls.count("save") == 3
    assert [event.seq for event in world.events()] == list(range(1, 3_001))
    assert len(world.document().outbox) == 1_000 >= OUTBOX_ENTRIES_MAX


async def test_a_hot_key_that_fails_on_the_way_is_done_as_far_as_it_was_acknowledged() -> None:
    """The first round counts, the second is given back."""
    world = await a_world()
    for number in range(3):
        world.write("thread", command("many", event_id=str(number)))
    world.store.faults.extend([])
    world.publisher.faults.extend([])
    original = world.publisher.publish

    async def fail_second(publications: Any) -> None:
        if len(world.publisher.calls) == 1:
            world.publisher.faults.append("half")
        await original(publications)

    world.publisher.publish = fail_second  # type: ignore[method-assign] # the second write of the turn fails
    outcome = await world.turn()
    assert outcome.done == {(COMMANDS, 0): 1}
    assert [shards for _, shards in outcome.failed] == [{0}]
    await world.settle()
    seqs = [event.seq for event in world.events()]
    assert list(dict.fromkeys(seqs)) == list(range(1, 3_001))


# --- timers -----------------------------------------------------------------------------------------------------------


async def armed(*keys: str, apart: timedelta = SECOND, **options: Any) -> World:
    """Return a world in which the timers of `keys` are armed, a second apart."""
    world = await a_world(**options)
    for number, key in enumerate(keys):
        world.write(key, command("timer", event_id=f"arm{number}", key=key))
        await world.settle()
        world.clock.advance(apart)
    return world


async def test_a_timer_rings_once_at_its_moment() -> None:
    """Not before, not again, and nobody has to look for it in between."""
    world = await armed("thread")
    world.clock.move_to(NOON + TIMER - timedelta(milliseconds=1))
    world.store.calls.clear()
    await world.turn()
    assert world.store.calls == []
    world.clock.move_to(NOON + TIMER)
    await world.turn()
    world.clock.advance(timedelta(hours=1))
    await world.turn()
    assert world.texts() == ["1", "ring"]
    assert world.count("timers_fired_total") == 1


async def test_after_an_outage_timers_ring_once_oldest_first_and_late() -> None:
    """A service that was down for two hours owes each of them once."""
    keys = ["c", "a", "b"]
    world = await armed(*keys)
    world.clock.advance(timedelta(hours=2))
    await world.restart()
    await world.settle()
    rung = [event for event in world.events() if event.data.text != "1"]
    assert [(event.subject, event.data.text) for event in rung] == [(key, "late") for key in keys]
    assert world.count("timer_lateness_seconds_sum") > 3 * 7_000


async def test_more_timers_than_a_batch_takes_ring_all_the_same() -> None:
    """The rest is looked up at once, not at the next record."""
    keys = [f"k{number:02}" for number in range(25)]
    world = await armed(*keys, apart=timedelta(milliseconds=10), timers_per_batch_max=10)
    world.clock.advance(timedelta(hours=1))
    for expected in (10, 20, 25):
        assert world.work.shards.seconds_to_next_timer(world.clock.now()) == 0.0
        await world.turn()
        assert len(world.events()) == 25 + expected
    assert [event.subject for event in world.events()[25:]] == keys
    await world.turn()
    assert world.work.shards.seconds_to_next_timer(world.clock.now()) is None


async def test_timers_go_before_the_records_of_the_same_turn() -> None:
    """What was due before a message came is told before it."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    world.write("thread", command("a", event_id="late"))
    await world.turn()
    assert world.texts() == ["1", "late" if world.clock.now() - NOON > TIMER + 5 * SECOND else "ring", "2"]


async def test_a_clock_that_is_set_back_under_the_look_up_forgets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due at the scan and is not due at the step any more rings when its moment comes again."""
    world = await armed("thread")
    scan = world.store.scan

    async def scan_and_set_back(*args: Any, **options: Any) -> Any:
        found = await scan(*args, **options)
        world.clock._now = NOON
        return found

    world.clock.move_to(NOON + TIMER)
    with monkeypatch.context() as patched:
        patched.setattr(world.store, "scan", scan_and_set_back)
        await world.turn()
    assert world.texts() == ["1"]
    world.clock.move_to(NOON + TIMER)
    await world.turn()
    assert world.texts() == ["1", "ring"]


async def test_a_row_that_is_older_than_memory_rings_nothing() -> None:
    """Between the scan and the step the key was decided anew; the document in memory counts."""
    world = await armed("thread")
    world.write("thread", command("timer", event_id="again"))
    await world.settle()
    held = world.work.shards.get("thread")
    assert held is not None
    assert held.due_at == NOON + SECOND + TIMER
    world.work.shards.timer_armed(0, NOON)
    world.clock.move_to(NOON + TIMER)
    await world.turn()
    assert world.texts() == ["1", "2"]
    world.clock.move_to(NOON + SECOND + TIMER)
    await world.turn()
    assert world.texts() == ["1", "2", "ring"]


async def test_an_outbox_does_not_grow_with_every_visit() -> None:
    """A key that always leaves memory before it is touched again repeats its last words, not its whole life each time."""
    world = await a_world(documents_cached_max=0)
    for number in range(10):
        world.write("thread", command("timer" if number % 3 == 0 else "a", event_id=str(number)))
        await world.turn()
        assert len(world.document().outbox) == 1
        if number % 3 == 2:
            world.clock.advance(TIMER)
            await world.settle()
            assert len(world.document().outbox) == 1
    seqs = [event.seq for event in world.events()]
    assert list(dict.fromkeys(seqs)) == list(range(1, 14))
    assert all(seqs.count(seq) <= 3 for seq in seqs)


@pytest.mark.parametrize("fault", ["nothing", "half", "all"])
async def test_what_a_timer_left_is_flushed_by_the_next_owner(fault: str) -> None:
    """No input will ever bring the key back: the mark does."""
    world = await armed("thread")
    world.commit()
    world.clock.advance(TIMER)
    world.publisher.faults.append(fault)
    await world.turn()
    assert world.document().dirty
    await world.restart()
    await world.turn()
    assert list(dict.fromkeys(event.seq for event in world.events())) == [1, 2]
    document = world.document()
    assert (document.dirty, document.outbox) == (False, [])


async def test_what_a_timer_left_is_flushed_after_every_failure() -> None:
    """Also without a restart: the shard that was given back is flushed first."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    world.publisher.faults.append("nothing")
    assert (await world.turn()).failed
    assert world.work.shards.to_flush == {0}
    await world.turn()
    assert world.texts() == ["1", "ring"]
    assert world.work.shards.to_flush == set()


async def test_a_flush_that_fails_is_tried_again() -> None:
    """The shard stays unflushed until all of it is out."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    world.publisher.faults.extend(["nothing", "nothing"])
    for _ in range(2):
        assert (await world.turn()).failed
    world.store.faults.append("save")
    assert (await world.turn()).failed
    assert world.work.shards.to_flush == {0}
    await world.turn()
    assert list(dict.fromkeys(event.seq for event in world.events())) == [1, 2]


async def test_a_flush_of_many_goes_page_by_page() -> None:
    """However many timers rang before the crash."""
    keys = [f"k{number:02}" for number in range(25)]
    world = await armed(*keys, apart=timedelta(milliseconds=10))
    world.commit()
    world.clock.advance(timedelta(hours=1))
    world.publisher.faults.append("nothing")
    await world.turn()
    world.options = type(world.options)(bootstrap_servers="", topic_prefix="", partitions=1, instance="0", timers_per_batch_max=10)
    await world.restart()
    world.publisher.calls.clear()
    await world.turn()
    assert len(world.publisher.calls) == 3
    assert sorted(event.subject for event in world.events()[25:]) == keys
    assert not any(world.document(key).dirty for key in keys)


async def test_marks_are_taken_away_when_there_is_nothing_to_do() -> None:
    """Lazily, with a version check, and the document in memory goes along."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    await world.turn()
    assert world.document().dirty is False
    world.write("thread", command("a", event_id="later"))
    assert (await world.turn()).failed == []
    assert world.document().emitted == 3


async def test_marks_are_taken_away_under_load_once_there_are_many() -> None:
    """A busy process does not keep them for ever."""
    keys = [f"k{number}" for number in range(DIRTY_CLEANED_MAX)]
    world = await a_world()
    for key in keys:
        world.write(key, command("timer", event_id=key, key=key))
    await world.turn()
    world.clock.advance(TIMER)
    world.write("other", command("a", event_id="o", key="other"))
    await world.turn()
    assert not any(world.document(key).dirty for key in keys)


async def test_a_few_marks_stay_while_records_come() -> None:
    """Taking each away at once would double the saves."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    world.write("other", command("a", event_id="o", key="other"))
    await world.turn()
    assert world.document().dirty is True


async def test_a_mark_that_another_process_was_faster_to_take_gives_the_shard_back() -> None:
    """Two owners, one of them wrong: read anew."""
    world = await armed("thread")
    world.clock.advance(TIMER)
    world.write("other", command("a", event_id="o", key="other"))
    await world.turn()
    await world.another().carry_out({})
    ((error, shards),) = (await world.turn()).failed
    assert isinstance(error, StaleDocumentError)
    assert shards == {0}
    await world.settle()
    assert world.document().dirty is False


# --- what is counted --------------------------------------------------------------------------------------------------


async def test_a_gap_is_an_alarm() -> None:
    """It is counted for whoever is on call, and the event takes effect all the same."""
    world = await a_world()
    world.write("thread", command("a", event_id="5", seq=5, previousseq=4))
    await world.settle()
    assert world.count("gaps_total") == 1
    assert world.texts() == ["1"]


async def test_every_outcome_is_counted() -> None:
    """Decided, replayed, dropped as seen, unknown, misplaced, published, in memory."""
    world = await a_world()
    world.write("thread", command("a", event_id="1"))
    world.write("thread", command("a", event_id="1"))
    world.write("thread", command("a", event_id="2").replace(b"parley.add_note.v1", b"parley.sing.v1"))
    await world.turn()
    world.position[0] = 0
    await world.turn()
    names = ["events_decided_total", "duplicates_total", "unknown_types_total", "records_published_total", "cached_documents"]
    assert [world.count(name) for name in names] == [1, 2, 2, 1, 1]
    assert world.count("records_replayed_total") == 1
    assert world.count("batch_records_sum") == 6
