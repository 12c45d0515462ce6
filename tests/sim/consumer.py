"""The simulated AIOKafkaConsumer: what the loops of the product see of the broker, with the client's own habits.

As in aiokafka 0.14: a read waits while the group is being reassigned, takes nothing when it is given up, and may return records of some
partitions before others; positions begin at what was committed; `stop` of a static member leaves the group waiting for its session.
Waiting for nothing costs no steps: when read after read is empty, the next one is allowed to wait longer than it was told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError

from tests.sim.log import LogRecord
from tests.sim.loop import Process

if TYPE_CHECKING:
    from tests.sim.broker import Broker

FIRST_WAIT_SECONDS = 0.5
IDLE_GROWTH = 20
BARRIER_SECONDS = 19.9
"""A barrier that took longer was given up by its time-out: the batch in hand goes on, and its saves are fenced by version alone."""
"""The first empty read after work waits so long at most; each one after it IDLE_GROWTH times as long."""


class SimulatedConsumer:
    """One consumer of one process."""

    def __init__(self, broker: Broker, process: Process, **options: Any) -> None:
        self._broker = broker
        self.process = process
        self.instance = str(options["group_instance_id"])
        self.group = broker.group(str(options["group_id"]))
        self.generation = -1
        self.gave_away = False
        """The listener was told, in time, that everything is given away: from now on nothing may be written for it."""
        self.positions: dict[TopicPartition, int] = {}
        self._topics: tuple[str, ...] = ()
        self._listener: ConsumerRebalanceListener | None = None
        self._assignment: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._reassigning = False
        self._settled: list[asyncio.Future[None]] = []
        self._rejoin: asyncio.Future[None] | None = None
        self._must_rejoin = False
        self._idle_wait_seconds = FIRST_WAIT_SECONDS
        self._deadline = 0.0
        self._read_waiter: asyncio.Future[None] | None = None
        self._closed = False
        never: asyncio.Future[None] = process.loop.create_future()
        self._coordinator = SimpleNamespace(_coordination_task=never)
        self._fetcher = SimpleNamespace(_fetch_task=never)
        self._client = SimpleNamespace(close=self._close)

    @property
    def is_silent(self) -> bool:
        """Return whether no heartbeat of this consumer reaches the coordinator."""
        return self.process.dead or self.process.frozen or self._closed

    def owns(self, shard: int) -> bool:
        """Return whether the product may take a partition number for its own."""
        return not self.gave_away and any(place.partition == shard for place in self._assignment)

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect."""
        await self._broker.cross(self.process, "connect")
        if self._broker.log.is_down:
            raise KafkaConnectionError("the simulated broker is down")
        self._broker.consumers.append(self)

    async def stop(self) -> None:
        """End. A static member does not leave its group: the partitions wait for it, or for the end of its session."""
        self._close_now()
        await asyncio.sleep(0)

    async def _close(self) -> None:
        self._close_now()

    def _close_now(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self in self._broker.consumers:
            self._broker.consumers.remove(self)
        if self._rejoin is not None and not self._rejoin.done():
            self._rejoin.cancel()
        self.group.silent(self.instance, self)

    def subscribe(self, topics: Sequence[str], *, listener: ConsumerRebalanceListener) -> None:
        """Join the group in the background."""
        self._topics = tuple(topics)
        self._listener = listener
        self._reassigning = True
        self._coordinator._coordination_task = self.process.spawn(self._coordinate())

    async def _coordinate(self) -> None:
        """Join, tell the listener, wait for the next rebalance; what aiokafka's coordination task does."""
        first = True
        while not self._closed:
            self._reassigning = True
            assert self._listener is not None
            began = self.process.loop.time()
            await self._listener.on_partitions_revoked(set() if first else set(self._assignment))
            first = False
            self.gave_away = self.process.loop.time() - began < BARRIER_SECONDS
            self._must_rejoin = False
            await self._broker.cross(self.process, "join")
            try:
                self.generation, assigned = await self.group.join(self, self._topics)
            except asyncio.CancelledError:
                if self._closed or self.process.dead:
                    raise
                continue
            self._assignment = assigned
            self._paused.clear()
            self.positions = {place: self.group.offsets.get(place, 0) for place in assigned}
            self._reassigning = False
            self.gave_away = False
            await self._listener.on_partitions_assigned(set(assigned))
            for waiter in self._settled:
                if not waiter.done():
                    waiter.set_result(None)
            self._settled.clear()
            self._deadline = min(self._deadline, self.process.loop.time() + FIRST_WAIT_SECONDS)
            self._idle_wait_seconds = FIRST_WAIT_SECONDS  # likewise for a read that has begun and not come to its wait
            if self._read_waiter is not None and not self._read_waiter.done():
                self._read_waiter.set_result(None)
            if not self._must_rejoin:
                self._rejoin = self.process.loop.create_future()
                await self._rejoin

    def must_rejoin(self) -> None:
        """Learn from a heartbeat that the group is being reassigned, or counts on this member no more."""
        self._must_rejoin = True
        if self._rejoin is not None and not self._rejoin.done():
            self._rejoin.set_result(None)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def getmany(self, *, timeout_ms: int = 0, max_records: int | None = None) -> dict[TopicPartition, list[LogRecord]]:
        """Return the next records, or nothing after `timeout_ms` (later where nothing has happened for long)."""
        await self._broker.cross(self.process, "read")
        self._deadline = self.process.loop.time() + min(timeout_ms / 1000, self._idle_wait_seconds)
        while True:
            if self._reassigning:
                waiter: asyncio.Future[None] = self.process.loop.create_future()
                self._settled.append(waiter)
                await waiter
            drained = self._drained(max_records or 500)
            left = self._deadline - self.process.loop.time()
            if drained or left <= 0:
                self._idle_wait_seconds = FIRST_WAIT_SECONDS if drained else min(3600.0, self._idle_wait_seconds * IDLE_GROWTH)
                return drained
            if not await self._woken(left):
                self._idle_wait_seconds = min(3600.0, self._idle_wait_seconds * IDLE_GROWTH)
                return {}

    async def _woken(self, seconds: float) -> bool:
        """Wait for a record; return False where something else, or nothing, ended the wait."""
        self._read_waiter = waiter = self.process.loop.create_future()
        open_places = [place for place in self._assignment if place not in self._paused]
        self._broker.log.wait_for(open_places, waiter)
        done, _ = await asyncio.wait([waiter], timeout=seconds)
        if not done or waiter.cancelled():
            waiter.cancel()
            return False
        await self.process.loop.pause(self._broker.fetch_seconds())
        return True

    def look_around(self) -> None:
        """End a wait for nothing, and wait shortly again: the clock was set and a timer may be due, or a commit failed."""
        self._idle_wait_seconds = FIRST_WAIT_SECONDS
        if self._read_waiter is not None and not self._read_waiter.done():
            self._read_waiter.cancel()

    def _drained(self, limit: int) -> dict[TopicPartition, list[LogRecord]]:
        """Return up to `limit` records and move on behind them. Of several partitions some may not have been fetched yet."""
        found: dict[TopicPartition, list[LogRecord]] = {}
        behind = [place for place in sorted(self._assignment - self._paused) if self.positions[place] < self._broker.log.end(place)]
        for place in self._broker.fetched_first(behind):
            records = self._broker.log.read(place, self.positions[place], limit)
            if records:
                found[place] = records
                self.positions[place] = records[-1].offset + 1
                limit -= len(records)
            if limit <= 0:
                break
        return found

    def assignment(self) -> set[TopicPartition]:
        """Return what is this consumer's, as far as it knows."""
        return set(self._assignment)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`. Raises IllegalStateError for a partition that is not ours."""
        if partition not in self._assignment:
            raise IllegalStateError(f"{partition} is not assigned")
        self.positions[partition] = offset
        self._idle_wait_seconds = FIRST_WAIT_SECONDS

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset of the next record."""
        return self.positions[partition]

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Read on from the first record there is: nothing of a simulated topic is ever deleted."""
        for partition in partitions:
            self.seek(partition, 0)

    def pause(self, *partitions: TopicPartition) -> None:
        """Return nothing of these."""
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Return records of these again."""
        self._paused.difference_update(partitions)

    # --- committing -------------------------------------------------------------------------------------------------

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit. Raises IllegalStateError or CommitFailedError as aiokafka does, KafkaTimeoutError where the broker is silent."""
        missing: Iterable[TopicPartition] = [place for place in offsets if place not in self._assignment]
        if missing:
            raise IllegalStateError(f"{missing} are not assigned")
        await self._broker.commit(self, dict(offsets))
