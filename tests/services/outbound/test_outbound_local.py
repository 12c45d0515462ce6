"""Outbound on the local log in simulated time, and its clean-up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.outbound.ledger import Ledger
from services.outbound.state import Phase
from shared.channels.contract import Limits
from shared.clock import ManualClock
from shared.engine.local import LocalShell
from shared.engine.records import Publication
from shared.engine.worker_local import LocalWorker
from shared.errors import BrokerUnavailableError
from shared.events.shapes import FailureClass
from shared.store.memory import MemoryStore
from shared.store.port import Collection, SaveResult, StoredDocument, StoreUnavailableError
from shared.topics import SENDS
from tests.services.outbound import outbound_world
from tests.services.outbound.outbound_values import NOON, entry, requested, send
from tests.services.outbound.outbound_world import refused, world


def publication(name: str, thread: str) -> Publication:
    """Return a send on its topic."""
    return Publication(SENDS, thread, requested(send(name), thread).to_json())


async def test_a_local_shell_runs_outbound_in_simulated_time() -> None:
    """Retries and paces take the clock's time and none of ours; the shell knows the next moment."""
    clock = ManualClock(NOON)
    there = await world(clock=clock, limits=Limits(1000, pair_interval_seconds=60, pair_burst=1), partitions=3)
    shell = LocalShell(clock=clock, store=MemoryStore(), partitions=3)
    worker = LocalWorker(there.outbound, (SENDS,), shell.log, clock=clock, sleeper=there.sleeper)
    shell.add(worker)
    there.wire.answers["a1"] = [refused(FailureClass.WAIT)] * 2
    await shell.log.publish([publication("a1", "paper:sales:a"), publication("a2", "paper:sales:a"), publication("b1", "paper:sales:b")])
    await shell.settle()
    assert there.sheet.outcomes() == [("b1", "accepted")]
    await shell.advance(timedelta(seconds=300))
    assert [name for name in there.wire.requests if name != "b1"] == ["a1", "a1", "a1", "a2"]
    assert there.sheet.outcomes()[1:] == [("a1", "accepted"), ("a2", "accepted")]
    await worker.close()
    await there.close()


async def test_an_error_surfaces_in_the_local_shell() -> None:
    """A flow test sees it at once instead of waiting for an outcome."""
    clock = ManualClock(NOON)
    there = await world(clock=clock)
    shell = LocalShell(clock=clock, store=MemoryStore())
    worker = LocalWorker(there.outbound, (SENDS,), shell.log, clock=clock, sleeper=there.sleeper)
    shell.add(worker)
    there.sheet.failures = [BrokerUnavailableError("down")]
    await shell.log.publish([publication("a1", "paper:sales:a")])
    with pytest.raises(BrokerUnavailableError):
        await shell.settle()
    await worker.close()
    await there.close()


async def test_housekeeping_goes_on_after_an_error() -> None:
    """The store is down now and up ten minutes later: the old sends are gone then."""
    there = await world()
    await there.finish(outbound_world.record(send()))
    ledger = there.outbound._opened()
    there.clock.advance(timedelta(days=9))
    collection, ledger._collection = ledger._collection, DownCollection()
    task = asyncio.create_task(there.outbound.housekeep())
    await there.quiet()
    ledger._collection = collection
    assert (await ledger.load("s1")).entry is not None
    await there.advance(600)
    assert (await ledger.load("s1")).entry is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await there.close()


class DownCollection(Collection):
    """A collection that does not answer: calls fail, or never return."""

    async def load(self, keys: object) -> dict[str, StoredDocument]:
        """Never return."""
        await asyncio.Event().wait()
        raise AssertionError(keys)

    async def save(self, changes: object) -> SaveResult:
        """Never return."""
        await asyncio.Event().wait()
        raise AssertionError(changes)

    async def delete(self, keys: object) -> None:
        """Outbound does not come so far."""
        raise AssertionError(keys)

    async def scan(self, index: str, **bounds: object) -> list[StoredDocument]:
        """Fail."""
        raise StoreUnavailableError(f"{index} {bounds}")


async def test_a_store_that_hangs_is_a_store_that_is_down() -> None:
    """Every call has an end of its own, and the error says what to look at."""
    ledger = Ledger(DownCollection(), linger_seconds=0, timeout_seconds=0.01)
    with pytest.raises(StoreUnavailableError, match="look at the store"):
        await ledger.load("s1")
    with pytest.raises(StoreUnavailableError, match="could not save"):
        await ledger.save(0, entry(Phase.IN_FLIGHT))
    await ledger.close()


async def test_of_two_changes_of_one_send_in_a_call_the_first_counts() -> None:
    """The second would replace what is not there yet: its writer looks again."""
    ledger = await Ledger.open(MemoryStore(), linger_seconds=0, timeout_seconds=1)
    first, second = await asyncio.gather(ledger.save(0, entry(Phase.IN_FLIGHT)), ledger.save(0, entry(Phase.IN_FLIGHT, owner="other")))
    assert first is not None
    assert (first.version, second) == (1, None)
    stored = await ledger.load("s1")
    assert stored.entry == entry(Phase.IN_FLIGHT)
    assert await ledger.save(0, entry(Phase.REFUSED)) is None


async def test_customers_that_are_paid_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pace in memory lasts as long as it matters."""
    monkeypatch.setattr("services.outbound.turns.CUSTOMERS_BEFORE_SWEEP", 2)
    there = await world(limits=Limits(1000, pair_interval_seconds=6, pair_burst=1))
    there.outbound._turns._sweep_at = 2
    for name in ("a", "b", "c"):
        await there.finish(outbound_world.record(send(name)))
        there.clock.advance(timedelta(seconds=10))
    assert set(there.outbound._turns._paid_at) == {"paper:sales:c"}
    await there.close()
