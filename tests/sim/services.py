"""The product's processes, put together as their own composition roots do, with the simulated world in place of network and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from services.bot.app import build_reducer as build_bot
from services.ingest.http import create_app
from services.outbound.app import Outbound
from services.outbound.sender import HttpAnswer
from services.outbound.settings import OutboundSettings
from services.router.app import build_reducers as build_router
from services.sla.app import build_reducer as build_sla
from shared.channels.contract import Channel, Channels, HttpRequest
from shared.channels.whatsapp.channel import WhatsApp
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre
from shared.engine.document import DocumentCodec, documents_of
from shared.engine.grouping import GroupingPublisher
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.reducer import Reducer
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.engine.worker import Worker
from shared.engine.worker_options import WorkerOptions
from shared.engine.worker_sleeper import ClockSleeper
from shared.metrics import Metrics
from shared.store.port import Store
from shared.topics import SENDS
from tests.sim.broker import Broker
from tests.sim.loop import Process
from tests.sim.vendor import SECRET, Vendor
from tests.sim.witness import Bookkeeping, WitnessReducer

CONFIG = Path(__file__).resolve().parents[2] / "config"
PARTITIONS = 4
RECORDS_MAX = 40
"""Records of one batch: below what a witness's trail holds."""
TIMERS_MAX = 3
DOCUMENTS_MAX = 12
"""Documents held in memory: so few that they are dropped and loaded again all day."""
IDLE_SECONDS = 3600.0


@dataclass(frozen=True)
class Rules:
    """The contact centre of config/, its channel and its reducers by service, built once: they hold no state."""

    centre: ContactCentre
    channel: Channel
    reducers: dict[str, tuple[Reducer[Any], ...]]


@cache
def rules() -> Rules:
    """Return the rules."""
    centre = load_contact_centre(CONFIG)
    channel = WhatsApp(WhatsAppSettings(app_secret=SecretStr(SECRET), access_token=SecretStr("token"), verify_token=SecretStr("token")))
    reducers: dict[str, tuple[Reducer[Any], ...]] = {
        "router": build_router(centre, channel_classes={channel.name: channel.policy.channel_class}),
        "bot": (build_bot(centre),),
        "sla": (build_sla(centre, {channel.name: channel.policy}),),
    }
    return Rules(centre, channel, reducers)


@dataclass(frozen=True)
class Surroundings:
    """What a process finds: the broker, its service's store, the vendor, metrics, and the witnesses' bookkeeping."""

    broker: Broker
    store: Callable[[Process], Store]
    vendor: Vendor
    metrics: Metrics
    bookkeeping: Bookkeeping


def _loop_options(process: Process) -> LoopOptions:
    """Return the loops' own bounds; only what costs steps while nothing happens is longer, and what is cached smaller."""
    return LoopOptions(
        bootstrap_servers="simulated",
        topic_prefix="",
        partitions=PARTITIONS,
        instance=process.instance,
        records_max=RECORDS_MAX,
        documents_cached_max=DOCUMENTS_MAX,
        timers_per_batch_max=TIMERS_MAX,
        idle_wait_milliseconds=int(IDLE_SECONDS * 1000),
        read_timeout_seconds=IDLE_SECONDS * 2,
    )


def _publisher(process: Process, purpose: str) -> KafkaPublisher:
    return KafkaPublisher(PublisherOptions("simulated", "", PARTITIONS, f"{purpose}-{process.instance}"))


async def run_reducers(process: Process, around: Surroundings, reducers: Sequence[Reducer[Any]]) -> None:
    """Run a service that is made of reducers until its process is told to stop."""
    store = around.store(process)
    async with asyncio.TaskGroup() as group:
        for reducer in reducers:
            group.create_task(_run_reducer(process, around, reducer, store))


async def _run_reducer(process: Process, around: Surroundings, reducer: Reducer[Any], store: Store) -> None:
    """Run one reducer with a publisher of its own."""
    witness = WitnessReducer(reducer, version=process.version, bookkeeping=around.bookkeeping)
    collection = await store.open(documents_of(reducer.name))
    publisher = _publisher(process, reducer.name)
    loop: ReducerLoop[Any] = ReducerLoop(
        Engine(witness, partitions=PARTITIONS, version=process.version),
        collection,
        publisher,
        options=_loop_options(process),
        clock=process,
        metrics=around.metrics,
        status=LoopStatus(),
    )
    try:
        await loop.run(process.stop)
    finally:
        await publisher.close()


class _Transport:
    """Requests of one process to the vendor."""

    def __init__(self, process: Process, vendor: Vendor) -> None:
        self._process = process
        self._vendor = vendor

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Make the request once."""
        return await self._vendor.send(self._process, request)


@cache
def _outbound_settings() -> OutboundSettings:
    """Return the product's own settings, read once."""
    return OutboundSettings()


@cache
def codec_of(state: type[BaseModel]) -> DocumentCodec[Any]:
    """Return the codec of a state, built once: it holds nothing, and a process that starts would build its own for milliseconds."""
    return DocumentCodec(state)


async def run_outbound(process: Process, around: Surroundings) -> None:
    """Run outbound's worker until its process is told to stop."""
    kafka = _publisher(process, "outbound")
    handler = Outbound(
        channels=Channels({rules().channel.name: rules().channel}),
        store=around.store(process),
        publisher=GroupingPublisher(kafka),
        transport=_Transport(process, around.vendor),
        clock=process,
        sleeper=ClockSleeper(process),
        settings=_outbound_settings(),
        metrics=around.metrics,
        instance=process.instance,
        version=process.version,
        partitions=PARTITIONS,
    )
    options = WorkerOptions(_loop_options(process), poll_seconds=IDLE_SECONDS, poll_timeout_seconds=IDLE_SECONDS * 2)
    worker = Worker(
        handler,
        (SENDS,),
        options=options,
        clock=process,
        metrics=around.metrics,
        status=LoopStatus(),
        consumer=lambda: around.broker.consumer(group_id="outbound", group_instance_id=f"outbound-{process.instance}"),
    )
    await handler.open()
    housekeeping = asyncio.create_task(handler.housekeep())
    try:
        await worker.run(process.stop)
    finally:
        housekeeping.cancel()
        await asyncio.wait({housekeeping})
        await handler.close()
        await kafka.close()


class _Uncounted:
    """Counts nothing: the simulation has its own books."""

    def answered(self, channel: str, status: int, seconds: float) -> None:
        """Ignore one answer."""

    def taken_in(self, channel: str, counts: object) -> None:
        """Ignore one webhook's items."""


class Intake:
    """One ingest process: the product's ASGI application, called as its server would."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kafka = _publisher(process, "ingest")
        self._app = create_app(
            channels=Channels({rules().channel.name: rules().channel}),
            accounts=frozenset(rules().centre.accounts),
            publish=GroupingPublisher(self._kafka).publish,
            clock=process,
            metrics=_Uncounted(),
        )

    async def post(self, path: str, body: bytes, headers: dict[str, str], answer: asyncio.Future[int]) -> None:
        """Answer one webhook; `answer` is the client's."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start" and not answer.done():
                answer.set_result(message["status"])

        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "headers": lines, "query_string": b"", "path_params": {}}
        await self._app(scope, receive, send)

    async def run(self) -> None:
        """Wait for the end; then finish what is being taken in, as the server's grace allows."""
        await self._process.stop.wait()
        await asyncio.sleep(2)
        await self._kafka.close()
