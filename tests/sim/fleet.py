"""The product's processes in the world: started, killed, frozen, stopped, replaced by another version, more or fewer of them."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import timedelta
from typing import Any

from tests.sim.broker import Broker
from tests.sim.checker import Checker
from tests.sim.loop import WORLD, Process, SimulatedLoop
from tests.sim.services import Intake, Surroundings, rules, run_outbound, run_reducers
from tests.sim.vendor import Delivery

SERVICES = ("ingest", "router", "bot", "sla", "outbound")
PROCESSES = (1, 1, 2, 2, 3, 4)
"""How many processes of a service there may be; two is drawn as often as three and four together."""
SKEW_SECONDS_MAX = 300.0


class Fleet:
    """All processes. `surroundings` is given once the world stands; `store` opens a process's store."""

    def __init__(self, loop: SimulatedLoop, chance: random.Random, checker: Checker, broker: Broker) -> None:
        self._loop = loop
        self._chance = chance
        self._checker = checker
        self._broker = broker
        self._numbers = itertools.count(1)
        self._intakes: dict[str, Intake] = {}
        self._wanted: dict[str, int] = {}
        self._versions: dict[str, str] = {}
        self._around: Surroundings | None = None
        self.processes: dict[str, Process] = {}
        """The living processes by instance, for example `router-2`."""

    def launch(self, around: Surroundings) -> None:
        """Start some processes of every service."""
        self._around = around
        for service in SERVICES:
            self._scale(service, self._chance.choice(PROCESSES))

    # --- start and end ----------------------------------------------------------------------------------------------

    def _start(self, instance: str) -> None:
        """Start a process in the place of `instance`, unless there is one or it is not wanted any more."""
        service, number = instance.rsplit("-", 1)
        around = self._around
        if around is None or instance in self.processes or int(number) > self._wanted[service]:
            return
        version = self._versions.get(instance, "1")
        name = f"{instance}#{next(self._numbers)}"
        process = Process(self._loop, name, service=service, instance=instance, version=version, skew=timedelta(0))
        self.processes[instance] = process
        if service == "ingest":
            intake = self._intakes[instance] = Intake(process)
            main = process.spawn(intake.run())
        elif service == "outbound":
            main = process.spawn(run_outbound(process, around))
        else:
            main = process.spawn(run_reducers(process, around, rules().reducers[service]))
        main.add_done_callback(lambda task: self._ended(process, task), context=WORLD)

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        """Bury a process that came to its end, and replace it where it is wanted."""
        if process.dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._checker.findings.report("no process ends by itself", f"{process.name}: {error!r}")
        elif not process.stop.is_set():
            self._checker.findings.report("no process ends by itself", f"{process.name} came to its end")
        self._bury(process)
        self._loop.at(self._chance.uniform(0.5, 30), self._start, process.instance)

    def _bury(self, process: Process) -> None:
        consumers = [consumer for consumer in self._broker.consumers if consumer.process is process]
        process.kill()
        for consumer in consumers:
            if consumer in self._broker.consumers:
                self._broker.consumers.remove(consumer)
            consumer.group.silent(consumer.instance, consumer)
        self._intakes.pop(process.instance, None)
        if self.processes.get(process.instance) is process:
            del self.processes[process.instance]

    def end(self) -> None:
        """Stop everything, so that nothing of this run is left when the next begins."""
        for process in list(self.processes.values()):
            process.kill()

    # --- what strikes -------------------------------------------------------------------------------------------------

    def struck(self, kind: str, process: Process) -> None:
        """Let a fault take its effect."""
        if process.dead:
            return
        match kind:
            case "crash":
                self._bury(process)
                self._loop.at(self._chance.choice((1.0, 10.0, 90.0)) * self._chance.uniform(0.3, 1), self._start, process.instance)
            case "freeze" if not process.frozen:
                self._freeze(process)
            case "scale":
                self._scale(self._chance.choice(SERVICES), self._chance.choice(PROCESSES))
            case "deploy":
                self._versions[process.instance] = "2" if process.version == "1" else "1"
                self._stop(process)
            case "clock":
                process.skew = timedelta(seconds=self._chance.uniform(-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX))
                self._checker.sends.skewed = True
                self._wake(process)
            case "broker down":
                self._broker.log.go_down(self._chance.uniform(0.5, 60))

    def _stop(self, process: Process) -> None:
        """Tell a process to end in order, as SIGTERM does; in earnest its reads end within a second."""
        process.stop.set()
        self._wake(process)

    def _wake(self, process: Process) -> None:
        """Let the process's loops look around."""
        for consumer in self._broker.consumers:
            if consumer.process is process:
                consumer.look_around()

    def _freeze(self, process: Process) -> None:
        process.frozen = True
        for consumer in self._broker.consumers:
            if consumer.process is process:
                consumer.group.silent(consumer.instance, consumer)
        self._loop.at(self._chance.choice((2.0, 30.0, 150.0)) * self._chance.uniform(0.3, 1), self._thaw, process)

    def _thaw(self, process: Process) -> None:
        if not process.dead and process.frozen:
            process.thaw()

    def _scale(self, service: str, number: int) -> None:
        """Have so many processes of a service from now on."""
        self._wanted[service] = number
        for instance, process in list(self.processes.items()):
            if process.service == service and int(instance.rsplit("-", 1)[1]) > number:
                self._stop(process)
        for index in range(1, number + 1):
            self._start(f"{service}-{index}")

    def recover(self) -> None:
        """End what faults left: nobody is frozen, and the clocks are right."""
        for process in list(self.processes.values()):
            process.skew = timedelta(0)
            self._thaw(process)

    # --- ingest's clients ---------------------------------------------------------------------------------------------

    def post(self, delivery: Delivery, answer: asyncio.Future[int]) -> None:
        """Hand a webhook to some process of ingest; without one, nobody answers."""
        open_to = sorted(name for name in self._intakes if not self.processes[name].stop.is_set())
        if not open_to:
            return
        instance = self._chance.choice(open_to)
        posting = self._intakes[instance].post("/channels/whatsapp", delivery.body, delivery.headers, answer)
        self.processes[instance].spawn(posting)
