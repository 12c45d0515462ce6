"""One turn of the loop against a consumer on paper: rebalances in the wrong moment, what is given back, how long it waits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import ManualClock
from shared.engine.document import documents_of
from shared.engine.kafka import ReducerLoop, _merged
from shared.engine.options import LoopOptions, consumer_options
from shared.engine.records import Publication, Record
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.metrics import Metrics
from shared.store.memory import MemoryStore
from shared.topics import COMMANDS, DELIVERIES, INBOUND
from tests.shared.engine.batch_world import NOON, FaultyCollection
from tests.shared.engine.counting import Count
from tests.shared.engine.witness import Asked, Witness

COMMANDS_0, DELIVERIES_0 = TopicPartition("t.commands", 0), TopicPartition("t.deliveries", 0)


class Fetched(NamedTuple):
    """As much of a consumer's record as the loop uses."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = 0


class PaperConsumer:
    """A consumer whose reads a test prepares."""

    def __init__(self) -> None:
        self.reads: list[Any] = []
        self.seeks: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []
        self.commit_gate = asyncio.Event()
        self.commit_gate.set()
        self.assigned = {COMMANDS_0, DELIVERIES_0}

    def assignment(self) -> set[TopicPartition]:
        """Return what is assigned."""
        return self.assigned

    async def getmany(self, **_: Any) -> Any:
        """Return the next read, or do what stands in its place."""
        read = self.reads.pop(0) if self.reads else {}
        return await read() if callable(read) else read

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Remember where reading goes on."""
        self.seeks[partition] = offset

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Remember what was committed, when the test lets it be answered."""
        await self.commit_gate.wait()
        self.commits.append(offsets)


class GatedPublisher:
    """A publisher that writes when the test lets it."""

    def __init__(self) -> None:
        self.gate, self.reached = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.written: list[Publication] = []

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Wait, then write."""
        self.reached.set()
        await self.gate.wait()
        self.written.extend(publications)


class Desk:
    """A loop, and everything it holds on to."""

    def __init__(self) -> None:
        self.consumer, self.publisher, self.stop, self.status = PaperConsumer(), GatedPublisher(), asyncio.Event(), LoopStatus()
        self.clock, self.metrics = ManualClock(NOON), Metrics()
        self.collection: FaultyCollection
        self.loop: ReducerLoop[Count]

    async def open(self, **options: Any) -> Desk:
        """Make the loop, assigned partition 0 of both topics, its first look at timers done."""
        self.collection = FaultyCollection(await MemoryStore().open(documents_of(Witness.name)))
        self.loop = ReducerLoop(
            Engine(Witness(), partitions=1, version="test"),
            self.collection,
            self.publisher,
            options=LoopOptions(bootstrap_servers="", topic_prefix="t.", partitions=1, instance="0", **options),
            clock=self.clock,
            metrics=self.metrics,
            status=self.status,
        )
        self.loop._consumer = self.consumer
        await self.loop.on_partitions_assigned(self.consumer.assigned)
        await self.turn()
        return self

    async def turn(self) -> None:
        """Take one turn, and see the commit that it began answered, if it can be."""
        await self.loop._turn(self.consumer, self.stop)
        if self.consumer.commit_gate.is_set() and self.loop._committing is not None:
            await self.loop._committing


def fetched(*offsets: int, topic: Any = COMMANDS, key: str = "k") -> list[Fetched]:
    """Return records as they are read."""
    return [Fetched(offset, key.encode(), Asked(topic, key, f"{topic.name}{offset}", str(offset)).value) for offset in offsets]


# --- what is read -----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 100), max_size=20), min_size=1, max_size=3))
def test_topics_are_merged_by_time_and_never_within_themselves(clocks: list[list[int]]) -> None:
    """Whatever producers' clocks say, a topic's records stay in the order of their offsets; of two heads the older goes first."""
    names = (COMMANDS, DELIVERIES, INBOUND)
    topics = [
        [Record(topic, 0, offset, b"k", b"", time) for offset, time in enumerate(times)]
        for topic, times in zip(names, clocks, strict=False)
    ]
    merged = _merged(topics)
    for topic in topics:
        assert [record for record in merged if topic and record.topic is topic[0].topic] == topic
    if all(times == sorted(times) for times in clocks):
        assert [record.timestamp_milliseconds for record in merged] == sorted(time for times in clocks for time in times)


async def test_records_read_across_a_rebalance_are_given_back() -> None:
    """Who owns them has been decided anew while they were on their way: they are read again by whoever owns them now."""
    desk = await Desk().open()

    async def rebalance_meanwhile() -> Any:
        await desk.loop.on_partitions_revoked([])
        await desk.loop.on_partitions_assigned([COMMANDS_0])
        desk.consumer.assigned = {COMMANDS_0}
        return {COMMANDS_0: fetched(7, 8), DELIVERIES_0: fetched(3, topic=DELIVERIES)}

    desk.consumer.reads.append(rebalance_meanwhile)
    await desk.turn()
    assert desk.publisher.written == []
    assert desk.consumer.seeks == {COMMANDS_0: 7}


async def test_a_revocation_waits_for_the_batch_in_hand_then_commits_then_forgets() -> None:
    """A barrier: nobody else begins before what was begun is done and known."""
    desk = await Desk().open(commit_interval_seconds=3_600.0)
    desk.consumer.reads.append({COMMANDS_0: fetched(0, 1)})
    desk.publisher.gate.clear()
    turn = asyncio.create_task(desk.turn())
    await desk.publisher.reached.wait()
    revocation = asyncio.create_task(desk.loop.on_partitions_revoked(desk.consumer.assigned))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not revocation.done()
    desk.publisher.gate.set()
    await asyncio.gather(turn, revocation)
    assert desk.consumer.commits[-1] == {COMMANDS_0: 2}
    assert len(desk.loop._shards) == 0
    assert desk.loop._shards.owned == frozenset()


async def test_a_revocation_does_not_wait_for_ever() -> None:
    """The group would evict us. What outlives it holds nothing: no memory, no timers, and the next assignment begins anew."""
    desk = await Desk().open(revoke_timeout_seconds=0.05)
    desk.consumer.reads.append({COMMANDS_0: fetched(0)})
    desk.publisher.gate.clear()
    turn = asyncio.create_task(desk.turn())
    await desk.publisher.reached.wait()
    await desk.loop.on_partitions_revoked(desk.consumer.assigned)
    assert not turn.done()
    desk.publisher.gate.set()
    await turn
    assert desk.loop._shards.timers_to_look_up(NOON) == []
    await desk.loop.on_partitions_assigned([COMMANDS_0])
    assert len(desk.loop._shards) == 0


# --- what is given back -----------------------------------------------------------------------------------------------


async def test_a_batch_that_a_revocation_did_not_wait_for_is_neither_committed_nor_remembered() -> None:
    """It ends when the partition may be ours again, from a later offset on: its own would be committed backwards."""
    desk = await Desk().open(revoke_timeout_seconds=0.05, commit_interval_seconds=0.0)
    desk.publisher.gate.clear()
    desk.publisher.reached.clear()
    desk.consumer.reads = [{COMMANDS_0: fetched(7)}]
    turn = asyncio.create_task(desk.turn())
    await desk.publisher.reached.wait()
    await desk.loop.on_partitions_revoked(desk.consumer.assigned)
    await desk.loop.on_partitions_assigned(desk.consumer.assigned)
    desk.publisher.gate.set()
    await turn
    assert desk.consumer.commits == []
    assert len(desk.loop._shards) == 0
    desk.consumer.reads = [{COMMANDS_0: fetched(9)}]
    await desk.turn()
    assert desk.consumer.commits == [{COMMANDS_0: 10}]


async def test_all_topics_of_a_failed_partition_go_back_to_what_is_done() -> None:
    """Also the topic that had nothing to do with it: the interleaving is tried anew as a whole."""
    desk = await Desk().open(backoff_seconds=0.0)
    desk.consumer.reads.append({COMMANDS_0: fetched(0, 1), DELIVERIES_0: fetched(4, topic=DELIVERIES)})
    await desk.turn()
    assert desk.consumer.seeks == {}
    desk.collection.faults.append("save")
    desk.consumer.reads.append({COMMANDS_0: fetched(2, 3)})
    await desk.turn()
    assert desk.consumer.seeks == {COMMANDS_0: 2, DELIVERIES_0: 5}
    assert len(desk.loop._shards) == 0


async def test_a_first_batch_that_fails_goes_back_to_its_first_record() -> None:
    """Nothing is done yet."""
    desk = await Desk().open(backoff_seconds=0.0)
    desk.collection.faults.append("load")
    desk.consumer.reads.append({COMMANDS_0: fetched(41, 42)})
    await desk.turn()
    assert desk.consumer.seeks == {COMMANDS_0: 41}
    desk.consumer.reads.append({COMMANDS_0: fetched(41, 42)})
    await desk.turn()
    assert desk.loop._done == {COMMANDS_0: 43}


async def test_the_wait_grows_with_failures_and_begins_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded, so that recovery is noticed; short again afterwards."""
    waits: list[float] = []

    async def note(stop: asyncio.Event, seconds: float) -> None:
        del stop
        waits.append(seconds)

    monkeypatch.setattr("shared.engine.kafka._sleep_unless", note)
    desk = await Desk().open(backoff_seconds=0.2, backoff_seconds_max=1.0)
    for offset, fails in enumerate((5, 1)):
        for _ in range(fails):
            desk.collection.faults.append("save")
            desk.consumer.reads.append({COMMANDS_0: fetched(offset)})
            await desk.turn()
        desk.consumer.reads.append({COMMANDS_0: fetched(offset)})
        await desk.turn()
    assert waits == [0.2, 0.4, 0.8, 1.0, 1.0, 0.2]


async def test_a_stop_ends_the_wait() -> None:
    """However long it would be."""
    desk = await Desk().open(backoff_seconds=3_600.0, backoff_seconds_max=3_600.0)
    desk.collection.faults.append("load")
    desk.consumer.reads.append({COMMANDS_0: fetched(0)})
    turn = asyncio.create_task(desk.turn())
    desk.stop.set()
    async with asyncio.timeout(10):
        await turn


# --- commits and timers -----------------------------------------------------------------------------------------------


async def test_a_commit_names_only_what_is_new_and_ours() -> None:
    """Not the position of everything that happens to be assigned, and not what was committed before."""
    desk = await Desk().open(commit_interval_seconds=0.0)
    desk.consumer.reads.extend([{COMMANDS_0: fetched(0)}, {DELIVERIES_0: fetched(0, 1, topic=DELIVERIES)}, {}])
    for _ in range(3):
        await desk.turn()
    assert desk.consumer.commits == [{COMMANDS_0: 1}, {DELIVERIES_0: 2}]
    desk.consumer.assigned = set()
    desk.loop._done[COMMANDS_0] = 9
    await desk.turn()
    assert len(desk.consumer.commits) == 2


async def test_commits_are_lazy() -> None:
    """One for all batches of an interval."""
    desk = await Desk().open(commit_interval_seconds=0.2)
    for offset in range(5):
        desk.consumer.reads.append({COMMANDS_0: fetched(offset)})
        await desk.turn()
    assert desk.consumer.commits == []
    desk.clock.advance(NOON - NOON.replace(hour=11))
    await desk.turn()
    assert desk.consumer.commits == [{COMMANDS_0: 5}]


async def test_a_commit_that_is_not_answered_holds_up_no_batch_and_begins_no_second_one() -> None:
    """Its answer is of no use to the next batch; two at a time could arrive in the wrong order."""
    desk = await Desk().open(commit_interval_seconds=0.0)
    desk.consumer.commit_gate.clear()
    desk.consumer.reads.extend([{COMMANDS_0: fetched(0)}, {COMMANDS_0: fetched(1)}])
    await desk.turn()
    committing = desk.loop._committing
    await desk.turn()
    assert desk.loop._done[COMMANDS_0] == 2
    assert committing is not None
    assert desk.loop._committing is committing
    desk.consumer.commit_gate.set()
    await committing
    await desk.turn()
    assert desk.consumer.commits == [{COMMANDS_0: 1}, {COMMANDS_0: 2}]


async def test_a_revocation_waits_for_the_commit_that_is_under_way() -> None:
    """Then it commits the rest: the older offsets must not arrive last."""
    desk = await Desk().open(commit_interval_seconds=0.0)
    desk.consumer.commit_gate.clear()
    desk.consumer.reads.extend([{COMMANDS_0: fetched(0)}, {COMMANDS_0: fetched(1)}])
    await desk.turn()
    await desk.turn()
    revocation = asyncio.create_task(desk.loop.on_partitions_revoked(desk.consumer.assigned))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not revocation.done()
    desk.consumer.commit_gate.set()
    await revocation
    assert desk.consumer.commits == [{COMMANDS_0: 1}, {COMMANDS_0: 2}]


async def test_a_read_waits_no_longer_than_the_nearest_timer() -> None:
    """And no longer than it is told to where there is none."""
    desk = await Desk().open(idle_wait_milliseconds=1_000)
    assert desk.loop._wait_milliseconds() == 1_000
    desk.loop._shards.timer_armed(0, NOON.replace(microsecond=250_000))
    assert desk.loop._wait_milliseconds() == 251
    desk.clock.move_to(NOON.replace(second=1))
    assert desk.loop._wait_milliseconds() == 1


async def test_the_lag_is_the_age_of_the_oldest_record() -> None:
    """In seconds: what people alert on."""
    desk = await Desk().open()
    moment = int(NOON.timestamp() * 1000)
    desk.consumer.reads.append({COMMANDS_0: [one._replace(timestamp=moment - 1_000 * one.offset) for one in fetched(3, 7)]})
    await desk.turn()
    assert desk.metrics.registry.get_sample_value("parley_lag_seconds", {"reducer": "witness"}) == 7.0
    await desk.turn()
    assert desk.metrics.registry.get_sample_value("parley_lag_seconds", {"reducer": "witness"}) == 0.0


def test_the_client_never_acknowledges_by_itself_and_never_skips() -> None:
    """Its defaults would: acknowledge every five seconds, begin at the end, leave the group while it computes, join once per assignor."""
    options = LoopOptions(bootstrap_servers="b:1", topic_prefix="t.", partitions=1, instance="7")
    given_options: dict[str, Any] = defaultdict(lambda: None, consumer_options(options, "bot"))
    assert given_options["enable_auto_commit"] is False
    assert given_options["auto_offset_reset"] == "none"
    assert given_options["group_id"] == "t.bot"
    assert given_options["group_instance_id"] == "bot-7"
    assert len(given_options["partition_assignment_strategy"]) == 1
    assert given_options["session_timeout_ms"] >= 3 * given_options["heartbeat_interval_ms"]
    assert given_options["rebalance_timeout_ms"] > options.revoke_timeout_seconds * 1000
    assert given_options["max_partition_fetch_bytes"] >= 1024 * 1024
