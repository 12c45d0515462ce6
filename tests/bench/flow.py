"""A steady flow of records into a topic, and a reader of what comes out: both in the benchmark's process, on one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from shared.engine.records import Publication
from shared.topics import Topic
from tests.bench.world import Place

TICK_SECONDS = 0.02
READ_MILLISECONDS = 200


@dataclass(slots=True)
class Flow:
    """Writes `per_second` publications a second, made by `make(number)`, until it is cancelled; never fewer because one write was slow.

    `written_at` says when each was acknowledged (seconds since 1970).
    """

    place: Place
    per_second: float
    make: Callable[[int], Publication]
    written_at: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Write until cancelled."""
        publisher = self.place.publisher("flow")
        started, number = time.monotonic(), 0
        try:
            while True:
                due = int((time.monotonic() - started) * self.per_second)
                if due > number:
                    await publisher.publish([self.make(one) for one in range(number, due)])
                    self.written_at.extend([time.time()] * (due - number))
                    number = due
                await asyncio.sleep(TICK_SECONDS)
        finally:
            await publisher.close()


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it came out: its partition, when its writer put it into a batch, when it was received (seconds since 1970)."""

    partition: int
    written_at: float
    received_at: float
    event: dict[str, Any]


@dataclass(slots=True)
class Reader:
    """Reads `topic` from its end on and keeps the events whose type ends with one of `types`, until it is cancelled."""

    place: Place
    topic: Topic
    types: tuple[str, ...]
    seen: list[Seen] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            self.place.prefix + self.topic.name, bootstrap_servers=self.place.bootstrap, auto_offset_reset="earliest"
        )
        async with consumer:
            self.started.set()
            while True:
                fetched = await consumer.getmany(timeout_ms=READ_MILLISECONDS)
                now = time.time()
                for partition, records in fetched.items():
                    for record in records:
                        event = orjson.loads(record.value)
                        if event["type"].endswith(self.types):
                            self.seen.append(Seen(partition.partition, record.timestamp / 1000, now, event))


@asynccontextmanager
async def running(*parts: Flow | Reader) -> AsyncIterator[None]:
    """Run `parts` until the context is left; raise what one of them died of."""
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception):
            raise result
