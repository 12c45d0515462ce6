"""A log, a store and a publisher that fail on order, and a shell that does with a batch what the Kafka loop does."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.clock import ManualClock
from shared.engine.batch import BatchWork, Outcome
from shared.engine.document import Document, DocumentCodec, documents_of
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.records import PartlyWrittenError, Publication, Record
from shared.engine.step import Engine
from shared.errors import BrokerUnavailableError
from shared.events.envelope import Event
from shared.metrics import Metrics
from shared.store.memory import MemoryData, MemoryStore
from shared.store.port import Collection, SaveResult, Scalar, StoredDocument, StoreUnavailableError
from shared.topics import COMMANDS, CONVERSATIONS, Topic, dead_letters_of
from tests.shared.engine.counting import Count, Counter

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAME = Counter.name
FAR_FUTURE_SECONDS = 3_600


@dataclass
class FaultyCollection:
    """A collection whose next calls fail: `load`, `scan`, `save` before anything happens, `saved` after it did, `hang` for ever."""

    inner: Collection
    faults: deque[str] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Load, or fail."""
        await self._maybe("load")
        return await self.inner.load(keys)

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save, or fail before or after."""
        await self._maybe("save")
        result = await self.inner.save(changes)
        await self._maybe("saved")
        return result

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete."""
        await self.inner.delete(keys)

    async def scan(
        self, index: str, *, lower: tuple[Scalar, ...] = (), upper: tuple[Scalar, ...] = (), limit: int, reverse: bool = False
    ) -> list[StoredDocument]:
        """Scan, or fail."""
        await self._maybe("scan")
        return await self.inner.scan(index, lower=lower, upper=upper, limit=limit, reverse=reverse)

    async def _maybe(self, call: str) -> None:
        self.calls.append(call)
        if self.faults and self.faults[0] in {call, f"{call} hangs"}:
            if self.faults.popleft() == call:
                raise StoreUnavailableError("the store is away")
            await asyncio.Event().wait()


@dataclass
class FaultyPublisher:
    """A log in memory; the next writes fail: `nothing` was written, `half` of it, or `all` though nobody said so.

    Partitions that are `sick` acknowledge nothing, though they write it.
    """

    partitions: int
    faults: deque[str] = field(default_factory=deque)
    written: list[Publication] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    sick: set[int] = field(default_factory=set)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write, or fail."""
        self.calls.append("publish")
        fault = self.faults.popleft() if self.faults else None
        count = {None: len(publications), "nothing": 0, "half": len(publications) // 2, "all": len(publications)}[fault]
        self.written.extend(publications[:count])
        unwritten = [one for one in publications if partition_of(one.key.encode(), self.partitions) in self.sick]
        if fault is not None or len(unwritten) == len(publications):
            raise BrokerUnavailableError("Kafka is away")
        if unwritten:
            raise PartlyWrittenError("some partitions are away", unwritten)


class World:
    """One reducer's surroundings; `restart` is a crash: memory is gone, log, store and committed offsets stay."""

    def __init__(self, *, partitions: int = 1, **options: Any) -> None:
        self.clock = ManualClock(NOON)
        self.data = MemoryData()
        self.partitions = partitions
        self.publisher = FaultyPublisher(partitions)
        self.metrics = Metrics()
        self.log: dict[int, list[Record]] = defaultdict(list)
        self.position: dict[int, int] = defaultdict(int)
        self.committed: dict[int, int] = {}
        self.options = LoopOptions(bootstrap_servers="", topic_prefix="", partitions=partitions, instance="0", **options)
        self.store: FaultyCollection
        self.work: BatchWork[Count]

    async def restart(self) -> None:
        """Begin with empty memory at the committed offsets, owning everything."""
        collection = await MemoryStore(self.data).open(documents_of(NAME))
        faults, calls = (self.store.faults, self.store.calls) if hasattr(self, "store") else (deque[str](), list[str]())
        self.store = FaultyCollection(collection, faults, calls)
        self.work = self.another()
        self.position = defaultdict(int, self.committed)

    def another(self) -> BatchWork[Count]:
        """Return a second process's work on the same store and log, which believes to own everything."""
        work = BatchWork(
            Engine(Counter(), partitions=self.partitions, version="test"),
            self.store,
            self.publisher,
            options=self.options,
            clock=self.clock,
            metrics=self.metrics,
        )
        work.shards.own(set(range(self.partitions)))
        return work

    def write(self, key: str, value: bytes) -> None:
        """Put a record on the input."""
        shard = partition_of(key.encode(), self.partitions)
        self.log[shard].append(Record(COMMANDS, shard, len(self.log[shard]), key.encode(), value, 0))

    async def turn(self, limit: int = 1_000) -> Outcome:
        """Read a batch and carry it out; what failed is forgotten and read again, as the loop does."""
        batch = {shard: self.log[shard][self.position[shard] :][:limit] for shard in range(self.partitions)}
        outcome = await self.work.carry_out({shard: records for shard, records in batch.items() if records})
        for (_, shard), offset in outcome.done.items():
            self.position[shard] = offset
        for _, shards in outcome.failed:
            self.work.shards.forget(shards)
        return outcome

    def commit(self) -> None:
        """Commit what is done."""
        self.committed = dict(self.position)

    async def settle(self) -> None:
        """Take turns until everything is read and no timer is due."""
        for _ in range(100):
            outcome = await self.turn()
            assert not outcome.failed, outcome.failed
            unread = any(self.position[shard] < len(records) for shard, records in self.log.items())
            if not unread and self.work.shards.seconds_to_next_timer(self.clock.now()) != 0.0:
                return
        raise AssertionError("the world does not come to rest")

    def document(self, key: str = "thread") -> Document[Count]:
        """Return the document as it is stored."""
        return DocumentCodec(Count).from_stored(self.data.tables[NAME].documents[key])

    def events(self, topic: Topic = CONVERSATIONS) -> list[Event[Any]]:
        """Return what was written to `topic`, as it stands there."""
        return [topic.decode(one.value) for one in self.publisher.written if one.topic.name == topic.name]

    def texts(self) -> list[str]:
        """Return the words of the notes that were written."""
        return [event.data.text for event in self.events()]

    def letters(self) -> list[Event[Any]]:
        """Return the dead letters that were written."""
        return self.events(dead_letters_of(NAME))

    def count(self, name: str) -> float:
        """Return a metric of the reducer."""
        return self.metrics.registry.get_sample_value(f"parley_{name}", {"reducer": NAME}) or 0.0


async def a_world(**options: Any) -> World:
    """Return a world whose process has started, flushed and looked for timers."""
    world = World(**options)
    await world.restart()
    await world.turn()
    world.store.calls.clear()
    return world


def keys_of_shards(count: int) -> list[str]:
    """Return one key for each of `count` shards, in their order."""
    world = World(partitions=count)
    for number in range(100):
        world.write(f"key{number}", b"")
    return [world.log[shard][0].key.decode() for shard in range(count)]  # type: ignore[union-attr] # they all have a key
