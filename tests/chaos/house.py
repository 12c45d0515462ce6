"""The house that faults come over: real processes behind proxies, a provider that keeps at it, agents, and everybody's counts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from aiokafka.errors import KafkaError

from devstack.emulator.client import EmulatorClient, WaitTimeoutError, connect
from devstack.faults.proxy import FaultProxy
from devstack.load.house import DEPARTMENTS, EMULATOR, QUESTIONS
from devstack.load.house import House as LoadHouse
from devstack.load.provider import Provider
from devstack.load.requests import Script
from devstack.mongo import EmbeddedMongo
from devstack.ports import free_port
from devstack.stack import EMULATED_CHANNEL, FIRST_INSTANCE, READERS, Stack, StackOptions, running_stack
from shared.engine.follower import Follower
from shared.engine.grouping import GroupingPublisher
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.topic_admin import TopicLayout
from shared.topics import all_topics
from tests.chaos.desk import ClosingDesk, PatientDay
from tests.chaos.edges import Edge, Edges, broker_behind_edges, broker_of
from tests.chaos.gauges import Gauges
from tests.chaos.records import Records

ROOT = Path(__file__).resolve().parents[2]
IN_SYNC_MIN = 2
"""`min.insync.replicas` where there are several brokers, of two replicas: without one of them a partition takes no writes."""
SESSION_SECONDS = 6.0
"""How long the broker waits for a silent process here: the shortest that the services take, so that faults need not last."""
CUSTOMERS = 240
"""Customers per load; they write in turn, each again and again."""
PERSON_WANTED = "Labdien, es vēlos runāt ar cilvēku, lūdzu"
FREEZE_RETRY_SECONDS = 0.2
RESTART_SECONDS_MAX = 60.0
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
ENVIRONMENT = {
    "PARLEY_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
    "PARLEY_WHATSAPP_SENDS_PER_SECOND": "1000",
    "PARLEY_WHATSAPP_PAIR_INTERVAL_SECONDS": "0",
    "PARLEY_OUTBOUND_REQUEST_TIMEOUT_SECONDS": "4",
    "PARLEY_OUTBOUND_CLAIM_MARGIN_SECONDS": "4",
    "PARLEY_OUTBOUND_CONNECT_TIMEOUT_SECONDS": "2",
    "PARLEY_TRACE_SAMPLE_RATIO": "0",
}
DELIVERY = {"delivery": {"retry_delays_seconds": [0, 0.2, 0.5, 1, 1, 2, 2, 5], "post_timeout_seconds": 5}}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What kind of house a fault needs: how many brokers, and whether the store is the stand-in for MongoDB behind a proxy."""

    brokers: int = 1
    mongo: bool = False


@dataclass(slots=True)
class House:
    """A running house. `secret_texts` are what must never be in a log; `emulator_posted` are messages that the emulator posted."""

    stack: Stack
    emulator: EmulatorClient
    edges: Edges
    day: PatientDay
    records: Records
    gauges: Gauges
    provider: Provider
    load: LoadHouse
    kafka: Any
    surroundings: Surroundings
    overrides: dict[str, dict[str, str]] = field(default_factory=dict)
    sabotaged: set[str] = field(default_factory=set)
    restarts: list[tuple[float, str, int]] = field(default_factory=list)
    emulator_posted: set[str] = field(default_factory=set)
    dead_letters_expected: int = 0
    sends_at_channel: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    mongo: EmbeddedMongo | None = None
    _log_read: int = 0

    # --- load -----------------------------------------------------------------------------------------------------

    async def start_load(self, per_second: float, *, customers: int = CUSTOMERS, script: Script | None = None) -> Script:
        """Let customers that nobody has seen write from now on."""
        chosen = script or await self.new_customers(customers)
        self.provider.start(chosen, per_second)
        return chosen

    async def new_customers(self, customers: int) -> Script:
        """Introduce customers to the channel's side."""
        made = self.load.script(customers * 3, "chaos")
        lines = tuple((*texts, PERSON_WANTED) if number == 2 else texts for number, texts in enumerate(QUESTIONS))  # Latvian
        script = replace(made, texts=lines)
        await self.load.introduce(script)
        return script

    # --- waiting --------------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], seconds_max: float) -> bool:
        """Wait for facts on the topics: return whether `holds` does before the time is up."""
        deadline = time.monotonic() + seconds_max
        while not holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def until_appended(self, messages: int, seconds_max: float) -> bool:
        """Wait until so many more customers' messages are appended than are now."""
        wanted = self.appended + messages
        return await self.until(lambda: self.appended >= wanted, seconds_max)

    @property
    def appended(self) -> int:
        """Return how many messages are appended."""
        return self.records.board.kinds["message.appended"]

    # --- processes ------------------------------------------------------------------------------------------------

    async def restart(
        self,
        service: str,
        *,
        sabotaged: bool = False,
        instance: str = FIRST_INSTANCE,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Stop a service's process and start it with another environment, perhaps with a saboteur in it; wait until it is ready."""
        name = service if instance == FIRST_INSTANCE else f"{service}-{instance}"
        if name in self.stack.children:
            await self.stack.stop_service(name)
        return await self.start(service, sabotaged=sabotaged, instance=instance, environment=environment)

    async def start(
        self,
        service: str,
        *,
        sabotaged: bool = False,
        instance: str = FIRST_INSTANCE,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Start another process of a service and wait until it is ready."""
        self.overrides[service] = dict(environment)
        (self.sabotaged.add if sabotaged else self.sabotaged.discard)(service)
        name = await self.stack.start_service(service, instance=instance)
        await self.stack.wait_until_ready([name])
        return name

    async def until_restarted(self, process: str) -> None:
        """Wait until a process that was killed runs again and is ready."""
        await self.until(lambda: self.stack.children[process].pid is not None, RESTART_SECONDS_MAX)
        await self.stack.wait_until_ready([process])

    def restarts_since(self, moment: float, service: str = "") -> int:
        """Return how often processes (of a service) ended by themselves since `moment` (seconds since 1970)."""
        return sum(at >= moment and name.startswith(service) for at, name, _ in self.restarts)

    def log_of(self, process: str) -> str:
        """Return what a process wrote."""
        return (self.stack.options.directory / f"{process}.log").read_text(encoding="utf-8", errors="replace")

    # --- the channel's side -----------------------------------------------------------------------------------------

    async def read_channel(self) -> None:
        """Take note of what the channel's side did with sends since the last look."""
        while True:
            page = await self.emulator.log(self._log_read, kind="send")
            for entry in page["entries"]:
                if entry.get("send_id"):
                    # What goes along is ours: a mark, the customer, the send.
                    self.sends_at_channel[entry["send_id"].rsplit("|", 1)[-1]][entry["outcome"]] += 1
            self._log_read = page["cursor"]
            if not page["entries"]:
                return

    async def quiet(self, seconds_max: float) -> bool:
        """Wait until the channel's side has nothing more to tell; return whether that is so."""
        try:
            await self.emulator.wait_until_quiet(within_seconds=seconds_max)
        except WaitTimeoutError:
            return False
        return True

    async def emulator_writes(self, customer: str, account: str, content: str, **options: Any) -> str:
        """Let the channel's side itself post a customer's message; return its native id."""
        message: str = (await self.emulator.send(customer, account, content, **options))["id"]
        self.emulator_posted.add(message)
        return message

    def account(self, number: int = 0) -> str:
        """Return the number of a department where the bot answers."""
        return self.day.account_of(DEPARTMENTS[number % len(DEPARTMENTS)])


@asynccontextmanager
async def open_house(
    directory: Path, surroundings: Surroundings | None = None, *, on_step: Callable[[str], None] = lambda _step: None
) -> AsyncIterator[House]:
    """Start everything, hand it over when every service is ready, and stop it all."""
    needs = surroundings or Surroundings()
    async with AsyncExitStack() as exits:
        edges, restarts = Edges(), []
        overrides: dict[str, dict[str, str]] = {}
        sabotaged: set[str] = set()
        kafka = broker_of(directory / "kafka", needs.brokers)
        mongo = await _open_mongo(directory, edges, exits) if needs.mongo else None
        emulator_port = free_port()
        channel = await exits.enter_async_context(FaultProxy(target_port=emulator_port))
        edges.channel = Edge([channel])

        def environment_of(service: str) -> Mapping[str, str]:
            store = {"MONGODB_URI": f"mongodb://127.0.0.1:{edges.store.proxies[0].port}/"} if mongo else {"MONGODB_URI": ""}
            return {
                "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers_of(service),
                "PARLEY_WHATSAPP_API_BASE_URL": f"http://127.0.0.1:{channel.port}",
                **store,
                **overrides.get(service, {}),
            }

        options = StackOptions(
            directory=directory,
            config_directory=ROOT / "config",
            environment=ENVIRONMENT,
            emulator={**EMULATOR, **DELIVERY},
            emulator_port=emulator_port,
            layout=TopicLayout(6, replicas=2, in_sync_min=IN_SYNC_MIN) if needs.brokers > 1 else None,
            broker=lambda _directory: broker_behind_edges(kafka, edges),
            environment_of=environment_of,
            command_of=lambda service: _command(service, sabotaged),
            on_step=on_step,
            on_restart=lambda name, code: restarts.append((time.time(), name, code)),
        )
        stack = await exits.enter_async_context(running_stack(options))
        emulator = await exits.enter_async_context(connect(stack.emulator_url))
        follower = await exits.enter_async_context(Follower(stack.bootstrap_servers, stack.topic_prefix, all_topics(READERS)))
        publisher = KafkaPublisher(PublisherOptions(stack.bootstrap_servers, stack.topic_prefix, options.partitions, "chaos"))
        exits.push_async_callback(publisher.close)
        day = PatientDay(stack, emulator, follower, GroupingPublisher(publisher))  # type: ignore[arg-type] # many agents share one
        gauges = Gauges(stack, await exits.enter_async_context(aiohttp.ClientSession()))
        url = f"{stack.ingest_url}/channels/{EMULATED_CHANNEL}"
        provider = await exits.enter_async_context(Provider(url, stack.secrets["app_secret"]))
        house = House(
            stack, emulator, edges, day, Records(day.board), gauges, provider, LoadHouse(stack, emulator), kafka, needs,
            overrides, sabotaged, restarts, mongo=mongo,
        )  # fmt: skip # one line per part would be a page
        for work in (_follow(house), gauges.sample_for_ever()):
            task = asyncio.create_task(work)
            exits.push_async_callback(_end, task)
        exits.callback(edges.heal)  # what stops must reach the broker
        desk = ClosingDesk(day)
        await desk.open()
        yield house
        if desk.failures:
            raise desk.failures[0]


def _command(service: str, sabotaged: set[str]) -> tuple[str, ...]:
    """Return how a service's process is started."""
    return (
        (sys.executable, "-m", "tests.chaos.saboteur", service) if service in sabotaged else (sys.executable, "-m", f"services.{service}")
    )


async def _open_mongo(directory: Path, edges: Edges, exits: AsyncExitStack) -> EmbeddedMongo:
    """Start the stand-in for MongoDB and its proxy."""
    mongo = EmbeddedMongo(directory / "mongo")
    await asyncio.to_thread(mongo.start)
    exits.push_async_callback(asyncio.to_thread, mongo.stop)
    port = int(mongo.uri.rstrip("/").rsplit(":", 1)[1])
    edges.store = Edge([await exits.enter_async_context(FaultProxy(target_port=port))])
    return mongo


async def _follow(house: House) -> None:
    """Read the topics, and tell whoever listens; a broker that is away is waited for."""
    while True:
        try:
            read = await house.day.follower.read()
        except KafkaError:
            await asyncio.sleep(FREEZE_RETRY_SECONDS)
            continue
        for event in [event for seen in read if (event := house.records.take(seen)) is not None]:
            for callback in house.day.on_event:
                callback(event)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task; raise what it failed with."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
