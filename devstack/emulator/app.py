"""The composition root: builds the emulator and serves it on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from devstack.emulator.clock import EmulatorClock
from devstack.emulator.control import SharedControl
from devstack.emulator.control_http import control_errors
from devstack.emulator.journal import Journal
from devstack.emulator.settings import EmulatorSettings
from devstack.emulator.webhooks import WebhookSender
from devstack.emulator.whatsapp.control import WhatsAppControl
from devstack.emulator.whatsapp.server import REQUEST_BYTES_MAX, GraphServer
from devstack.emulator.whatsapp.world import World

SHUTDOWN_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """An emulator that serves. `url` is the base of the vendor's API, `url`/control that of the control interface."""

    url: str
    port: int
    world: World
    journal: Journal
    clock: EmulatorClock


@asynccontextmanager
async def running(settings: EmulatorSettings, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[RunningEmulator]:
    """Serve on `host`:`port` (0: a free one) until the block ends; then everything on its way is dropped.

    Raises:
        OSError: The port is taken.
    """
    clock = EmulatorClock(timedelta(seconds=settings.clock_offset_seconds))
    journal = Journal(clock, settings.log_entries_max)
    sender = WebhookSender(settings.delivery, journal)
    world = World(settings.whatsapp, clock, journal, sender)
    application = web.Application(middlewares=[control_errors], client_max_size=REQUEST_BYTES_MAX)
    application.add_routes(SharedControl(clock, journal, lambda: world.pending).routes())
    application.add_routes(WhatsAppControl(world).routes())
    application.add_routes(GraphServer(world).routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS_MAX)
    await runner.setup()
    try:
        sender.open()
        await web.TCPSite(runner, host, port).start()
        bound_port: int = runner.addresses[0][1]
        world.base_url = f"http://{host}:{bound_port}"
        yield RunningEmulator(world.base_url, bound_port, world, journal, clock)
    finally:
        await sender.close()
        await runner.cleanup()
