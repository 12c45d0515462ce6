"""How a service runs: settings, logs, health, store, loops, and an orderly end. The one composition root of the reducers' services."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import structlog

from shared.clock import Clock, SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre
from shared.engine.closed_connections import mind_closed_connections
from shared.engine.document import documents_of
from shared.engine.installation import check_store, wait_for_topics
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.publisher import LAGGARDS_SECONDS, KafkaPublisher, PublisherOptions
from shared.engine.reducer import Reducer
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.errors import ParleyError
from shared.health import HealthServer, Heartbeat, Probe
from shared.logs import configure_logs
from shared.metrics import Metrics
from shared.settings import ServiceSettings
from shared.store.open import open_store
from shared.store.port import Store
from shared.tracing import configure_tracing

GARBAGE_THRESHOLD = 50_000
"""New objects between two looks for cycles. Documents are many and have none: the default looks through all of them for nothing."""
EXIT_MISCONFIGURED = 78
"""The exit code of a service that cannot start as it is configured (EX_CONFIG): starting it again would not help."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Surroundings:
    """What a running service has around it."""

    name: str
    settings: ServiceSettings
    clock: Clock
    metrics: Metrics
    stop: asyncio.Event
    statuses: list[LoopStatus] = field(default_factory=list)

    def ready(self) -> Probe:
        """Return whether every loop has an assignment and none has stopped."""
        if not self.statuses:
            return Probe(well=False, explanation="starting")
        for status in self.statuses:
            if status.stopped is not None:
                return Probe(well=False, explanation=status.stopped)
            if not status.ready:
                return Probe(well=False, explanation="waiting for an assignment")
        return Probe(well=True)

    def loop_options(self) -> LoopOptions:
        """Return the bounds of a loop under these settings."""
        settings = self.settings
        return LoopOptions(
            bootstrap_servers=settings.kafka,
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
            instance=settings.instance,
            records_max=settings.records_max,
            documents_cached_max=settings.documents_cached_max,
            dead_letters_per_minute_max=settings.dead_letters_per_minute_max,
            session_timeout_milliseconds=int(settings.session_timeout_seconds * 1000),
            store_timeout_seconds=settings.store_timeout_seconds,
            fetch_wait_milliseconds=settings.fetch_wait_milliseconds,
        )

    def publisher(
        self, purpose: str, *, timeout_seconds: float | None = None, laggards_seconds: float = LAGGARDS_SECONDS
    ) -> KafkaPublisher:
        """Return a publisher of its own for `purpose`; its time-out is that of the settings where none is given."""
        settings = self.settings
        return KafkaPublisher(
            PublisherOptions(
                bootstrap_servers=settings.kafka,
                topic_prefix=settings.topic_prefix,
                partitions=settings.partitions,
                client_id=f"{purpose}-{settings.instance}",
                timeout_seconds=timeout_seconds or settings.publish_timeout_seconds,
                laggards_seconds=laggards_seconds,
            )
        )


@asynccontextmanager
async def surroundings(name: str, settings: ServiceSettings) -> AsyncIterator[Surroundings]:
    """Give a service its logs, its probes and a stop event that SIGTERM and SIGINT set; take them down in the end."""
    configure_logs(level=settings.log_level, style=settings.log_format, service=name)
    tracing = configure_tracing(name, settings.otlp_endpoint)
    clock, metrics, stop = SystemClock(skew=timedelta(seconds=settings.clock_skew_seconds)), Metrics(), asyncio.Event()
    around = Surroundings(name, settings, clock, metrics, stop)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heartbeat = Heartbeat(clock, metrics)
    beating = asyncio.create_task(heartbeat.run())
    health = HealthServer(settings.health_host, settings.health_port, live=heartbeat.live, ready=around.ready, metrics=metrics)
    health.start()
    logger.info("service.started", version=version("parley"), health_port=health.port, instance=settings.instance)
    if settings.clock_skew_seconds:
        logger.warning("clock.skewed", seconds=settings.clock_skew_seconds, setting="PARLEY_CLOCK_SKEW_SECONDS")
    try:
        yield around
    finally:
        beating.cancel()
        health.stop()
        if tracing is not None:
            tracing.shutdown()
        logger.info("service.stopped")


def run_service(name: str, serve: Callable[[], Awaitable[None]]) -> None:
    """Run a service's coroutine to its end; a misconfiguration is one line and EXIT_MISCONFIGURED, not a traceback."""
    collect_garbage_rarely()
    mind_closed_connections()
    try:
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(_as_coroutine(serve))
    except ParleyError as error:
        sys.stderr.write(f"{name}: {error}\n")
        raise SystemExit(EXIT_MISCONFIGURED) from None


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, which halves the cost of a small batch; None for asyncio's own, where there is no uvloop."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 # not made for Windows

    return uvloop.new_event_loop


def collect_garbage_rarely() -> None:
    """Leave what was imported out of the garbage collection, and look for cycles less often."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)


async def _as_coroutine(serve: Callable[[], Awaitable[None]]) -> None:
    await serve()


async def serve_reducers(name: str, settings: ServiceSettings, build: Callable[[ContactCentre], Sequence[Reducer[Any]]]) -> None:
    """Run a service that is made of reducers until it is told to stop."""
    centre = load_contact_centre(settings.config_directory)
    async with surroundings(name, settings) as around:
        store = open_store(name, mongodb_uri=settings.mongodb_uri, directory=settings.data_directory)
        try:
            reducers = build(centre)
            inputs = {topic for reducer in reducers for topic in reducer.inputs}
            found = await wait_for_topics(settings.kafka, settings.topic_prefix, inputs, partitions=settings.partitions, stop=around.stop)
            if found is None:
                return
            for reducer in reducers:
                await check_store(store, reducer.name, found)
            around.statuses = [LoopStatus() for _ in reducers]
            async with asyncio.TaskGroup() as group:
                for reducer, status in zip(reducers, around.statuses, strict=True):
                    group.create_task(_run_reducer(reducer, store, around, status))
        finally:
            await store.close()


async def _run_reducer(reducer: Reducer[Any], store: Store, around: Surroundings, status: LoopStatus) -> None:
    """Run one reducer with a publisher of its own."""
    collection = await store.open(documents_of(reducer.name))
    publisher = around.publisher(reducer.name)
    loop: ReducerLoop[Any] = ReducerLoop(
        Engine(reducer, partitions=around.settings.partitions, version=version("parley")),
        collection,
        publisher,
        options=around.loop_options(),
        clock=around.clock,
        metrics=around.metrics,
        status=status,
    )
    try:
        await loop.run(around.stop)
    finally:
        await publisher.close()
