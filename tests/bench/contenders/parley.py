"""Ours: the router's conversation reducer on the engine, with the SQLite store."""

from __future__ import annotations

import asyncio
from typing import Any

from services.router.app import build_reducers
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import documents_of
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.metrics import Metrics
from shared.store.sqlite import SqliteStore
from tests.bench.contenders.contest import FIRST_BATCH_SHARE_MAX, Contest, Stopwatch
from tests.bench.world import CONFIG, until


async def run(contest: Contest) -> None:
    """Work the backlog off; measured from the end of the first batch on, unless that was a large part of it."""
    reducer = build_reducers(load_contact_centre(CONFIG))[0]
    store = SqliteStore(contest.path / "parley.sqlite3")
    metrics, stop = Metrics(), asyncio.Event()
    publisher = KafkaPublisher(PublisherOptions(contest.bootstrap, contest.prefix, contest.partitions, "out"))
    loop: ReducerLoop[Any] = ReducerLoop(
        Engine(reducer, partitions=contest.partitions, version="bench"),
        await store.open(documents_of(reducer.name)),
        publisher,
        options=LoopOptions(contest.bootstrap, contest.prefix, contest.partitions, instance="0"),
        clock=SystemClock(),
        metrics=metrics,
        status=LoopStatus(),
    )
    decided = metrics.decided.labels(reducer.name)._value  # the registry's own accessor walks all metrics
    first, watch = 0.0, Stopwatch()
    running = asyncio.create_task(loop.run(stop))
    await until(lambda: decided.get() > 0 or running.done())
    if decided.get() <= contest.events * FIRST_BATCH_SHARE_MAX:
        first, watch = decided.get(), Stopwatch()
    await until(lambda: decided.get() >= contest.events or running.done())
    watch.tell(decided.get() - first)
    stop.set()
    await running
    await publisher.close()
    await store.close()
