"""`parley simulate` from end to end: build, play, drain, reconcile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from cli.output import note, working
from cli.simulation.channel import SimulatedChannel, SimulatedSide
from cli.simulation.customers import Customers
from cli.simulation.desk import Desk
from cli.simulation.report import Day, report
from cli.simulation.world import World
from devstack.demo.board import Board
from services.bot.app import build_reducer as build_bot
from services.ingest.core import Webhook, accept
from services.outbound.app import Outbound
from services.outbound.settings import OutboundSettings
from services.router.app import build_reducers as build_router
from services.sla.app import build_reducer as build_sla
from shared.channels.contract import Channels, Item
from shared.channels.discover import discover
from shared.clock import ManualClock, SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.local import LocalShell
from shared.engine.records import Publication
from shared.engine.worker_local import LocalWorker
from shared.engine.worker_sleeper import ManualSleeper
from shared.store.memory import MemoryStore
from shared.topics import SENDS

PARTITIONS = 2
STEP = timedelta(hours=1)
"""How much simulated time passes between two looks at the progress."""
DRAIN = timedelta(days=4)
"""How long after the last customer everything may take to come to its end: forgotten answers, weekends, statuses."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is played. `start` is UTC."""

    days: int
    customers_per_day: int
    seed: int
    start: datetime
    config: Path


def play(script: Script) -> bool:
    """Play, print the result; return whether every count reconciles. How fast it went is a note: it is not the same every time."""
    clock = SystemClock()
    began = clock.monotonic_seconds()
    day = asyncio.run(play_days(script))
    seconds = clock.monotonic_seconds() - began
    well = report(day)
    simulated = day.until - day.start
    note(f"{simulated.days} days in {seconds:.1f} s: {simulated.total_seconds() / seconds:,.0f} times as fast as the clock")
    return well


async def play_days(script: Script) -> Day:
    """Play all days and what follows from them; return what they came to. Raises ConfigurationError."""
    start = script.start.replace(tzinfo=UTC)
    async with _stage(script, start) as stage:
        await stage.desk.open()
        with working("Simulating", total=script.days * (timedelta(days=1) / STEP)) as step:
            for number in range(script.days):
                stage.customers.plan_day(start + timedelta(days=number), script.customers_per_day)
                for _ in range(int(timedelta(days=1) / STEP)):
                    await stage.shell.advance(STEP)
                    step.advance()
        drained = timedelta(0)
        while not stage.world.idle and drained < DRAIN:
            await stage.shell.advance(STEP)
            drained += STEP
        counts = stage.customers.counts + stage.side.counts
        return Day(script.days, script.seed, start, stage.world.now(), stage.board, counts, tuple(stage.shell.dead_letters(stage.readers)))


@dataclass(slots=True)
class Stage:
    """Everything that plays."""

    shell: LocalShell
    world: World
    customers: Customers
    desk: Desk
    side: SimulatedSide
    board: Board
    readers: tuple[str, ...]


@asynccontextmanager
async def _stage(script: Script, start: datetime) -> AsyncIterator[Stage]:
    """Build the services on the local shell, and the people around them. Raises ConfigurationError."""
    centre = load_contact_centre(script.config)
    channels = Channels(
        {name: SimulatedChannel(real) for name, real in discover({key.split(":", 1)[0] for key in centre.accounts}).by_name.items()}
    )
    clock, store = ManualClock(start), MemoryStore()
    shell = LocalShell(clock=clock, store=store, partitions=PARTITIONS)
    policies = {name: channel.policy for name, channel in channels.by_name.items()}
    reducers = (*build_router(centre), build_bot(centre), build_sla(centre, policies))
    for reducer in reducers:
        await shell.add_reducer(reducer)
    world, sleeper, board = World(clock, shell.log), ManualSleeper(clock), Board()

    async def take_in(channel: str, items: list[Item]) -> None:
        intake = accept(items, Webhook(channel, world.now()), centre.accounts)
        await shell.log.publish([Publication(record.topic, record.key, record.value) for record in intake.records])

    side = SimulatedSide(world, Random(f"{script.seed} side"), sleeper, take_in)
    customers = Customers(world, Random(f"{script.seed} customers"), centre, take_in)
    desk = Desk(world, Random(f"{script.seed} desk"), centre)
    outbound = Outbound(
        channels=channels,
        store=store,
        publisher=shell.log,
        transport=side,
        clock=clock,
        sleeper=sleeper,
        settings=OutboundSettings(ledger_linger_seconds=0),
        metrics=shell.metrics,
        instance="simulation",
        version="simulation",
        partitions=PARTITIONS,
    )
    await outbound.open()
    worker = LocalWorker(outbound, (SENDS,), shell.log, clock=clock, sleeper=sleeper)
    shell.add(worker)
    shell.add(world)
    for listener in (board.take, customers.hear, desk.hear):
        world.listen(listener)
    try:
        yield Stage(shell, world, customers, desk, side, board, (*(reducer.name for reducer in reducers), outbound.name))
    finally:
        await worker.close()
        await outbound.close()
