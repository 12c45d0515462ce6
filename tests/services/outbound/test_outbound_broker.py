"""The worker as a process on a real broker, killed in the middle of its work."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer

from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.events.envelope import Event
from shared.ids import new_id
from shared.topics import DELIVERIES, SENDS, dead_letters_of
from tests.services.outbound.outbound_values import requested, send

PARTITIONS = 3
THREADS = 50
SENDS_PER_THREAD = 8
PATIENCE_SECONDS = 90.0
ANSWER_SECONDS = 0.01


class Provider:
    """The channel's side: counts the requests of each send, in order."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        """Take a send, and take a moment for it."""
        send_id = (await request.read()).decode()
        self.requests.append(send_id)
        await asyncio.sleep(ANSWER_SECONDS)
        return web.json_response({"id": f"m-{send_id}"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Run the server; give its address."""
        app = web.Application()
        app.router.add_post("/", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return when `condition` holds; fail, saying what was waited for, after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def outbound(config: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run outbound as a process; whatever happens, it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.outbound.outbound_process", json.dumps(config), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def outcomes(bootstrap: str, prefix: str) -> AsyncIterator[list[Event[Any]]]:
    """Give a list into which every event of `deliveries` comes."""
    consumer = AIOKafkaConsumer(f"{prefix}{DELIVERIES.name}", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Event[Any]] = []

    async def read() -> None:
        async for message in consumer:
            found.append(DELIVERIES.decode(message.value))  # noqa: PERF401 # who waits sees each as it comes

    reading = asyncio.create_task(read())
    try:
        yield found
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()


@pytest.mark.broker
async def test_killed_twice_it_sends_everything_at_most_once_and_in_order(kafka_bootstrap: str, tmp_path: Path) -> None:
    """400 sends of 50 threads: each asked for once at most, each told, threads in order, unknown only what was under way."""
    prefix = f"o{new_id()[:8]}."
    await create_topics(kafka_bootstrap, prefix, (SENDS, DELIVERIES, dead_letters_of("outbound")), TopicLayout(PARTITIONS))
    names = [(f"paper:sales:c{thread}", f"t{thread:02}-{number}") for number in range(SENDS_PER_THREAD) for thread in range(THREADS)]
    publisher = KafkaPublisher(PublisherOptions(kafka_bootstrap, prefix, PARTITIONS, "test"))
    await publisher.publish([Publication(SENDS, thread, requested(send(name), thread).to_json()) for thread, name in names])
    provider = Provider()
    async with provider.running() as url, outcomes(kafka_bootstrap, prefix) as events:
        config = {
            "bootstrap": kafka_bootstrap,
            "prefix": prefix,
            "partitions": PARTITIONS,
            "instance": "0",
            "store": str(tmp_path / "outbound.db"),
            "url": url,
        }
        for kill_after in (60, 200):
            async with outbound(config) as process:
                await until(lambda kill_after=kill_after: len(provider.requests) >= kill_after, f"{kill_after} requests")  # type: ignore[misc] # the loop's value of now
                process.kill()
                await process.wait()
        async with outbound(config) as process:
            await until(lambda: len({event.data.send_id for event in events}) == len(names), "all outcomes")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    await publisher.close()
    _check(provider.requests, events, [name for _, name in names])


def _check(requests: list[str], events: list[Event[Any]], names: list[str]) -> None:
    """At most one request per send, one outcome per send, accepted means asked for, threads in order."""
    assert max(Counter(requests).values()) == 1
    kinds: dict[str, set[str]] = defaultdict(set)
    for event in events:
        kinds[event.data.send_id].add(event.type.split(".")[2])
    assert set(kinds) == set(names)
    assert all(len(kind) == 1 for kind in kinds.values())
    accepted = {name for name, kind in kinds.items() if kind == {"accepted"}}
    unknown = {name for name, kind in kinds.items() if kind == {"unknown"}}
    assert accepted | unknown == set(names)
    assert accepted <= set(requests)
    assert len(unknown) <= 2 * THREADS
    by_thread: dict[str, list[str]] = defaultdict(list)
    for name in requests:
        by_thread[name.split("-")[0]].append(name)
    assert all(asked == sorted(asked) for asked in by_thread.values())
