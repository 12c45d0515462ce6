"""The worker's loop against a consumer on lists: order, commits, failures, backpressure, barrier, end."""

from __future__ import annotations

import asyncio

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaError

from shared.clock import SystemClock
from shared.engine.options import consumer_options
from shared.engine.status import LoopStatus
from shared.engine.worker import Worker
from shared.errors import RecoverableError
from shared.metrics import Metrics
from shared.topics import SENDS
from tests.shared.engine.worker_world import Broker, ListConsumer, ScriptedHandler, options, place, running, until


async def test_threads_run_side_by_side_and_each_in_its_order() -> None:
    """A waiting thread holds nobody else, its own successors wait, and only the contiguous part is committed."""
    broker = Broker()
    broker.write(0, ("a", "a1 wait"), ("b", "b1 ok"), ("a", "a2 ok"), ("c", "c1 ok"))
    async with running(broker) as run:
        await until(lambda: set(run.handler.done) == {"b1", "c1"})
        assert broker.committed.get(place(0), 0) == 0
        run.handler.go.set()
        await until(lambda: broker.committed.get(place(0)) == 4)
        assert run.handler.done[-2:] == ["a1", "a2"]
        assert (run.handler.owned, run.status.ready) == ([2], True)


async def test_after_a_crash_everything_from_the_first_unfinished_record_is_read_again() -> None:
    """Nothing is skipped; what was finished behind it comes again, and the handler knows it."""
    broker = Broker()
    broker.write(0, ("a", "a1 ok"), ("b", "b1 wait"), ("c", "c1 ok"))
    async with running(broker) as first:
        await until(lambda: broker.committed.get(place(0)) == 1 and "c1" in first.handler.done)
        crashed = Broker(broker.log, dict(broker.committed))
        async with running(crashed) as second:
            await until(lambda: second.handler.begun == ["b1", "c1"])


async def test_a_failing_partition_is_read_again_from_there_and_the_others_go_on() -> None:
    """What was waiting in it is dropped and comes again; the other partition notices nothing."""
    broker = Broker()
    handler = ScriptedHandler()
    handler.errors["b1"] = [RecoverableError("the store is down")] * 4
    broker.write(0, ("a", "a1 ok"), ("b", "b1 ok"), ("b", "b2 ok"), ("c", "c1 wait"))
    broker.write(1, ("d", "d1 ok"))
    handler.go.set()
    async with running(broker, handler=handler) as run:
        await until(lambda: broker.committed == {place(0): 4, place(1): 1})
        assert set(run.consumer.seeks) == {(place(0), 1)}
        assert handler.done.count("d1") == 1
        assert handler.done.index("b1") < handler.done.index("b2")
        assert handler.aside == []


async def test_a_failure_waits_for_what_must_be_seen_through() -> None:
    """The request under way beside it ends and counts; only then is the partition read again."""
    broker = Broker()
    handler = ScriptedHandler()
    handler.errors["b1"] = [RecoverableError("down")]
    broker.write(0, ("a", "a1 hold"), ("b", "b1 ok"), ("c", "c1 wait"))
    async with running(broker, handler=handler) as run:
        await until(lambda: not handler.errors["b1"] and "c" not in handler.active)
        assert run.consumer.seeks == []
        handler.go.set()
        await until(lambda: broker.committed.get(place(0)) == 3)
        assert run.consumer.seeks == [(place(0), 1)]
        assert handler.begun.count("a1") == 1


async def test_a_record_that_fails_for_reasons_of_its_own_is_put_aside() -> None:
    """Three times, then its neighbours and successors go on."""
    broker = Broker()
    handler = ScriptedHandler()
    handler.errors["a1"] = [ZeroDivisionError("a mistake")] * 9
    broker.write(0, ("a", "a1 ok"), ("a", "a2 ok"))
    async with running(broker, handler=handler):
        await until(lambda: broker.committed.get(place(0)) == 2)
        assert handler.aside == [(0, 3)]
        assert handler.done == ["a2"]


async def test_a_record_that_cannot_be_put_aside_stays() -> None:
    """The dead-letter topic does not answer: it is tried again until it does."""
    broker = Broker()
    handler = ScriptedHandler()
    handler.errors["a1"] = [ZeroDivisionError("a mistake")] * 9
    handler.errors["give_up"] = [RecoverableError("the broker is down")]
    broker.write(0, ("a", "a1 ok"))
    async with running(broker, handler=handler):
        await until(lambda: broker.committed.get(place(0)) == 1)
        assert handler.aside == [(0, 4)]


async def test_a_full_partition_is_paused_and_resumed() -> None:
    """At its bound it is not read any more, the other is; it goes on when half of it is done."""
    broker = Broker()
    broker.write(0, *((f"t{number}", f"r{number} wait") for number in range(20)))
    async with running(broker, records_per_partition_max=4, records_per_poll_max=2) as run:
        await until(lambda: run.consumer.paused == {place(0)})
        assert run.consumer.positions[place(0)] <= 6
        broker.write(1, ("x", "x1 ok"))
        await until(lambda: "x1" in run.handler.done)
        run.handler.go.set()
        await until(lambda: broker.committed.get(place(0)) == 20)
        assert run.consumer.pauses.count(place(0)) >= 1


async def test_the_threads_at_work_are_bounded() -> None:
    """Two of five begin; the others when there is room."""
    broker = Broker()
    broker.write(0, *((f"t{number}", f"r{number} wait") for number in range(5)))
    async with running(broker, threads_max=2) as run:
        await until(lambda: len(run.handler.begun) == 2)
        run.handler.go.set()
        await until(lambda: broker.committed.get(place(0)) == 5)


async def test_a_revoke_ends_what_waits_sees_through_what_is_held_and_commits() -> None:
    """The next owner reads only what was not finished."""
    broker = Broker()
    broker.write(0, ("a", "a1 hold"), ("b", "b1 ok"), ("c", "c1 wait"), ("d", "d1 hold-wait"), ("a", "a2 ok"))
    async with running(broker) as run:
        await until(lambda: len(run.handler.begun) == 4)
        revoking = asyncio.create_task(run.consumer.revoke())
        await until(lambda: "c" not in run.handler.active)
        assert not revoking.done()
        run.handler.go.set()
        await revoking
        assert set(run.handler.done) == {"a1", "b1"}
        assert broker.committed == {place(0): 2}
        await run.consumer.assign()
        await until(lambda: run.handler.begun[4:] == ["c1", "d1", "a2"])


async def test_a_revoke_that_takes_too_long_goes_on_without_what_is_under_way() -> None:
    """The group does not wait for one slow request; what it leads to is not committed by us, and our next record of it waits."""
    broker = Broker()
    broker.write(0, ("a", "a1 hold"), ("b", "b1 ok"))
    async with running(broker, revoke_timeout_seconds=0.01) as run:
        await until(lambda: run.handler.done == ["b1"])
        await run.consumer.revoke()
        assert broker.committed == {place(0): 0}
        await run.consumer.assign()
        await until(lambda: run.handler.done.count("b1") == 2)
        assert run.handler.begun.count("a1") == 1
        run.handler.go.set()
        await until(lambda: broker.committed.get(place(0)) == 2)
        assert run.handler.done.count("a1") == 2


async def test_a_stop_finishes_what_is_under_way_and_commits() -> None:
    """The request ends, its offset is committed, the consumer is closed; what only waited is left to the next start."""
    broker = Broker()
    broker.write(0, ("a", "a1 hold"), ("b", "b1 wait"))
    async with running(broker) as run:
        await until(lambda: len(run.handler.begun) == 2)
        run.stop.set()
        await until(lambda: "b" not in run.handler.active)
        assert not run.task.done()
        run.handler.go.set()
        await run.task
        assert (broker.committed, run.consumer.stopped, run.status.ready) == ({place(0): 1}, True, False)


async def test_a_stop_has_a_grace_and_then_ends() -> None:
    """What is not through in time is cut off: it is repeated or known to be unknown after the next start."""
    broker = Broker()
    broker.write(0, ("a", "a1 hold"))
    async with running(broker, stop_grace_seconds=0.01) as run:
        await until(lambda: run.handler.begun == ["a1"])
        await run.ended()
        assert (run.handler.done, run.handler.active) == ([], set())


async def test_a_failed_commit_is_tried_again() -> None:
    """During a rebalance the broker refuses; the next commit names the same offset."""
    broker = Broker()
    async with running(broker) as run:
        run.consumer.errors["commit"] = [CommitFailedError("rebalancing")]
        broker.write(0, ("a", "a1 ok"))
        await until(lambda: not run.consumer.errors["commit"])
        broker.write(0, ("a", "a2 ok"))
        await until(lambda: broker.committed.get(place(0)) == 2)


async def test_a_failed_commit_is_tried_again_though_nothing_more_is_done() -> None:
    """A partition on which nothing more is written does not look as if it stood still until something is."""
    broker = Broker()
    async with running(broker) as run:
        run.consumer.errors["commit"] = [CommitFailedError("rebalancing")]
        broker.write(0, ("a", "a1 ok"))
        await until(lambda: broker.committed.get(place(0)) == 1)
        assert not run.consumer.errors["commit"]


async def test_reading_goes_on_after_an_error() -> None:
    """A KafkaError of the fetch is waited out."""
    broker = Broker()
    async with running(broker) as run:
        run.consumer.errors["getmany"] = [KafkaError("fetch failed")]
        broker.write(0, ("a", "a1 ok"))
        await until(lambda: run.handler.done == ["a1"])


async def test_a_stop_during_a_rebalance_is_noticed() -> None:
    """A read that is stuck until an assignment comes does not keep the process."""
    async with running(Broker()) as run:
        await run.consumer.revoke()
        await run.ended()
        assert run.consumer.stopped


async def test_a_failure_of_a_partition_that_has_gone_needs_no_seek() -> None:
    """Its next owner starts from what was committed."""
    broker = Broker()
    handler = ScriptedHandler()
    handler.errors["a1"] = [RecoverableError("down")]
    async with running(broker, handler=handler) as run:
        run.consumer.broker.write(0, ("a", "a1 ok"))
        await until(lambda: not handler.errors["a1"])
        run.consumer._assigned.discard(place(0))
        await until(lambda: run.consumer.pauses == [] and run.status.ready)
        run.consumer._assigned.add(place(0))


async def test_a_broker_that_is_not_there_yet_is_waited_for() -> None:
    """The worker joins when it answers, and stops waiting when told to."""
    consumer = ListConsumer(Broker(), (0,))
    consumer.errors["start"] = [KafkaConnectionError("refused")] * 3
    stop = asyncio.Event()
    worker = Worker(
        ScriptedHandler(),
        (SENDS,),
        options=options(),
        clock=SystemClock(),
        metrics=Metrics(),
        status=LoopStatus(),
        consumer=lambda: consumer,
    )
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: consumer.listener is not None)
    assert consumer.errors["start"] == []
    stop.set()
    await task
    consumer.errors["start"] = [KafkaConnectionError("refused")] * 1_000_000
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: len(consumer.errors["start"]) < 1_000_000)
    stop.set()
    await task


async def test_a_client_that_died_is_replaced_and_what_was_under_way_counts() -> None:
    """It is let go of as at a revoke: what must be seen through is and is committed, the rest is read again by its successor."""
    broker = Broker()
    broker.write(0, ("a", "a1 hold"), ("b", "b1 wait"))
    handler, stop = ScriptedHandler(), asyncio.Event()
    made = [ListConsumer(broker, (0, 1)), ListConsumer(broker, (0, 1))]
    consumers = iter(made)
    worker = Worker(
        handler,
        (SENDS,),
        options=options(),
        clock=SystemClock(),
        metrics=Metrics(),
        status=LoopStatus(),
        consumer=lambda: next(consumers),
    )
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: made[0].listener is not None)
    await made[0].assign()
    await until(lambda: len(handler.begun) == 2)
    made[0].errors["stop"] = [AssertionError("its stop fails too")]
    made[0].die()
    await until(lambda: "b" not in handler.active)
    handler.go.set()
    await until(lambda: made[1].listener is not None)
    assert made[0].stopped
    assert broker.committed == {place(0): 1}
    await made[1].assign()
    await until(lambda: handler.done == ["a1", "b1"])
    stop.set()
    await task


async def test_a_stop_of_the_client_that_ends_in_a_cancellation_is_not_our_end() -> None:
    """The client's stop may raise the CancelledError of a task of its own: the worker goes on connecting, and ends when it is told to."""
    consumer = ListConsumer(Broker(), (0,))
    consumer.errors["start"] = [KafkaConnectionError("refused")]
    consumer.errors["stop"] = [asyncio.CancelledError(), asyncio.CancelledError()]  # type: ignore[list-item] # as aiokafka does
    stop = asyncio.Event()
    worker = Worker(
        ScriptedHandler(),
        (SENDS,),
        options=options(),
        clock=SystemClock(),
        metrics=Metrics(),
        status=LoopStatus(),
        consumer=lambda: consumer,
    )
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: consumer.listener is not None)
    stop.set()
    await task
    assert not task.cancelled()


def test_the_consumer_never_acknowledges_by_itself_and_reads_what_was_committed_to_the_log() -> None:
    """Explicit commits, from the beginning where there is none, one assignor, a stable name, patience enough for a barrier."""
    settings = consumer_options(options().loop, "outbound")
    assert settings["enable_auto_commit"] is False
    assert settings["auto_offset_reset"] == "none"
    assert settings["isolation_level"] == "read_committed"
    assert settings["partition_assignment_strategy"] == (RangePartitionAssignor,)
    assert (settings["group_id"], settings["group_instance_id"]) == ("t.outbound", "outbound-0")
    assert (settings["session_timeout_ms"], settings["rebalance_timeout_ms"]) == (45_000, 60_000)
