"""Waiting for a turn, and giving it back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.outbound.core.breaker import BreakerPolicy
from services.outbound.core.gate import Effect, Report, Verdict
from services.outbound.turns import Turn, Turns
from shared.channels.contract import Limits
from shared.clock import ManualClock
from shared.engine.worker_sleeper import ManualSleeper
from shared.events.sends import Lane
from tests.services.outbound.outbound_values import NOON

LIMITS = Limits(1000)
PATIENCE_SECONDS = 5.0


def turns(requests_max: int = 1) -> Turns:
    """Return turns under a clock that stands still."""
    clock = ManualClock(NOON)
    return Turns(clock, ManualSleeper(clock), breaker=BreakerPolicy(), requests_per_account_max=requests_max)


def wait(there: Turns, lane: Lane = Lane.ANSWER, limits: Limits = LIMITS) -> asyncio.Task[Turn]:
    """Wait for a turn of the account."""
    return asyncio.create_task(there.wait("paper:sales", limits, lane=lane, not_after=None))


async def test_a_turn_that_came_while_its_owner_left_goes_to_the_next() -> None:
    """Cut off between the verdict and its use, nobody makes a request: the place under way is free again."""
    there = turns()
    first = await wait(there)
    second, third = wait(there), wait(there)
    await asyncio.sleep(0)
    there.report("paper:sales", first, Report(Effect.WORKED))
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert second.cancelled()
    assert (await asyncio.wait_for(third, PATIENCE_SECONDS)).verdict is Verdict.GO
    await there.close()


async def test_who_leaves_the_queue_holds_nobody_back() -> None:
    """A person's answer that was cut off does not keep bulk waiting."""
    there = turns()
    first = await wait(there)
    second, third = wait(there), wait(there, Lane.BULK)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    there.report("paper:sales", first, Report(Effect.WORKED))
    assert (await asyncio.wait_for(third, PATIENCE_SECONDS)).verdict is Verdict.GO
    await there.close()


async def test_closing_stops_the_alarms() -> None:
    """Nothing of a closed outbound wakes up later."""
    there = turns(requests_max=10)
    slow = Limits(0.1)
    await wait(there, limits=slow)
    waiting = wait(there, limits=slow)
    await asyncio.sleep(0)
    await there.close()
    there._sleeper.wake(NOON + timedelta(hours=1))  # type: ignore[attr-defined] # the sleeper of this test is manual
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await there.close()
