"""Waiting for one's turn: the accounts' gates and the customers' paces, driven by the injected clock."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.outbound.core.breaker import BreakerPolicy
from services.outbound.core.bucket import TokenBucket
from services.outbound.core.gate import AccountGate, Effect, Report, Verdict
from services.outbound.core.pair import PairPolicy
from shared.channels.contract import Limits
from shared.clock import Clock
from shared.engine.worker_sleeper import Sleeper
from shared.events.sends import Lane
from shared.events.shapes import Failure

CUSTOMERS_BEFORE_SWEEP = 10_000
"""Customers with a pace in memory, from which on those that are paid for are swept out."""


@dataclass(slots=True)
class _Account:
    """One account: its gate, who waits for a verdict, and the alarm that asks the gate again."""

    gate: AccountGate
    sends_per_second: float
    waiting: dict[int, asyncio.Future[Verdict]] = field(default_factory=dict)
    alarm: asyncio.Task[None] | None = None
    alarm_at: datetime | None = None


class Turn(NamedTuple):
    """What a send was told. After GO exactly one `report` is owed. `cause` says why an account is stopped."""

    ticket: int
    verdict: Verdict
    cause: Failure | None = None


class Turns:
    """The turns of all accounts in this process."""

    def __init__(self, clock: Clock, sleeper: Sleeper, *, breaker: BreakerPolicy, requests_per_account_max: int) -> None:
        self._clock = clock
        self._sleeper = sleeper
        self._breaker = breaker
        self._requests_max = requests_per_account_max
        self._share = 1.0
        self._tickets = itertools.count(1)
        self._accounts: dict[str, _Account] = {}
        self._paid_at: dict[str, datetime] = {}
        self._sweep_at = CUSTOMERS_BEFORE_SWEEP

    def share(self, share: float) -> None:
        """Take note of which part of every account's rate is ours, above 0 and up to 1."""
        self._share = share
        for account in self._accounts.values():
            account.gate.bucket = account.gate.bucket.with_rate(account.sends_per_second * share, self._clock.now())
            self._move(account)

    async def wait(self, account: str, limits: Limits, *, lane: Lane, not_after: datetime | None) -> Turn:
        """Return when the account's gate has decided about this send."""
        here = self._accounts.get(account) or self._open(account, limits)
        ticket = next(self._tickets)
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        here.waiting[ticket] = future
        here.gate.enter(ticket, lane, not_after)
        self._move(here)
        try:
            verdict = future.result() if future.done() else await future
        except asyncio.CancelledError:
            self._take_back(account, ticket, future)
            raise
        return Turn(ticket, verdict, here.gate.breaker.cause if verdict is Verdict.STOPPED else None)

    def report(self, account: str, turn: Turn, report: Report) -> None:
        """Take note of what came of a send that was let through."""
        here = self._accounts[account]
        here.gate.report(turn.ticket, report, self._clock.now())
        self._move(here)

    async def wait_for_customer(self, thread: str, limits: Limits, *, not_after: datetime | None) -> None:
        """Return when the next message may go to this customer, or when it may no longer."""
        paid_at = self._paid_at.get(thread)
        if paid_at is not None:
            ready_at = PairPolicy(limits.pair_interval_seconds, limits.pair_burst).ready_at(paid_at, self._clock.now())
            await self._sleeper.until(ready_at if not_after is None else min(ready_at, not_after))

    def sent_to_customer(self, thread: str, limits: Limits) -> None:
        """Take note of a message to this customer."""
        if limits.pair_interval_seconds <= 0:
            return
        now = self._clock.now()
        if len(self._paid_at) >= self._sweep_at:
            self._paid_at = {customer: paid_at for customer, paid_at in self._paid_at.items() if paid_at > now}
            self._sweep_at = max(CUSTOMERS_BEFORE_SWEEP, 2 * len(self._paid_at))
        self._paid_at[thread] = PairPolicy(limits.pair_interval_seconds, limits.pair_burst).after_send(self._paid_at.get(thread), now)

    async def close(self) -> None:
        """Stop all alarms; whoever still waits is left waiting."""
        alarms = [account.alarm for account in self._accounts.values() if account.alarm is not None]
        for alarm in alarms:
            alarm.cancel()
        if alarms:
            await asyncio.wait(alarms)

    def _open(self, name: str, limits: Limits) -> _Account:
        """Return a new account, rested."""
        bucket = TokenBucket.full(limits.sends_per_second * self._share, self._clock.now())
        account = _Account(AccountGate(bucket, self._breaker, requests_max=self._requests_max), limits.sends_per_second)
        self._accounts[name] = account
        return account

    def _take_back(self, account: str, ticket: int, future: asyncio.Future[Verdict]) -> None:
        """Give up a place in the queue, or a turn that nobody will use."""
        here = self._accounts[account]
        here.waiting.pop(ticket, None)
        if future.cancelled():
            here.gate.leave(ticket)
            self._move(here)
        elif future.result() is Verdict.GO:
            self.report(account, Turn(ticket, Verdict.GO), Report(Effect.NONE))

    def _move(self, account: _Account) -> None:
        """Tell those whose turn has come, and set the alarm for the others."""
        now = self._clock.now()
        for ticket, verdict in account.gate.admit(now):
            account.waiting.pop(ticket).set_result(verdict)
        next_at = account.gate.next_at(now) if account.waiting else None
        if next_at == account.alarm_at:
            return
        if account.alarm is not None:
            account.alarm.cancel()
            account.alarm = None
        account.alarm_at = next_at
        if next_at is not None:
            account.alarm = asyncio.create_task(self._ring(account, next_at))

    async def _ring(self, account: _Account, moment: datetime) -> None:
        """Ask the gate again at `moment`."""
        await self._sleeper.until(moment)
        account.alarm = None
        account.alarm_at = None
        self._move(account)
