"""The loop on a real broker: what is committed, what is given back, what is poison, and what its client gets wrong."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CommitFailedError, KafkaError

from shared.clock import SystemClock, to_epoch_milliseconds
from shared.engine.placement import partition_of
from shared.engine.records import Publication
from shared.store.port import Collection, SaveResult, StoredDocument, StoreUnavailableError
from shared.topics import COMMANDS, CONVERSATIONS, DELIVERIES, WORK
from tests.shared.engine.counting import command
from tests.shared.engine.kafka_world import KEYS, LETTERS, PARTITIONS, Place, a_loop, until
from tests.shared.engine.witness import Asked, judge

pytestmark = pytest.mark.broker


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Make topics of the test's own."""
    one = Place(kafka_bootstrap, tmp_path)
    await one.make()
    return one


class FailingCollection:
    """A collection whose saves fail before or after they happened, as told."""

    def __init__(self, inner: Collection, faults: Iterable[str]) -> None:
        self._inner = inner
        self.faults = deque(faults)
        self.load, self.delete, self.scan = inner.load, inner.delete, inner.scan

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save, or fail."""
        fault = self.faults.popleft() if self.faults else "fine"
        if fault == "before":
            raise StoreUnavailableError("the store is away")
        result = await self._inner.save(changes)
        if fault == "after":
            raise StoreUnavailableError("the store went away")
        return result


# --- plain work -------------------------------------------------------------------------------------------------------


async def test_a_backlog_is_worked_off_and_committed_by_name(place: Place) -> None:
    """Both topics, in order, once each; what is committed is the next offset of every partition that had something, and no other."""
    await place.write(place.batch(600, texts=("a", "work", "quiet", "timer", "b"), keys=KEYS[:5]))
    async with a_loop(place, records_max=50) as running:
        await place.await_answers()
        assert running.status.ready
        await until(lambda: running.count("timers_fired_total") > 0)
    await place.judged()
    assert running.count("gaps_total") == 0
    ends = await place.ends()
    assert await place.committed() == ends
    assert 0 < len(ends) <= 2 * PARTITIONS
    assert not running.status.ready


async def test_a_stop_commits_what_a_revocation_would_not(place: Place) -> None:
    """A clean stop calls no revocation, and the lazy commit is a minute away: the loop commits by itself, and nothing is read again."""
    await place.write(place.batch(60))
    async with a_loop(place, commit_interval_seconds=60.0):
        await place.await_answers()
    assert await place.committed() == await place.ends()
    more = place.batch(3)
    await place.write(more)
    async with a_loop(place) as running:
        await place.await_answers(more)
        assert running.count("records_replayed_total") == 0
    await place.judged()


async def test_a_new_group_begins_at_the_beginning(place: Place) -> None:
    """`latest`, the usual default, would skip what was written before the first start."""
    await place.write(place.batch(30))
    async with a_loop(place):
        await place.await_answers()
    await place.judged()


async def test_clocks_that_differ_between_producers_lose_nothing(place: Place) -> None:
    """A record that claims to be older than the one before it on its topic is not moved in front of it, where it would be lost."""
    asked = [
        Asked(DELIVERIES if number % 2 else COMMANDS, KEYS[0], f"in-{number}", str(number) if number % 2 else "a") for number in range(40)
    ]
    place.asked.extend(asked)
    now = to_epoch_milliseconds(SystemClock().now())
    async with place.raw() as producer:
        for number, one in enumerate(asked):
            claimed = now - (number * 7919) % 300_000
            name = place.prefix + one.topic.name
            await producer.send_and_wait(name, one.value, key=one.key.encode(), partition=place.shard(one.key), timestamp_ms=claimed)
    async with a_loop(place) as running:
        await place.await_answers()
        assert running.count("records_replayed_total") == 0
    await place.judged()


# --- poison -----------------------------------------------------------------------------------------------------------


async def test_poison_of_every_kind_delays_nobody(place: Place) -> None:
    """What cannot be read goes to the dead letters in its order; what nobody knows is skipped; the next record is answered."""
    key, good = KEYS[0].encode(), command("a", event_id="x", key=KEYS[0])
    poison: list[tuple[bytes | None, bytes | None]] = [
        (key, None),
        (key, b""),
        (key, b"no json"),
        (key, b"[" * 100_000),
        (key, b"\xff\xfe\x00"),
        (key, b'{"specversion":"1.0"}'),
        (key, good.replace(b'"text":"a"', b'"text":null')),
        (key, good.replace(b'"text":"a"', rb'"text":"\ud83d"')),
        (key, good.replace(b'"data"', b'"seq":123456789012345678901234567890,"data"')),
        (key, good.replace(b"2026-11-22", b"0001-01-01").replace(b".000Z", b"+14:00")),
        (key, command("a", event_id="x", key="another")),
        (key, b"x" * 1_000_000),
        (b"", good),
        (None, good),
        (b"\xff\xfe", good),
        (b"k" * 1_000_000, b"no json"),
    ]
    unknown = good.replace(b"parley.add_note.v1", b"parley.sing_a_song.v1")
    async with place.raw() as producer:
        for poisonous_key, value in poison:
            await producer.send_and_wait(
                place.prefix + COMMANDS.name,
                value,
                key=poisonous_key,
                partition=partition_of(poisonous_key or b"", PARTITIONS),
                headers=[("ce_type", b"\xff\xfe"), ("reply_to", b"anywhere")],
            )
        await producer.send_and_wait(place.prefix + COMMANDS.name, unknown, key=key, partition=place.shard(KEYS[0]))
        await producer.send_and_wait(place.prefix + COMMANDS.name, command("boom", event_id="boom", key=KEYS[1]), key=KEYS[1].encode())
    await place.write(place.batch(30, keys=[KEYS[0], KEYS[2]]))
    async with a_loop(place) as running:
        await place.await_answers()
        letters = await place.await_count(len(poison) + 1, LETTERS)
        assert running.count("unknown_types_total") == 1
        assert running.count("batch_failures_total", kind="StoreUnavailableError") == 0
    await place.judged()
    assert len(letters) == len({letter.id for letter in letters}) == len(poison) + 1
    assert [letter.data.reason for letter in letters if letter.subject == KEYS[1]] == ["decide_failed"]
    offsets = [letter.data.offset for letter in letters if letter.subject == KEYS[0]]
    assert offsets == sorted(offsets)
    assert await place.committed() == await place.ends()


async def test_a_record_of_a_foreign_partitioner_is_forwarded(place: Place) -> None:
    """It takes effect once, by the owner of its key, and nothing else of the key is overtaken by it later."""
    asked = [Asked(COMMANDS, KEYS[0], f"in-{number}") for number in range(6)]
    place.asked.extend(asked)
    wrong = (place.shard(KEYS[0]) + 1) % PARTITIONS
    async with place.raw() as producer:
        for one in asked:
            await producer.send_and_wait(place.prefix + COMMANDS.name, one.value, key=one.key.encode(), partition=wrong)
    async with a_loop(place) as running:
        await place.await_answers()
        assert running.count("misplaced_total") == 6
    await place.judged()


async def test_a_burst_of_dead_letters_stops_the_loop_and_commits_nothing_of_it(place: Place) -> None:
    """It waits for somebody to look, says why, stays in its group, and ends when it is told to."""
    async with place.raw() as producer:
        for _ in range(5):
            await producer.send_and_wait(place.prefix + COMMANDS.name, b"no json", key=b"k", partition=partition_of(b"k", PARTITIONS))
    async with a_loop(place, dead_letters_per_minute_max=4) as running:
        await until(lambda: running.status.stopped)
        assert "more than 4 dead letters in a minute" in (running.status.stopped or "")
    assert await place.records(LETTERS) == []
    assert set((await place.committed()).values()) <= {0}


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_store_that_fails_gives_all_topics_of_the_partition_back(place: Place, fault: str) -> None:
    """Both topics are read again from the last done offset, and everything takes effect once."""
    await place.write(place.batch(120, texts=("a", "work"), keys=KEYS[:4]))

    def failing(inner: Collection) -> Collection:
        return FailingCollection(inner, ["fine", fault, fault, "fine", fault])

    async with a_loop(place, wrap=failing, records_max=20) as running:
        await place.await_answers()
        assert running.count("batch_failures_total", kind="StoreUnavailableError") == 3
        await place.await_committed()
    outputs = await place.judged()
    assert sum(map(len, outputs.values())) == sum(one.outputs for one in place.asked)


async def test_commits_that_fail_lose_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, or never answered: the loop goes on working, tries again with the next, and a restart finds everything done."""
    await place.write(place.batch(60))
    original = GroupCoordinator.commit_offsets
    faults = deque(["refused", "hangs", "refused"])

    async def commit_offsets(self: Any, assignment: Any, offsets: Any) -> None:
        fault = faults.popleft() if faults else None
        if fault == "refused":
            raise CommitFailedError
        if fault == "hangs":
            await asyncio.Event().wait()
        await original(self, assignment, offsets)

    monkeypatch.setattr(GroupCoordinator, "commit_offsets", commit_offsets)
    async with a_loop(place, commit_timeout_seconds=0.2) as running:
        await place.await_answers()
        await until(lambda: not faults)
        assert running.count("batch_failures_total", kind="commit") == 3
    await place.judged()
    assert await place.committed() == await place.ends()


async def test_without_any_commit_a_restart_changes_no_effect(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group coordinator was away all the time: everything is read again, nothing is decided again."""

    async def commit_offsets(self: Any, assignment: Any, offsets: Any) -> None:
        del self, assignment, offsets
        raise CommitFailedError

    await place.write(place.batch(60, texts=("a", "work", "quiet")))
    with monkeypatch.context() as patched:
        patched.setattr(GroupCoordinator, "commit_offsets", commit_offsets)
        async with a_loop(place):
            await place.await_answers()
    assert await place.committed() == {}
    more = place.batch(12)
    await place.write(more)
    async with a_loop(place) as running:
        await place.await_answers(more)
        await until(lambda: running.count("records_replayed_total") >= 60)
        assert running.count("events_decided_total") == 12
    await place.judged()


@pytest.mark.parametrize("task", ["coordinator", "fetcher"])
async def test_a_client_whose_own_task_died_is_replaced(place: Place, task: str) -> None:
    """Aiokafka then reads on from partitions that it may not own, or is silent for ever: the loop takes a new one and goes on."""
    await place.write(place.batch(30))
    async with a_loop(place) as running:
        await place.await_answers()
        consumer = running.loop._consumer
        assert consumer is not None
        if task == "coordinator":
            died = consumer._coordinator._coordination_task
            consumer._coordinator._maybe_do_autocommit = failing
            consumer._coordinator.coordinator_dead()
        else:
            died = consumer._fetcher._fetch_task
            consumer._fetcher._get_actions_per_node = failing
        await until(died.done)
        more = place.batch(30)
        await place.write(more)
        await place.await_answers(more)
        assert running.loop._consumer is not consumer
        assert running.status.ready
    await place.judged()


def failing(*_: Any, **__: Any) -> Any:
    """Fail as a client fails that did not expect something."""
    message = "unexpected"
    raise AssertionError(message)


async def test_an_error_of_the_client_gives_everything_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that fails is tried again; what was read before is not lost."""
    await place.write(place.batch(60))
    async with a_loop(place, records_max=10) as running:
        await running.ready()
        consumer = running.loop._consumer
        assert consumer is not None
        original, faults = consumer.getmany, deque([KafkaError("away")] * 3)

        async def getmany(*partitions: Any, **options: Any) -> Any:
            if faults:
                raise faults.popleft()
            return await original(*partitions, **options)

        monkeypatch.setattr(consumer, "getmany", getmany)
        await place.await_answers()
        assert running.count("batch_failures_total", kind="KafkaError") == 3
    await place.judged()


async def test_outputs_larger_than_a_batch_arrive_in_order(place: Place) -> None:
    """One turn's outputs of a partition fill many batches, one in flight at a time."""
    key = KEYS[0]
    publisher = place.publisher("writer")
    await publisher.publish([Publication(COMMANDS, key, command("many", event_id=str(number), key=key)) for number in range(4)])
    await publisher.close()
    async with a_loop(place):
        events = await place.await_count(4_000, CONVERSATIONS)
    assert [event.seq for event in events] == list(range(1, 4_001))


async def test_the_judge_finds_what_is_wrong(place: Place) -> None:
    """A loss, a double effect and a changed order are seen: the tests above can fail."""
    await place.write(place.batch(12, keys=KEYS[:1]))
    async with a_loop(place):
        await place.await_answers()
    events = await place.events(CONVERSATIONS, WORK)
    judge(place.asked, [*events, events[3]])
    for wrong in (events[:3] + events[4:], [events[1], events[0], *events[2:]], [*events, events[3].but(id="other")]):
        with pytest.raises(AssertionError):
            judge(place.asked, wrong)
