"""What tests of the loop share on a real broker: topics of their own, a writer, a reader, and loops in this process or in others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.clock import SystemClock
from shared.engine.connection import Servers, client_options
from shared.engine.document import documents_of
from shared.engine.follower import Follower
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication, Record
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.events.envelope import Event
from shared.ids import new_id
from shared.metrics import Metrics
from shared.store.port import Collection
from shared.store.sqlite import SqliteStore
from shared.topics import COMMANDS, CONVERSATIONS, DELIVERIES, WORK, Topic, dead_letters_of
from tests.shared.engine.counting import Count
from tests.shared.engine.witness import Asked, Witness, judge

PARTITIONS = 3
PATIENCE_SECONDS = 90.0
SESSION_MILLISECONDS = 6_000
"""The shortest session that a broker takes by default."""
LETTERS = dead_letters_of(Witness.name)
TOPICS = (COMMANDS, DELIVERIES, CONVERSATIONS, WORK, LETTERS)
KEYS = [f"paper:1:{number}" for number in range(12)]


@dataclass
class Place:
    """Topics of one test on a broker, and the store that goes with them."""

    bootstrap: Servers
    directory: Path
    prefix: str = field(default_factory=lambda: f"loop-{new_id()[:12]}.")
    asked: list[Asked] = field(default_factory=list)

    async def make(self) -> None:
        """Make the topics."""
        await create_topics(self.bootstrap, self.prefix, TOPICS, TopicLayout(PARTITIONS))

    def options(self, instance: str = "0", **changes: Any) -> LoopOptions:
        """Return the options of a loop."""
        given = {
            "session_timeout_milliseconds": SESSION_MILLISECONDS,
            "heartbeat_interval_milliseconds": 500,
            "fetch_wait_milliseconds": 50,
            "idle_wait_milliseconds": 100,
            "commit_interval_seconds": 0.05,
            "commit_timeout_seconds": 2.0,
            "store_timeout_seconds": 5.0,
            "backoff_seconds": 0.05,
            "backoff_seconds_max": 0.5,
            **changes,
        }
        return LoopOptions(bootstrap_servers=self.bootstrap, topic_prefix=self.prefix, partitions=PARTITIONS, instance=instance, **given)

    def publisher(self, client: str, timeout_seconds: float = 5.0) -> KafkaPublisher:
        """Return a publisher."""
        return KafkaPublisher(PublisherOptions(self.bootstrap, self.prefix, PARTITIONS, client, timeout_seconds=timeout_seconds))

    def batch(self, count: int, *, texts: Sequence[str] = ("a",), keys: Sequence[str] = KEYS) -> list[Asked]:
        """Return `count` more inputs, on both topics, and remember that they are asked."""
        asked = []
        for number in range(len(self.asked), len(self.asked) + count):
            topic = DELIVERIES if number % 3 == 0 else COMMANDS
            text = str(number) if topic is DELIVERIES else texts[number % len(texts)]
            asked.append(Asked(topic, keys[number % len(keys)], f"in-{number}", text))
        self.asked.extend(asked)
        return asked

    async def write(self, asked: Iterable[Asked]) -> None:
        """Write inputs."""
        publisher = self.publisher("writer")
        try:
            await publisher.publish([Publication(one.topic, one.key, one.value) for one in asked])
        finally:
            await publisher.close()

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[AIOKafkaProducer]:
        """Give a plain producer, for records that no service of ours would write."""
        async with AIOKafkaProducer(**client_options(self.bootstrap), acks="all") as producer:
            yield producer

    async def records(self, *topics: Topic) -> list[Record]:
        """Return everything that stands on `topics` now."""
        async with Follower(self.bootstrap, self.prefix, topics) as follower:
            return [seen.record async for page in follower.read_to_end() for seen in page]

    async def events(self, *topics: Topic) -> list[Event[Any]]:
        """Return every event that stands on `topics` now."""
        return [record.topic.decode(record.value or b"") for record in await self.records(*topics)]

    async def await_answers(self, asked: Sequence[Asked] | None = None, *, seconds: float = PATIENCE_SECONDS) -> list[Event[Any]]:
        """Return all outputs once every input was answered and every timer rang."""
        asked = self.asked if asked is None else asked
        waiting = {one.event_id for one in asked if one.outputs}
        timers = {one.key for one in asked if one.text == "timer"}
        found: list[Event[Any]] = []
        async with asyncio.timeout(seconds), Follower(self.bootstrap, self.prefix, (CONVERSATIONS, WORK)) as follower:
            while waiting or timers:
                for seen in await follower.read():
                    assert seen.event is not None
                    found.append(seen.event)
                    waiting.discard(seen.event.causationid or "")
                    if "/timer/" in (seen.event.causationid or ""):
                        timers.discard(seen.event.subject)
        return found

    async def await_count(self, count: int, *topics: Topic) -> list[Event[Any]]:
        """Return the events of `topics` as soon as there are `count`."""
        found: list[Event[Any]] = []
        async with asyncio.timeout(PATIENCE_SECONDS), Follower(self.bootstrap, self.prefix, topics or (CONVERSATIONS,)) as follower:
            while len(found) < count:
                found.extend(seen.event for seen in await follower.read() if seen.event is not None)
        return found

    async def judged(self) -> dict[str, list[Event[Any]]]:
        """Read everything and judge it."""
        return judge(self.asked, await self.events(CONVERSATIONS, WORK))

    async def committed(self) -> dict[tuple[str, int], int]:
        """Return the group's committed offsets by topic name and partition, where something was done at all."""
        admin = AIOKafkaAdminClient(**client_options(self.bootstrap))
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(f"{self.prefix}{Witness.name}")
        finally:
            await admin.close()
        return {(place.topic.removeprefix(self.prefix), place.partition): one.offset for place, one in offsets.items() if one.offset > 0}

    async def await_committed(self) -> None:
        """Return when all inputs are done and committed; their outputs may stand on the topics before (first touch)."""
        ends = await self.ends()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.committed() != ends:  # noqa: ASYNC110 # the group's offsets are another process's: they can only be asked for
                await asyncio.sleep(0.05)

    async def ends(self) -> dict[tuple[str, int], int]:
        """Return how many records stand on each partition of the inputs that has some."""
        counts: dict[tuple[str, int], int] = {}
        for record in await self.records(COMMANDS, DELIVERIES):
            place = (record.topic.name, record.partition)
            counts[place] = max(counts.get(place, 0), record.offset + 1)
        return counts

    def shard(self, key: str) -> int:
        """Return the partition of `key`."""
        return partition_of(key.encode(), PARTITIONS)


async def until(condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return when `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.01)


class Running:
    """A loop in this process."""

    def __init__(self, place: Place, store: SqliteStore, collection: Collection, *, options: LoopOptions) -> None:
        self.store = store
        self.metrics = Metrics()
        self.status = LoopStatus()
        self.stop = asyncio.Event()
        self.publisher = place.publisher(f"loop-{options.instance}")
        engine = Engine(Witness(), partitions=PARTITIONS, version="test")
        self.loop: ReducerLoop[Count] = ReducerLoop(
            engine, collection, self.publisher, options=options, clock=SystemClock(), metrics=self.metrics, status=self.status
        )
        self.task = asyncio.create_task(self.loop.run(self.stop))

    def count(self, name: str, **labels: str) -> float:
        """Return a metric."""
        return self.metrics.registry.get_sample_value(f"parley_{name}", {"reducer": Witness.name, **labels}) or 0.0

    async def ready(self) -> None:
        """Return when it has an assignment."""
        await until(lambda: self.status.ready or self.task.done())
        assert not self.task.done()

    async def end(self) -> None:
        """Stop it as a service does, and raise what it died of."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task
        await self.publisher.close()


@asynccontextmanager
async def a_loop(place: Place, *, wrap: Callable[[Collection], Collection] = lambda inner: inner, **options: Any) -> AsyncIterator[Running]:
    """Run a loop in this process until the test leaves."""
    store = SqliteStore(place.directory / "witness.sqlite3")
    try:
        running = Running(place, store, wrap(await store.open(documents_of(Witness.name))), options=place.options(**options))
        try:
            yield running
        finally:
            await running.end()
    finally:
        await store.close()


class WorkerProcess:
    """A loop in a process of its own, which can be killed and frozen."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, place: Place, instance: str = "0", *, freeze: str | None = None, **options: Any) -> WorkerProcess:
        """Start a process; `freeze` names the call before which it stops itself once (`save` or `publish`, when it says `freeze`)."""
        config = {
            "bootstrap": str(place.bootstrap),
            "prefix": place.prefix,
            "store": str(place.directory / "witness.sqlite3"),
            "instance": instance,
            "freeze": freeze,
            "options": options,
        }
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.shared.engine.loop_process", json.dumps(config), stdout=asyncio.subprocess.PIPE
            )
        )

    async def said(self, word: str) -> dict[str, Any]:
        """Return the next line of the process that begins with `word`, as what follows in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await self.process.stdout.readline():
                name, _, rest = line.decode().partition(" ")
                if name == word:
                    return dict(json.loads(rest))
        raise AssertionError(f"the process ended without saying {word}")

    async def kill(self) -> None:
        """Kill it: SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.process.send_signal(signal.SIGCONT)

    async def end(self) -> dict[str, Any]:
        """Stop it as an operator does; return what it counted."""
        self.process.terminate()
        report = await self.said("report")
        assert await self.process.wait() == 0
        return report


@asynccontextmanager
async def processes() -> AsyncIterator[Callable[..., Any]]:
    """Give a function that starts processes; whatever still runs in the end is killed."""
    started: list[WorkerProcess] = []

    async def start(place: Place, instance: str = "0", **options: Any) -> WorkerProcess:
        process = await WorkerProcess.start(place, instance, **options)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            await process.kill()


def place_of(place: Place, topic: Topic, partition: int) -> TopicPartition:
    """Return the partition under its full name."""
    return TopicPartition(place.prefix + topic.name, partition)
