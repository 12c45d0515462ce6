"""Outbound put together: one send from its record to its outcome.

load the ledger → wait for the customer's pace and the account's turn → claim in the ledger → HTTP → record → publish. The rules are
in `core`; here is only the order, which makes a send go out at most once whatever happens between two lines.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, assert_never

import structlog

from services.outbound.calls import Call, Calls
from services.outbound.core.answers import Answer
from services.outbound.core.effects import report_of
from services.outbound.core.gate import Effect, Report, Verdict
from services.outbound.core.send import (
    NO_MEMORY,
    Claimant,
    Memory,
    Proceed,
    Save,
    Tell,
    WaitUntil,
    after,
    claim,
    expired,
    next_step,
    refused_before,
    stopped,
)
from services.outbound.ledger import Ledger, Stored
from services.outbound.sender import Transport
from services.outbound.settings import OutboundSettings
from services.outbound.state import LedgerEntry
from services.outbound.telling import Telling
from services.outbound.turns import Turns
from shared.channels.contract import Channels
from shared.clock import Clock
from shared.engine.options import DEAD_LETTERS_PER_MINUTE_MAX, STORE_TIMEOUT_SECONDS
from shared.engine.records import Publisher, Record
from shared.engine.worker_job import Job
from shared.engine.worker_sleeper import Sleeper
from shared.errors import InvalidEventError, RecoverableError
from shared.events.envelope import Event, UnknownTypeError
from shared.events.sends import SendRequested
from shared.events.shapes import Failure
from shared.metrics import Metrics
from shared.store.port import Store, StoreUnavailableError
from shared.topics import SENDS, Topic

NAME = "outbound"
MEMORIES_MAX = 10_000
"""Sends of which this process knows more than the ledger. What is forgotten beyond it becomes `unknown`, never a second request."""
NEW_BEFORE_TRUST = 100
"""Sends in a row that the ledger did not know, after which it is not asked before the claim."""
HOUSEKEEPING_SECONDS = 600.0

logger = structlog.get_logger(__name__)


class _Claimed(NamedTuple):
    """A claim that stands in the ledger, and is ours."""

    stored: Stored
    entry: LedgerEntry


class Outbound:
    """The handler of the outbound worker. Open it before use, close it after."""

    name = NAME
    inputs: tuple[Topic, ...] = (SENDS,)

    def __init__(
        self,
        *,
        channels: Channels,
        store: Store,
        publisher: Publisher,
        transport: Transport,
        clock: Clock,
        sleeper: Sleeper,
        settings: OutboundSettings,
        metrics: Metrics,
        instance: str,
        version: str,
        partitions: int,
        store_timeout_seconds: float = STORE_TIMEOUT_SECONDS,
        dead_letters_per_minute_max: int = DEAD_LETTERS_PER_MINUTE_MAX,
    ) -> None:
        self._store = store
        self._calls = Calls(channels, transport, clock, metrics)
        self._clock = clock
        self._sleeper = sleeper
        self._settings = settings
        self._metrics = metrics
        self._partitions = partitions
        self._store_timeout_seconds = store_timeout_seconds
        self._retry = settings.retry
        self._claimant = Claimant(owner=instance, claim_seconds=settings.claim_seconds)
        self._turns = Turns(clock, sleeper, breaker=settings.breaker, requests_per_account_max=settings.requests_per_account_max)
        self._telling = Telling(
            publisher, clock, metrics, worker=NAME, version=version, dead_letters_per_minute_max=dead_letters_per_minute_max
        )
        self._memories: dict[str, Memory] = {}
        self._new_in_a_row = 0
        self._ledger: Ledger | None = None

    async def open(self) -> None:
        """Open the ledger. Raises StoreUnavailableError."""
        self._ledger = await Ledger.open(
            self._store, linger_seconds=self._settings.ledger_linger_seconds, timeout_seconds=self._store_timeout_seconds
        )

    async def close(self) -> None:
        """Return when nothing is under way any more. The store, the publisher and the transport are the caller's."""
        await self._turns.close()
        await self._telling.close()
        if self._ledger is not None:
            await self._ledger.close()

    # --- what the worker calls ------------------------------------------------------------------------------------------

    async def handle(self, record: Record, job: Job) -> None:
        """Carry one record through to its outcome; what is no send is passed over, what cannot be read becomes a dead letter."""
        try:
            event: Event[Any] = record.topic.decode(record.value or b"")
        except UnknownTypeError:
            self._metrics.unknown_types.labels(NAME).inc()
            return
        except InvalidEventError as error:
            await self._telling.put_aside(record, "invalid", str(error))
            return
        if isinstance(event.data, SendRequested):
            await self._carry_through(event, job)

    async def give_up(self, record: Record, error: Exception, attempts: int) -> None:
        """Put a record aside that could not be handled for a reason of its own."""
        await self._telling.put_aside(record, "decide_failed", f"{type(error).__name__} after {attempts} attempts")

    def owns(self, partitions: int) -> None:
        """Take our share of every account's rate: as many parts as we own partitions."""
        self._turns.share(max(1, partitions) / self._partitions)
        self._new_in_a_row = 0

    # --- what a local shell calls ---------------------------------------------------------------------------------------

    async def process(self, records: Sequence[Record]) -> None:
        """Carry all `records` through to their outcomes: concurrently across keys, in order within one.

        For a shell without a broker. Raises the first error after all have ended; calling again with the same records is safe.
        Calls must not overlap: the order within a key is kept within one call.
        """
        by_key: dict[bytes | None, list[Record]] = defaultdict(list)
        for record in records:
            by_key[record.key].append(record)
        results = await asyncio.gather(*(self._process_in_order(found) for found in by_key.values()), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def _process_in_order(self, records: Sequence[Record]) -> None:
        for record in records:
            await self.handle(record, Job())

    async def housekeep(self) -> None:
        """Forget settled sends that the topic no longer holds, now and then, until cancelled. One process is enough, all may."""
        while True:
            try:
                forgotten = await self.forget_old_sends()
                logger.info("ledger.cleaned", entries=forgotten)
            except (RecoverableError, TimeoutError) as error:
                logger.warning("ledger.not_cleaned", error=type(error).__name__)
            await self._sleeper.until(self._clock.now() + timedelta(seconds=HOUSEKEEPING_SECONDS))

    async def forget_old_sends(self) -> int:
        """Forget the settled sends that are older than the ledger keeps; return how many."""
        before = self._clock.now() - timedelta(days=self._settings.ledger_days)
        forgotten = 0
        while (count := await self._opened().forget(before)) > 0:
            forgotten += count
        return forgotten

    # --- one send -------------------------------------------------------------------------------------------------------

    async def _carry_through(self, event: Event[SendRequested], job: Job) -> None:
        """Do what the rules say next until the outcome is told."""
        send = event.data
        stored = await self._first_look(send.send_id)
        while True:
            memory = self._memories.get(send.send_id, NO_MEMORY)
            step = next_step(stored.entry, send, self._clock.now(), claimant=self._claimant, memory=memory)
            match step:
                case Tell(entry):
                    self._memories.pop(send.send_id, None)
                    await self._telling.tell(entry, event, channel=self._calls.label(send.channel))
                    return
                case Save(entry):
                    stored = await self._save(stored, entry)
                case WaitUntil(moment, look_again):
                    job.release()
                    await self._sleeper.until(moment)
                    if look_again:
                        stored = await self._opened().load(send.send_id)
                case Proceed(attempts):
                    job.release()
                    stored = await self._attempt(stored, event, attempts, job)
                case _:  # pragma: no cover # mypy proves that nothing is left
                    assert_never(step)

    async def _first_look(self, send_id: str) -> Stored:
        """Return what the ledger holds of a send that was just read.

        As long as everything is new the ledger is not asked: the claim replaces version 0 and fails where there is an entry after
        all. After an assignment or such a failure it is asked again, because a replay should not wait for its turn to find out.
        """
        if self._new_in_a_row >= NEW_BEFORE_TRUST and send_id not in self._memories:
            return Stored()
        stored = await self._opened().load(send_id)
        self._new_in_a_row = self._new_in_a_row + 1 if stored.entry is None else 0
        return stored

    async def _look_again(self, send_id: str) -> Stored:
        """Return what somebody else wrote, or we in an earlier life."""
        self._new_in_a_row = 0
        self._metrics.fenced.labels(NAME).inc()
        return await self._opened().load(send_id)

    async def _attempt(self, stored: Stored, event: Event[SendRequested], attempts: int, job: Job) -> Stored:
        """Wait for the turn, then claim, send and record; return what the ledger holds then."""
        send, owner = event.data, self._claimant.owner
        call = self._calls.prepare(send)
        if isinstance(call, Failure):
            return await self._save(stored, refused_before(send, stored.entry, call, self._clock.now(), owner=owner))
        limits = call.limits
        await self._turns.wait_for_customer(event.subject, limits, not_after=send.not_after)
        turn = await self._turns.wait(call.account, limits, lane=send.lane, not_after=send.not_after)
        if turn.verdict is Verdict.EXPIRED:
            return await self._save(stored, expired(send, stored.entry, self._clock.now(), owner=owner))
        if turn.verdict is Verdict.STOPPED:
            return await self._save(stored, stopped(send, stored.entry, turn.cause, self._clock.now(), owner=owner))
        report = Report(Effect.NONE)
        try:
            job.hold()
            claimed = await self._claim(stored, send, attempts)
            if claimed is None:
                return await self._look_again(send.send_id)
            self._turns.sent_to_customer(event.subject, limits)
            answer = await self._request(call)
            report = report_of(answer, slow_seconds=self._retry.slow_seconds)
        finally:
            self._turns.report(call.account, turn, report)
        return await self._record(claimed, answer, send)

    async def _claim(self, stored: Stored, send: SendRequested, attempts: int) -> _Claimed | None:
        """Write down, durably, that a request is about to leave; None where somebody else was faster: then it must not.

        Who slept meanwhile (a frozen process, a store that took its time) claims again: others may have given the claim up, told the
        send as unknown and made the thread's next one.
        """
        while True:
            began = self._clock.monotonic_seconds()
            entry = claim(send, attempts, self._clock.now(), owner=self._claimant.owner)
            try:
                saved = await self._opened().save(stored.version, entry)
            except StoreUnavailableError:
                if entry.send_id not in self._memories:
                    self._remember(entry.send_id, Memory(claim=entry))
                raise
            if saved is None:
                return None
            if self._clock.monotonic_seconds() - began <= self._settings.claim_fresh_seconds:
                return _Claimed(saved, entry)
            stored = saved

    async def _request(self, call: Call) -> Answer:
        """Make the request, once; while it is under way a second look at the send waits for it."""
        self._remember(call.send.send_id, Memory(under_way=True))
        try:
            return await self._calls.make(call)
        except asyncio.CancelledError:
            self._memories.pop(call.send.send_id, None)
            raise

    async def _record(self, claimed: _Claimed, answer: Answer, send: SendRequested) -> Stored:
        """Write down what came of the request. Until that is saved this process remembers it."""
        entry = after(claimed.entry, answer, send, self._clock.now(), policy=self._retry)
        self._remember(send.send_id, Memory(result=entry))
        return await self._save(claimed.stored, entry)

    async def _save(self, stored: Stored, entry: LedgerEntry) -> Stored:
        """Save `entry`; return what the ledger holds then, which is somebody else's entry where they were faster."""
        saved = await self._opened().save(stored.version, entry)
        if saved is None:
            return await self._look_again(entry.send_id)
        self._memories.pop(entry.send_id, None)
        return saved

    def _remember(self, send_id: str, memory: Memory) -> None:
        """Keep what the ledger does not know, within the bound."""
        self._memories.pop(send_id, None)
        self._memories[send_id] = memory
        if len(self._memories) > MEMORIES_MAX:
            del self._memories[next(iter(self._memories))]

    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise RuntimeError("outbound is not open; call open() first")
        return self._ledger
