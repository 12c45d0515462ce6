"""How fast the stores are: prints a JSON line per adapter and operation, and one with the price of durability (SQLite : memory).

Usage: python -m tests.bench.bench_store [--documents 20000] [--batch 2000] [--rounds 20]

Bodies are JSON of 1-2 KB, keys thread ids, and every save moves the timer of a third of its documents, as a reducer's batch does.
MongoDB is measured where MONGODB_URI names one; the wire stand-in is for correctness and would tell nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from shared.store.memory import MemoryStore
from shared.store.port import Collection, CollectionSpec, Index, Store, StoredDocument
from shared.store.sqlite import SqliteStore, Synchronous

SPEC = CollectionSpec("bench_threads", (Index("due", ("shard", "due_at")), Index("dirty", ("shard", "dirty"))))
SHARDS = 24
SEED = 7


@dataclass(frozen=True)
class Measure:
    """What one kind of call cost: wall and processor seconds of each round, for `documents` documents a call."""

    documents: int
    wall_seconds: list[float]
    cpu_seconds: list[float]

    @property
    def per_second(self) -> float:
        """Documents a second in the median round."""
        return self.documents / statistics.median(self.wall_seconds)

    def line(self) -> dict[str, float]:
        """Return the figures of a JSON line."""
        return {
            "documents_per_call": self.documents,
            "documents_per_second": round(self.per_second),
            "call_ms_p50": round(statistics.median(self.wall_seconds) * 1000, 2),
            "call_ms_max": round(max(self.wall_seconds) * 1000, 2),
            "cpu_us_per_document": round(statistics.median(self.cpu_seconds) / self.documents * 1e6, 2),
        }


async def measured(documents: int, calls: list[Callable[[], Awaitable[object]]]) -> Measure:
    """Return what `calls` cost one after the other."""
    wall, cpu = [], []
    for call in calls:
        began, began_cpu = time.perf_counter(), time.process_time()
        await call()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    return Measure(documents, wall, cpu)


class Bench:
    """The documents of one adapter and the calls that are measured."""

    def __init__(self, collection: Collection, documents: int, batch: int) -> None:
        self._collection = collection
        self._batch = batch
        self._draw = random.Random(SEED)
        self._documents: dict[str, StoredDocument] = {}
        for number in range(documents):
            key = f"whatsapp:1{number % 7}:{self._draw.randrange(10**12)}"
            self._documents[key] = StoredDocument(key, 0, self._body(), {"shard": number % SHARDS, "due_at": number})

    def _body(self) -> bytes:
        """Return JSON of 1-2 KB that does not repeat itself."""
        return json.dumps({"state": self._draw.randbytes(self._draw.randrange(500, 1000)).hex()}).encode()

    async def save(self, changes: list[StoredDocument]) -> None:
        """Save `changes` and remember their versions."""
        result = await self._collection.save(changes)
        assert result.complete
        self._documents.update({change.key: replace(change, version=change.version + 1) for change in changes})

    def changed(self) -> list[StoredDocument]:
        """Return a batch of documents drawn from all, each with a new body, a third with a new timer."""
        drawn = self._draw.sample(list(self._documents.values()), self._batch)
        timers = [self._draw.randrange(10**6) if self._draw.random() < 1 / 3 else one.fields["due_at"] for one in drawn]
        return [replace(one, body=self._body(), fields={**one.fields, "due_at": due_at}) for one, due_at in zip(drawn, timers, strict=True)]

    async def run(self, rounds: int) -> dict[str, Measure]:
        """Return the measures by operation."""
        new = list(self._documents.values())
        inserts = [new[start : start + self._batch] for start in range(0, len(new), self._batch)]
        results = {"insert": await measured(self._batch, [partial(self.save, changes) for changes in inserts])}
        updates = []
        for _ in range(rounds):  # drawn outside the measure, but after the round before: versions move on
            changes = self.changed()
            updates.append(await measured(self._batch, [partial(self.save, changes)]))
        results["save"] = Measure(self._batch, [one.wall_seconds[0] for one in updates], [one.cpu_seconds[0] for one in updates])
        draws = [self._draw.sample(list(self._documents), self._batch) for _ in range(rounds)]
        results["load"] = await measured(self._batch, [partial(self._collection.load, keys) for keys in draws])
        results["scan"] = await measured(
            500,
            [partial(self._collection.scan, "due", lower=(shard,), upper=(shard,), limit=500) for shard in range(SHARDS)],
        )
        few = [self.changed()[:1] for _ in range(rounds)]
        distinct = {change.key: change for [change] in few}
        results["save_one"] = await measured(1, [partial(self.save, [change]) for change in distinct.values()])
        return results


async def bench(name: str, store: Store, arguments: argparse.Namespace) -> dict[str, Measure]:
    """Measure `store`, print its lines and return the measures."""
    collection = await store.open(SPEC)
    results = await Bench(collection, arguments.documents, arguments.batch).run(arguments.rounds)
    await store.close()
    for operation, measure in results.items():
        tell({"benchmark": "store", "adapter": name, "operation": operation, **measure.line()})
    return results


def tell(line: dict[str, object]) -> None:
    """Write a JSON line."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Measure every adapter that is at hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000, help="documents in the collection (default 20000)")
    parser.add_argument("--batch", type=int, default=2_000, help="documents of a save or load (default 2000)")
    parser.add_argument("--rounds", type=int, default=20, help="saves and loads measured (default 20)")
    arguments = parser.parse_args()
    memory = await bench("memory", MemoryStore(), arguments)
    with tempfile.TemporaryDirectory() as directory:
        sqlite = await bench("sqlite", SqliteStore(Path(directory) / "full.sqlite3"), arguments)
        await bench("sqlite_normal", SqliteStore(Path(directory) / "normal.sqlite3", synchronous=Synchronous.NORMAL), arguments)
    ratios = {operation: round(measure.per_second / memory[operation].per_second, 3) for operation, measure in sqlite.items()}
    tell({"benchmark": "store", "compared": "documents per second, sqlite : memory", **ratios})
    uri = os.environ.get("MONGODB_URI")
    if uri:
        from pymongo import AsyncMongoClient  # noqa: PLC0415 - who has no MongoDB need not load its driver

        from shared.store.mongo import MongoStore  # noqa: PLC0415 - likewise

        await bench("mongo", MongoStore(uri, "parley_bench"), arguments)
        async with AsyncMongoClient[dict[str, object]](uri) as client:
            await client.drop_database("parley_bench")


if __name__ == "__main__":
    asyncio.run(main())
