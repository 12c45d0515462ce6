"""The witness as a process of its own, for tests that kill and freeze it: `python -m tests.shared.engine.loop_process <json>`.

It says `assigned {"shards": […]}` at every assignment, `frozen {}` before it stops itself, and `report {…}` with its metrics at its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from shared.clock import SystemClock
from shared.engine.document import documents_of
from shared.engine.kafka import ReducerLoop
from shared.engine.records import Publication, Publisher
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.metrics import Metrics
from shared.store.port import Collection, SaveResult, Scalar, StoredDocument
from shared.store.sqlite import SqliteStore
from tests.shared.engine.counting import Count
from tests.shared.engine.kafka_world import PARTITIONS, Place
from tests.shared.engine.witness import Witness

COUNTERS = ("rebalances_total", "fenced_total", "gaps_total", "records_replayed_total", "duplicates_total", "events_decided_total")
FREEZE_MARK = b"delivery freeze"
"""What an output says whose process is to freeze."""


def say(word: str, **fields: Any) -> None:
    """Tell the test."""
    sys.stdout.write(f"{word} {json.dumps(fields)}\n")
    sys.stdout.flush()


class Freezer:
    """Stops the process once, when it is about to do `what` with an output that carries the mark."""

    def __init__(self, what: str | None) -> None:
        self._what = what

    def pass_by(self, what: str, values: Iterable[bytes]) -> None:
        """Freeze here, if this is the place."""
        if what == self._what and any(FREEZE_MARK in value for value in values):
            self._what = None
            say("frozen")
            os.kill(os.getpid(), signal.SIGSTOP)


class FreezingPublisher:
    """A publisher before which a process may freeze."""

    def __init__(self, inner: Publisher, freezer: Freezer) -> None:
        self._inner = inner
        self._freezer = freezer

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write, perhaps much later."""
        self._freezer.pass_by("publish", (publication.value for publication in publications))
        await self._inner.publish(publications)


class FreezingCollection:
    """A collection before whose saves a process may freeze."""

    def __init__(self, inner: Collection, freezer: Freezer) -> None:
        self._inner = inner
        self._freezer = freezer

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Load."""
        return await self._inner.load(keys)

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save, perhaps much later."""
        self._freezer.pass_by("save", (change.body for change in changes))
        return await self._inner.save(changes)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete."""
        await self._inner.delete(keys)

    async def scan(
        self, index: str, *, lower: tuple[Scalar, ...] = (), upper: tuple[Scalar, ...] = (), limit: int, reverse: bool = False
    ) -> list[StoredDocument]:
        """Scan."""
        return await self._inner.scan(index, lower=lower, upper=upper, limit=limit, reverse=reverse)


class TellingLoop(ReducerLoop[Count]):
    """A loop that tells the test what it owns."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over, then tell."""
        await super().on_partitions_assigned(assigned)
        say("assigned", shards=sorted(self._shards.owned))


async def run(config: dict[str, Any]) -> None:
    """Run until SIGTERM."""
    stop, metrics, freezer = asyncio.Event(), Metrics(), Freezer(config["freeze"])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    place = Place(config["bootstrap"], Path(config["store"]).parent, config["prefix"])
    store = SqliteStore(Path(config["store"]))
    publisher = place.publisher(f"loop-{config['instance']}")
    loop = TellingLoop(
        Engine(Witness(), partitions=PARTITIONS, version="test"),
        FreezingCollection(await store.open(documents_of(Witness.name)), freezer),
        FreezingPublisher(publisher, freezer),
        options=place.options(config["instance"], **config["options"]),
        clock=SystemClock(),
        metrics=metrics,
        status=LoopStatus(),
    )
    try:
        await loop.run(stop)
    finally:
        await publisher.close()
        await store.close()
    counted = {name: metrics.registry.get_sample_value(f"parley_{name}", {"reducer": Witness.name}) or 0.0 for name in COUNTERS}
    say("report", **counted)


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
