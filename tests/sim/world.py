"""One run: the whole contact centre in a world that works against it, from one seed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

import structlog
from aiokafka import TopicPartition

import shared.engine.batch
import shared.engine.kafka
import shared.engine.publisher
import shared.engine.worker_sleeper
from shared.metrics import Metrics
from shared.store.memory import MemoryData
from shared.store.port import SaveResult, Store, StoredDocument
from tests.sim.broker import Broker
from tests.sim.checker import Checker
from tests.sim.dice import stream
from tests.sim.facts import Violation
from tests.sim.faults import Faults, Hit
from tests.sim.fleet import SERVICES, Fleet
from tests.sim.log import LogRecord
from tests.sim.loop import Process, SimulatedLoop
from tests.sim.people import People
from tests.sim.services import PARTITIONS, Surroundings, codec_of
from tests.sim.store import SimulatedStore
from tests.sim.vendor import Vendor

STORM_SECONDS = 3600.0
CALM_SECONDS = 900.0
"""After a storm everybody has so long to come to rest before the check that nothing is left behind."""
DRAIN_SECONDS = 2 * 3600.0
STORY_LINES_MAX = 200
SLEEP_SECONDS = 300.0
"""How long a sleep of the worker is at most before it looks at the clock again."""
STARTS = (
    datetime(2026, 11, 23, 6, 0, tzinfo=UTC),
    datetime(2026, 3, 28, 12, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 12, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 12, 0, tzinfo=UTC),
)
"""A working week, the nights in which Europe changes its clocks, and a turn of the year."""


@dataclass(frozen=True)
class Run:
    """What is to be run.

    `muted` faults do not strike; kinds in `factors` strike so many times as often as usual, and at the points of `favourites` a kind
    strikes at a rate (point → (kind, rate)). `steps_max` ends the run early, without the checks of its end.
    """

    seed: int
    hours: float = 24.0
    steps_max: int | None = None
    muted: frozenset[int] = frozenset()
    factors: Mapping[str, float] = field(default_factory=dict)
    favourites: Mapping[str, tuple[str, float]] = field(default_factory=dict)


@dataclass
class Result:
    """What came of a run."""

    run: Run
    violation: Violation | None
    steps: int
    seconds: float
    hits: list[Hit]
    records: int
    requests: int
    story: list[tuple[float, str]] = field(default_factory=list)


class World:
    """The world of one run."""

    def __init__(self, run: Run) -> None:
        self.wanted = run
        self.loop = SimulatedLoop(stream(run.seed, "start").choice(STARTS))  # type: ignore[abstract] # sockets and threads are not simulated
        self.faults = Faults(self.loop, run.seed, run.muted, run.factors, run.favourites)
        self._stores: dict[str, MemoryData] = {service: MemoryData() for service in SERVICES}
        self._store_chance = stream(run.seed, "store")
        self.checker = Checker(self._stores, PARTITIONS, self.loop.time)
        broker_chance = stream(run.seed, "broker")
        self.broker = Broker(self.loop, broker_chance, self.faults, partitions=PARTITIONS, written=self._written, committed=self._committed)
        self.fleet = Fleet(self.loop, stream(run.seed, "world"), self.checker, self.broker)
        self.faults.struck = self.fleet.struck
        vendor_chance = stream(run.seed, "vendor")
        self.vendor = Vendor(self.loop, vendor_chance, self.faults, post=self.fleet.post, requested=self.checker.made_request)
        self.people = People(
            run.seed, self.vendor, self.broker.log, self.checker.picture, self.faults, poisoned=self.checker.facts.poison.__setitem__
        )

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Run to the end, or to the first violation."""
        with _in_place_of_the_network(self), _running(self.loop):
            self.fleet.launch(Surroundings(self.broker, self._store_of, self.vendor, Metrics(), self.checker))
            self.people.start()
            self._weather()
            if self._run_until(self.wanted.hours * 3600):
                self._drain()
            self.fleet.end()
            self.loop.errors.clear()
        return Result(
            self.wanted,
            self.checker.findings.first,
            self.faults.steps,
            self.loop.time(),
            self.faults.hits,
            self.checker.facts.records,
            len(self.vendor.requests),
            self.checker.story()[-STORY_LINES_MAX:],
        )

    def _run_until(self, seconds: float) -> bool:
        """Run until a moment; return False where the run ended before it."""
        findings, faults, errors = self.checker.findings, self.faults, self.loop.errors
        steps_max = sys.maxsize if self.wanted.steps_max is None else self.wanted.steps_max

        def is_over() -> bool:
            if errors:
                findings.report("nothing fails unheard", f"{errors[0].get('message')}: {errors[0]['exception']!r}")
            return findings.first is not None or faults.steps >= steps_max

        return self.loop.run_until(seconds, is_over)

    def _weather(self) -> None:
        """Let storms and calms follow on each other."""
        self.faults.active = not self.faults.active
        if not self.faults.active:
            self.loop.at(CALM_SECONDS, self._check_rest)
            self.loop.at(CALM_SECONDS + 1, self._weather)
        else:
            self.loop.at(STORM_SECONDS, self._weather)

    def _check_rest(self) -> None:
        self.checker.at_rest(self.loop.wall(), self.broker)

    def _drain(self) -> None:
        """End the storm and the day's work; let everything that is under way come to its end, then check the whole."""
        self.people.stop()
        self.faults.is_over = True
        self.loop.at(0, self.fleet.recover)
        if self._run_until(self.loop.time() + DRAIN_SECONDS):
            self.checker.at_end(self.loop.wall(), self.broker, self.vendor)

    # --- what is heard --------------------------------------------------------------------------------------------------

    def _store_of(self, process: Process) -> Store:
        data = self._stores[process.service]
        return SimulatedStore(data, process, self.faults, self._store_chance, saving=self._saving, saved=self._saved)

    def _written(self, record: LogRecord, writer: str) -> None:
        event = self.checker.written(record, writer)
        if event is not None and event["type"] == "parley.assignment.made.v1":
            self.people.assigned(event["subject"], event["data"], event["emitter"])

    def _saving(self, collection: str, changes: Sequence[StoredDocument], process: Process) -> None:
        """Check that a process writes nothing for what it knows to be another's."""
        if collection not in self.checker.decisions.reducers or process.dead:
            return
        consumers = [one for one in self.broker.consumers if one.process is process and one.group.name == collection]
        for change in changes:
            shard = change.fields["shard"]
            if not isinstance(shard, int) or not any(consumer.owns(shard) for consumer in consumers):
                detail = f"{process.name} saves {collection} of {change.key} after it gave partition {shard} away"
                self.checker.findings.report("nothing is written after the barrier", detail, change.key)

    def _saved(self, collection: str, changes: Sequence[StoredDocument], result: SaveResult, process: Process) -> None:
        self.checker.saved(collection, changes, result, process.name)

    def _committed(self, group: str, before: Mapping[TopicPartition, int], offsets: Mapping[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            first = before.get(place, 0)
            records = self.broker.log.read_always(place, first, offset)
            self.checker.committed(group, first, offset, records, place)


@contextmanager
def _in_place_of_the_network(world: World) -> Iterator[None]:
    """Give the product's loops the simulated broker, and keep their logs to themselves."""
    configured = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with (
            patch.object(shared.engine.kafka, "AIOKafkaConsumer", world.broker.consumer),
            patch.object(shared.engine.publisher, "AIOKafkaProducer", world.broker.producer),
            patch.object(shared.engine.batch, "DocumentCodec", codec_of),
            patch.object(shared.engine.worker_sleeper, "SLEEP_SECONDS_MAX", SLEEP_SECONDS),
        ):
            yield
    finally:
        structlog.configure(**configured)


@contextmanager
def _running(loop: SimulatedLoop) -> Iterator[None]:
    """Be the running loop of this thread; where one runs already (a test's), it waits."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
