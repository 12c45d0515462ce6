"""One run: the whole contact centre in a world that works against it, from one seed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import structlog
from aiokafka import TopicPartition

import shared.engine.kafka
import shared.engine.publisher
from shared.metrics import Metrics
from shared.store.memory import MemoryData
from shared.store.port import SaveResult, Store, StoredDocument
from tests.sim.broker import Broker
from tests.sim.checker import Checker
from tests.sim.dice import stream
from tests.sim.facts import Violation
from tests.sim.faults import Faults, Hit
from tests.sim.log import LogRecord
from tests.sim.loop import WORLD, Process, SimulatedLoop
from tests.sim.people import People
from tests.sim.services import PARTITIONS, Intake, Surroundings, rules, run_outbound, run_reducers
from tests.sim.store import SimulatedStore
from tests.sim.vendor import Delivery, Vendor

SERVICES = ("ingest", "router", "bot", "sla", "outbound")
PROCESSES_MAX = 4
SKEW_SECONDS_MAX = 300.0
STORM_SECONDS = 3600.0
CALM_SECONDS = 900.0
"""After a storm everybody has so long to come to rest before the check that nothing is left behind."""
DRAIN_SECONDS = 2 * 3600.0
STARTS = (
    datetime(2026, 11, 23, 6, 0, tzinfo=UTC),
    datetime(2026, 3, 28, 12, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 12, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 12, 0, tzinfo=UTC),
)
"""A working week, the nights in which Europe changes its clocks, and a turn of the year."""


@dataclass(frozen=True)
class Run:
    """What is to be run: `muted` faults do not strike, kinds in `factors` strike so many times as often as usual, and at the points
    of `favourites` a kind strikes at a rate (point → (kind, rate)).

    `steps_max` ends the run early, without the checks of its end.
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
    story: list[str] = field(default_factory=list)


class World:
    """The world of one run."""

    def __init__(self, run: Run) -> None:
        self.run_wanted = run
        self.loop = SimulatedLoop(stream(run.seed, "start").choice(STARTS))  # type: ignore[abstract] # sockets and threads are not simulated
        self._chance = stream(run.seed, "world")
        self.faults = Faults(self.loop, run.seed, run.muted, run.factors, run.favourites, struck=self._struck)
        self.stores: dict[str, MemoryData] = {service: MemoryData() for service in SERVICES}
        self.checker = Checker(self.stores, PARTITIONS, self.loop.time)
        self.broker = Broker(
            self.loop,
            stream(run.seed, "broker"),
            self.faults,
            partitions=PARTITIONS,
            written=self._written,
            committed=self._committed,
        )
        self.vendor = Vendor(self.loop, stream(run.seed, "vendor"), self.faults, post=self._post, requested=self.checker.sends.made_request)
        self.people = People(
            run.seed, self.vendor, self.broker.log, self.checker.picture, self.faults, poisoned=self.checker.facts.poison.__setitem__
        )
        self._metrics = Metrics()
        self._numbers = itertools.count(1)
        self._store_chance = stream(run.seed, "store")
        self.processes: dict[str, Process] = {}
        """The living processes by instance, for example `router-2`."""
        self._intakes: dict[str, Intake] = {}
        self._wanted: dict[str, int] = {}
        self._versions: dict[str, str] = {}

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        """Run to the end, or to the first violation."""
        with _in_place_of_the_network(self), _running(self.loop):
            for service in SERVICES:
                self._wanted[service] = self._chance.randint(1, PROCESSES_MAX)
                for number in range(1, self._wanted[service] + 1):
                    self._start(f"{service}-{number}")
            self.people.start()
            self._weather()
            alive = self._run_until(self.run_wanted.hours * 3600)
            if alive:
                self._drain()
            self._end()
        return Result(
            self.run_wanted,
            self.checker.findings.first,
            self.faults.steps,
            self.loop.time(),
            self.faults.hits,
            self.checker.facts.records,
            len(self.vendor.requests),
        )

    def _run_until(self, seconds: float) -> bool:
        """Run until a moment; return False where the run ended before it."""
        findings, faults, errors = self.checker.findings, self.faults, self.loop.errors
        steps_max = sys.maxsize if self.run_wanted.steps_max is None else self.run_wanted.steps_max

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
        self.faults.active = False
        self.loop.at(0, self._end_faults)
        end = self.loop.time() + DRAIN_SECONDS
        if self._run_until(end):
            self.checker.at_end(self.loop.wall(), self.broker, self.vendor)

    def _end_faults(self) -> None:
        for process in list(self.processes.values()):
            process.skew = timedelta(0)
            if process.frozen:
                process.thaw()

    def _end(self) -> None:
        """Stop everything, so that nothing of this run is left when the next begins."""
        for process in list(self.processes.values()):
            process.kill()
        self.loop.errors.clear()

    # --- processes --------------------------------------------------------------------------------------------------

    def _start(self, instance: str) -> None:
        """Start a process in the place of `instance`, unless there is one or it is not wanted any more."""
        service, number = instance.rsplit("-", 1)
        if instance in self.processes or int(number) > self._wanted[service]:
            return
        skew = timedelta(0)
        version = self._versions.get(instance, "1")
        name = f"{instance}#{next(self._numbers)}"
        process = Process(self.loop, name, service=service, instance=instance, version=version, skew=skew)
        self.processes[instance] = process
        around = Surroundings(self.broker, self._store_of, self.vendor, self._metrics, self.checker)
        if service == "ingest":
            context_intake = Intake(process)
            self._intakes[instance] = context_intake
            main = process.spawn(context_intake.run())
        elif service == "outbound":
            main = process.spawn(run_outbound(process, around))
        else:
            main = process.spawn(run_reducers(process, around, rules().reducers[service]))
        main.add_done_callback(lambda task: self._ended(process, task), context=WORLD)

    def _store_of(self, process: Process) -> Store:
        data = self.stores[process.service]
        return SimulatedStore(data, process, self.faults, self._store_chance, saving=self._saving, saved=self._saved)

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        """Bury a process that came to its end, and replace it where it is wanted."""
        if process.dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.checker.findings.report("no process ends by itself", f"{process.name}: {error!r}")
        elif not process.stop.is_set():
            self.checker.findings.report("no process ends by itself", f"{process.name} came to its end")
        self._bury(process)
        self.loop.at(self._chance.uniform(0.5, 30), self._start, process.instance)

    def _bury(self, process: Process) -> None:
        consumers = [consumer for consumer in self.broker.consumers if consumer.process is process]
        process.kill()
        for consumer in consumers:
            if consumer in self.broker.consumers:
                self.broker.consumers.remove(consumer)
            consumer.group.silent(consumer.instance, consumer)
        self._intakes.pop(process.instance, None)
        if self.processes.get(process.instance) is process:
            del self.processes[process.instance]

    # --- what strikes -------------------------------------------------------------------------------------------------

    def _struck(self, kind: str, process: Process) -> None:
        """Let a fault take its effect."""
        if process.dead:
            return
        match kind:
            case "crash":
                self._bury(process)
                self.loop.at(self._chance.choice((1.0, 10.0, 90.0)) * self._chance.uniform(0.3, 1), self._start, process.instance)
            case "freeze" if not process.frozen:
                self._freeze(process)
            case "scale":
                self._scale(self._chance.choice(SERVICES), self._chance.randint(1, PROCESSES_MAX))
            case "deploy":
                self._versions[process.instance] = "2" if process.version == "1" else "1"
                process.stop.set()
            case "clock":
                process.skew = timedelta(seconds=self._chance.uniform(-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX))
                self.checker.sends.skewed = True
                for consumer in self.broker.consumers:
                    if consumer.process is process:
                        consumer.look_around()
            case "broker down":
                self.broker.log.go_down(self._chance.uniform(0.5, 60))

    def _freeze(self, process: Process) -> None:
        process.frozen = True
        for consumer in self.broker.consumers:
            if consumer.process is process:
                consumer.group.silent(consumer.instance, consumer)
        self.loop.at(self._chance.choice((2.0, 30.0, 150.0)) * self._chance.uniform(0.3, 1), self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if not process.dead and process.frozen:
            process.thaw()

    def _scale(self, service: str, number: int) -> None:
        """Have so many processes of a service from now on."""
        self._wanted[service] = number
        for instance, process in list(self.processes.items()):
            if process.service == service and int(instance.rsplit("-", 1)[1]) > number:
                process.stop.set()
        for index in range(1, number + 1):
            self._start(f"{service}-{index}")

    # --- what is heard --------------------------------------------------------------------------------------------------

    def _post(self, delivery: Delivery, answer: asyncio.Future[int]) -> None:
        """Hand a webhook to some process of ingest; without one, nobody answers."""
        open_to = sorted(name for name in self._intakes if not self.processes[name].stop.is_set())
        if not open_to:
            return
        instance = self._chance.choice(open_to)
        process = self.processes[instance]
        process.spawn(self._intakes[instance].post("/channels/whatsapp", delivery.body, delivery.headers, answer))

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
