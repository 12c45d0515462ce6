"""At most one request per send, whatever ends where: crashes at every step, a store and a broker that fail, two processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest

from services.outbound.sender import HttpAnswer
from shared.clock import ManualClock
from shared.errors import BrokerUnavailableError
from shared.store.memory import MemoryData, MemoryStore
from shared.store.port import Collection, CollectionSpec, SaveResult, Scalar, Store, StoredDocument, StoreUnavailableError
from shared.store.sqlite import SqliteStore
from tests.services.outbound.outbound_values import NOON, OWNER, send
from tests.services.outbound.outbound_world import Sheet, Wire, World, accepted, record, world


class Tripwire(Collection):
    """A collection of which one save (counted from 0) fails or never returns, before or after it took effect."""

    def __init__(self, inner: Collection, plan: dict[int, str], awake: asyncio.Event) -> None:
        self._inner = inner
        self._plan = plan
        self._awake = awake
        self._saves = 0

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Load."""
        return await self._inner.load(keys)

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save, as planned."""
        plan = self._plan.get(self._saves, "")
        self._saves += 1
        if plan == "hang before":
            await asyncio.Event().wait()
        if plan == "fail before":
            raise StoreUnavailableError("down")
        result = await self._inner.save(changes)
        if plan == "hang after":
            await asyncio.Event().wait()
        if plan == "fail after":
            raise StoreUnavailableError("down")
        if plan == "sleep after":
            await self._awake.wait()
        return result

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete."""
        await self._inner.delete(keys)

    async def scan(
        self, index: str, *, lower: tuple[Scalar, ...] = (), upper: tuple[Scalar, ...] = (), limit: int, reverse: bool = False
    ) -> list[StoredDocument]:
        """Scan."""
        return await self._inner.scan(index, lower=lower, upper=upper, limit=limit, reverse=reverse)


class TrippedStore(Store):
    """A store whose collections are Tripwires; who sleeps in one goes on when it is set `awake`."""

    def __init__(self, inner: Store, plan: dict[int, str]) -> None:
        self._inner = inner
        self._plan = plan
        self.awake = asyncio.Event()

    async def open(self, spec: CollectionSpec) -> Collection:
        """Open."""
        return Tripwire(await self._inner.open(spec), self._plan, self.awake)

    async def ping(self) -> None:
        """Ping."""
        await self._inner.ping()

    async def close(self) -> None:
        """Close."""
        await self._inner.close()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store that survives the crash of the process above it."""
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "outbound.db")
    yield made
    await made.close()


async def settled(there: World, task: asyncio.Task[None]) -> None:
    """Return when nothing goes on, on a store that works in a thread too."""
    for _ in range(20):
        await there.quiet()
        await asyncio.sleep(0.002)
        if task.done():
            return


CRASHES = [
    ("before the claim is saved", {0: "hang before"}, False, 1, "accepted"),
    ("after the claim is saved, before the request", {0: "hang after"}, False, 0, "unknown"),
    ("while the request is under way", {}, True, 1, "unknown"),
    ("before the result is saved", {1: "hang before"}, False, 1, "unknown"),
    ("after the result is saved, before the outcome is told", {1: "hang after"}, False, 1, "accepted"),
]


@pytest.mark.parametrize(("plan", "wire_hangs", "requests", "outcome"), [case[1:] for case in CRASHES], ids=[case[0] for case in CRASHES])
@pytest.mark.parametrize("heir", [OWNER, "outbound-1"])
@pytest.mark.parametrize("trusting", [False, True], ids=["asks", "trusts"])
async def test_a_crash_anywhere_makes_at_most_one_request_and_one_outcome(
    store: Store, plan: dict[int, str], *, wire_hangs: bool, requests: int, outcome: str, heir: str, trusting: bool
) -> None:
    """The process that takes over reads the record again, be it the same one restarted or another one."""
    wire, sheet, clock = Wire(), Sheet(), ManualClock(NOON)
    if wire_hangs:
        wire.answers["s1"] = [asyncio.get_running_loop().create_future()]
    crashed = await world(store=TrippedStore(store, plan), wire=wire, sheet=sheet, clock=clock)
    await settled(crashed, crashed.begin(record(send())))
    assert sheet.events == []
    after = await world(store=store, wire=wire, sheet=sheet, clock=clock, instance=heir, trusting=trusting)
    task = after.begin(record(send()))
    await settled(after, task)
    while not task.done():
        await after.advance(2)
        await settled(after, task)
    assert wire.counts()["s1"] == requests
    assert sheet.outcomes() == [("s1", outcome)]
    # A replay of the whole topic a day later changes nothing.
    await after.finish(record(send()))
    assert (wire.counts()["s1"], set(sheet.outcomes())) == (requests, {("s1", outcome)})
    await after.close()
    for left in crashed.tasks:
        left.cancel()


async def test_who_slept_between_claim_and_request_makes_none_when_another_has_taken_over(store: Store) -> None:
    """The other gave the claim up, told the send as unknown and made the thread's next one: a request now would come behind that."""
    wire, sheet, clock, sleepy = Wire(), Sheet(), ManualClock(NOON), TrippedStore(store, {0: "sleep after"})
    frozen = await world(store=sleepy, wire=wire, sheet=sheet, clock=clock)
    asleep = frozen.begin(record(send()))
    await settled(frozen, asleep)
    other = await world(store=store, wire=wire, sheet=sheet, clock=clock, instance="outbound-1")
    task = other.begin(record(send()))
    await settled(other, task)
    while not task.done():
        await other.advance(2)
        await settled(other, task)
    sleepy.awake.set()
    await settled(frozen, asleep)
    assert asleep.done()
    assert (wire.counts()["s1"], set(sheet.outcomes())) == (0, {("s1", "unknown")})
    for one in (frozen, other):
        await one.close()


async def test_who_slept_between_claim_and_request_claims_again_and_sends(store: Store) -> None:
    """Nobody has taken over: the send is made, once."""
    wire, sheet, clock, sleepy = Wire(), Sheet(), ManualClock(NOON), TrippedStore(store, {0: "sleep after"})
    frozen = await world(store=sleepy, wire=wire, sheet=sheet, clock=clock)
    asleep = frozen.begin(record(send()))
    await settled(frozen, asleep)
    await frozen.advance(15)
    sleepy.awake.set()
    await settled(frozen, asleep)
    assert asleep.done()
    assert (wire.counts()["s1"], sheet.outcomes()) == (1, [("s1", "accepted")])
    await frozen.close()


async def test_a_crash_before_the_outcome_is_told_tells_it_later(store: Store) -> None:
    """It is in the ledger; whoever reads the record again publishes it, without a request."""
    wire, stuck, clock = Wire(), Sheet(stuck=True), ManualClock(NOON)
    crashed = await world(store=store, wire=wire, sheet=stuck, clock=clock)
    await settled(crashed, crashed.begin(record(send())))
    after = await world(store=store, wire=wire, clock=clock)
    await after.finish(record(send()))
    assert (wire.requests, after.sheet.outcomes()) == (["s1"], [("s1", "accepted")])
    await after.close()
    for left in crashed.tasks:
        left.cancel()


@pytest.mark.parametrize("plan", [{0: "fail before"}, {0: "fail after"}, {1: "fail before"}, {1: "fail after"}], ids=str)
@pytest.mark.parametrize("trusting", [False, True], ids=["asks", "trusts"])
async def test_a_store_that_fails_costs_nothing_but_time(plan: dict[int, str], *, trusting: bool) -> None:
    """The process knows whether it made the request and what came of it: reading the record again ends well, with one request."""
    there = await world(store=TrippedStore(MemoryStore(), plan), trusting=trusting)
    with pytest.raises(StoreUnavailableError):
        await there.finish(record(send()))
    await there.finish(record(send()))
    assert there.wire.requests == ["s1"]
    assert there.sheet.outcomes() == [("s1", "accepted")]
    assert there.outbound._memories == {}
    await there.close()


async def test_a_broker_that_fails_costs_nothing_but_time() -> None:
    """The outcome is told by the next reading."""
    there = await world()
    there.sheet.failures = [BrokerUnavailableError("down")]
    with pytest.raises(BrokerUnavailableError):
        await there.finish(record(send()))
    await there.finish(record(send()))
    assert (there.wire.requests, there.sheet.outcomes()) == (["s1"], [("s1", "accepted")])
    await there.close()


async def two_worlds() -> tuple[World, World]:
    """Return two processes over one ledger, one wire, one topic and one clock."""
    data, wire, sheet, clock = MemoryData(), Wire(), Sheet(), ManualClock(NOON)
    first = await world(data=data, wire=wire, sheet=sheet, clock=clock)
    second = await world(data=data, wire=wire, sheet=sheet, clock=clock, instance="outbound-1", trusting=True)
    return first, second


async def test_two_processes_with_the_same_record_make_one_request() -> None:
    """A partition has moved while the former owner was still about to send: whoever claims first sends."""
    first, second = await two_worlds()
    tasks = [first.begin(record(send())), second.begin(record(send()))]
    while not all(task.done() for task in tasks):
        await first.advance(1)
        await second.advance(1)
    assert first.wire.requests == ["s1"]
    assert set(first.sheet.outcomes()) == {("s1", "accepted")}
    for there in (first, second):
        await there.close()


async def test_the_new_owner_waits_for_the_old_one_s_answer() -> None:
    """The request is still under way there; two seconds after its answer both say the same."""
    first, second = await two_worlds()
    answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    first.wire.answers["s1"] = [answer]
    first.begin(record(send()))
    await first.quiet()
    task = second.begin(record(send()))
    await second.advance(10)
    assert not task.done()
    answer.set_result(accepted("s1"))
    await first.quiet()
    await second.advance(2)
    assert task.done()
    assert first.sheet.outcomes() == [("s1", "accepted")] * 2
    for there in (first, second):
        await there.close()


async def test_an_answer_that_comes_after_the_send_was_called_unknown_settles_it() -> None:
    """The former owner was frozen; what it learns is the truth, told after the unknown and written over it."""
    first, second = await two_worlds()
    answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    first.wire.answers["s1"] = [answer]
    first.begin(record(send()))
    await first.quiet()
    task = second.begin(record(send()))
    await second.advance(40)
    assert task.done()
    answer.set_result(accepted("s1"))
    await first.quiet()
    assert first.sheet.outcomes() == [("s1", "unknown"), ("s1", "accepted")]
    await second.finish(record(send()))
    assert first.sheet.outcomes()[-1] == ("s1", "accepted")
    assert first.wire.requests == ["s1"]
    for there in (first, second):
        await there.close()


async def test_a_send_that_is_read_again_while_its_request_is_under_way_waits_for_it() -> None:
    """A barrier ended without it and the partition came back to the same process."""
    there = await world()
    answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    there.wire.answers["s1"] = [answer]
    there.begin(record(send()))
    await there.quiet()
    again = there.begin(record(send()))
    await there.advance(5)
    answer.set_result(accepted("s1"))
    await there.advance(2)
    assert again.done()
    assert (there.wire.requests, set(there.sheet.outcomes())) == (["s1"], {("s1", "accepted")})
    await there.close()


async def test_a_request_that_was_cut_off_is_unknown_to_the_process_itself() -> None:
    """A stop ran out of grace: the claim stands, and reading it again does not send again."""
    there = await world()
    there.wire.answers["s1"] = [asyncio.get_running_loop().create_future()]
    task = there.begin(record(send()))
    await there.quiet()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await there.finish(record(send()))
    assert (there.wire.requests, there.sheet.outcomes()) == (["s1"], [("s1", "unknown")])
    await there.close()


async def test_a_turn_that_nobody_uses_is_given_back() -> None:
    """Sends that are cut off in the queue, or as their turn comes, leave no hole in the account's bound."""
    there = await world(requests_per_account_max=1)
    answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    there.wire.answers["s1"] = [answer]
    first = there.begin(record(send()))
    waiting = [there.begin(record(send(name))) for name in ("s2", "s3")]
    await there.quiet()
    assert there.wire.requests == ["s1"]
    waiting[0].cancel()
    answer.set_result(accepted("s1"))
    await there.quiet()
    assert first.done()
    assert there.wire.requests == ["s1", "s3"]
    await there.finish(record(send("s2")))
    await there.close()
