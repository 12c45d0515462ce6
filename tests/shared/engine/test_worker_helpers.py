"""Group commit and waiting for a moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import ManualClock, SystemClock
from shared.engine.worker_batcher import Batcher
from shared.engine.worker_sleeper import ClockSleeper, ManualSleeper

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def test_what_is_asked_for_together_is_done_together_and_what_comes_meanwhile_next() -> None:
    """Three at once make one call; two that come during it make the second; nobody waits for more."""
    calls: list[list[int]] = []
    gate, began = asyncio.Event(), asyncio.Event()

    async def run(items: list[int]) -> list[int]:
        calls.append(items)
        began.set()
        await gate.wait()
        return [10 * item for item in items]

    batcher: Batcher[int, int] = Batcher(run, items_max=10)
    first = [asyncio.create_task(batcher.submit(item)) for item in (1, 2, 3)]
    await began.wait()
    second = [asyncio.create_task(batcher.submit(item)) for item in (4, 5)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*first, *second) == [10, 20, 30, 40, 50]
    assert calls == [[1, 2, 3], [4, 5]]
    await batcher.close()


async def test_a_call_has_a_bound() -> None:
    """Five items with a bound of two make three calls, in order."""
    calls: list[list[int]] = []

    async def run(items: list[int]) -> list[int]:
        calls.append(items)
        return items

    batcher: Batcher[int, int] = Batcher(run, items_max=2, linger_seconds=0.001)
    await asyncio.gather(*(batcher.submit(item) for item in range(5)))
    assert calls == [[0, 1], [2, 3], [4]]


async def test_a_failure_reaches_everybody_of_its_batch_and_nobody_else() -> None:
    """The next batch works."""
    failing = True

    async def run(items: list[int]) -> list[int]:
        if failing:
            raise OSError("down")
        return items

    batcher: Batcher[int, int] = Batcher(run, items_max=10)
    results = await asyncio.gather(*(batcher.submit(item) for item in (1, 2)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    failing = False
    assert await batcher.submit(3) == 3


@pytest.mark.parametrize("fails", [False, True])
async def test_who_leaves_does_not_stop_the_batch(*, fails: bool) -> None:
    """A cancelled caller's item is done (or fails) with the others."""
    gate = asyncio.Event()

    async def run(items: list[int]) -> list[int]:
        await gate.wait()
        if fails:
            raise OSError("down")
        return items

    batcher: Batcher[int, int] = Batcher(run, items_max=10)
    leaving, staying = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(staying, return_exceptions=True)
    assert isinstance(results[0], OSError) if fails else results[0] == 2
    assert leaving.cancelled()


async def test_simulated_sleepers_wake_in_the_order_of_their_moments() -> None:
    """Nobody wakes before the clock is moved, and who leaves is not waited for."""
    clock = ManualClock(NOON)
    sleeper = ManualSleeper(clock)
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await sleeper.until(NOON + seconds * SECOND)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3, 0, 2, 1)]
    await asyncio.sleep(0)
    assert (woken, sleeper.next_at) == ([0], NOON + SECOND)
    tasks[3].cancel()
    await asyncio.sleep(0)
    assert sleeper.next_at == NOON + 2 * SECOND
    assert sleeper.wake(NOON + 3 * SECOND) == 2
    await asyncio.gather(*tasks, return_exceptions=True)
    assert woken == [0, 2, 3]
    assert (sleeper.next_at is None, clock.now()) == (True, NOON + 3 * SECOND)


async def test_a_real_sleeper_returns_when_the_clock_shows_the_moment() -> None:
    """Not before it, and at once for a moment that has passed."""
    clock = SystemClock()
    moment = clock.now() + timedelta(milliseconds=5)
    await ClockSleeper(clock).until(moment)
    assert clock.now() >= moment
    await ClockSleeper(clock).until(moment)
