"""Outbound as a process: the worker on Kafka, its ledger in the store, one HTTP client for all channels."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from services.outbound.app import Outbound
from services.outbound.sender import HttpTransport
from services.outbound.settings import OutboundSettings
from shared.channels.contract import Channels
from shared.channels.discover import discover
from shared.contact_centre.loader import load_contact_centre
from shared.engine.grouping import GroupingPublisher
from shared.engine.installation import check_store, wait_for_topics
from shared.engine.status import LoopStatus
from shared.engine.worker import Worker
from shared.engine.worker_options import WorkerOptions
from shared.engine.worker_sleeper import ClockSleeper
from shared.errors import ConfigurationError
from shared.running import Surroundings, run_service, surroundings
from shared.settings import ServiceSettings
from shared.store.open import open_store
from shared.store.port import Store
from shared.topics import DELIVERIES, SENDS


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("outbound", lambda: serve(ServiceSettings(), OutboundSettings()))


async def serve(settings: ServiceSettings, outbound: OutboundSettings) -> None:
    """Send until told to stop; then finish the requests that are under way."""
    centre = load_contact_centre(settings.config_directory)
    channels = discover({key.split(":", 1)[0] for key in centre.accounts})
    _require_secrets(channels)
    async with surroundings("outbound", settings) as around:
        store = open_store("outbound", mongodb_uri=settings.mongodb_uri, directory=settings.data_directory)
        try:
            found = await wait_for_topics(
                settings.kafka,
                settings.topic_prefix,
                (SENDS, DELIVERIES),
                partitions=settings.partitions,
                stop=around.stop,
            )
            if found is None:
                return
            await check_store(store, "outbound", found)
            await _work(around, store, channels, outbound)
        finally:
            await store.close()


async def _work(around: Surroundings, store: Store, channels: Channels, outbound: OutboundSettings) -> None:
    """Put the parts together and run them."""
    settings = around.settings
    transport = HttpTransport(
        connect_timeout_seconds=outbound.connect_timeout_seconds,
        request_timeout_seconds=outbound.request_timeout_seconds,
        connections_max=outbound.connections_max,
    )
    kafka = around.publisher("outbound")
    handler = Outbound(
        channels=channels,
        store=store,
        publisher=GroupingPublisher(kafka),
        transport=transport,
        clock=around.clock,
        sleeper=ClockSleeper(around.clock),
        settings=outbound,
        metrics=around.metrics,
        instance=settings.instance,
        version=version("parley"),
        partitions=settings.partitions,
        store_timeout_seconds=settings.store_timeout_seconds,
        dead_letters_per_minute_max=settings.dead_letters_per_minute_max,
    )
    status = LoopStatus()
    around.statuses.append(status)
    worker = Worker(
        handler, (SENDS,), options=WorkerOptions(around.loop_options()), clock=around.clock, metrics=around.metrics, status=status
    )
    await transport.open()
    await handler.open()
    housekeeping = asyncio.create_task(handler.housekeep())
    try:
        await worker.run(around.stop)
    finally:
        housekeeping.cancel()
        await asyncio.wait({housekeeping})
        await handler.close()
        await kafka.close()
        await transport.close()


def _require_secrets(channels: Channels) -> None:
    """Refuse to start without what the channels' APIs ask for."""
    missing = [name for channel in channels.by_name.values() for name in channel.missing("outbound")]
    if missing:
        raise ConfigurationError(f"set {', '.join(missing)}: without them nothing can be sent")
