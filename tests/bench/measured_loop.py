"""A reducer's process that is measured among others: `python -m tests.bench.measured_loop <json>`.

It joins the group, says `{"owned": […]}` once it owns as many partitions as it should, waits on its standard input for
`{"events": n}` (how many of the backlog are its own), and says in the end what they took.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

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
from shared.running import collect_garbage_rarely
from shared.store.sqlite import SqliteStore
from tests.bench.contenders.contest import FIRST_BATCH_SHARE_MAX, KIBIBYTES_PER_MEGABYTE
from tests.bench.world import CONFIG, keep_output_clean, pin, until


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a group: its topics, its name, the store it shares with the others, and how many partitions it is to own."""

    bootstrap: str
    prefix: str
    partitions: int
    instance: str
    store: str
    owned: int
    core: int | None = None

    def to_json(self) -> str:
        """Return the member for a process's command line."""
        return json.dumps(asdict(self))


class WatchedLoop(ReducerLoop[Any]):
    """A loop that says when it owns what it should."""

    def watch(self, owned: int) -> asyncio.Event:
        """Return an event that is set while exactly `owned` partition numbers are ours."""
        self._owned_wanted = owned
        self._owned_reached = asyncio.Event()
        return self._owned_reached

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over, then look."""
        await super().on_partitions_assigned(assigned)
        if len(self._shards.owned) == self._owned_wanted:
            self._owned_reached.set()
        else:
            self._owned_reached.clear()

    @property
    def owned(self) -> list[int]:
        """Return the partition numbers that are ours."""
        return sorted(self._shards.owned)


async def run(member: Member) -> None:
    """Join, wait for the word, work off what is ours, say what it took."""
    reducer = build_reducers(load_contact_centre(CONFIG))[0]
    store = SqliteStore(Path(member.store))
    metrics, stop = Metrics(), asyncio.Event()
    publisher = KafkaPublisher(PublisherOptions(member.bootstrap, member.prefix, member.partitions, f"out-{member.instance}"))
    loop = WatchedLoop(
        Engine(reducer, partitions=member.partitions, version="bench"),
        await store.open(documents_of(reducer.name)),
        publisher,
        options=LoopOptions(member.bootstrap, member.prefix, member.partitions, member.instance),
        clock=SystemClock(),
        metrics=metrics,
        status=LoopStatus(),
    )
    reached = loop.watch(member.owned)
    running = asyncio.create_task(loop.run(stop))
    try:
        await reached.wait()
        _say(owned=loop.owned)
        events = json.loads(await asyncio.to_thread(sys.stdin.readline))["events"]
        await _measured(metrics.decided.labels(reducer.name)._value, events, running)
        stop.set()
        await running
    finally:
        running.cancel()
        await publisher.close()
        await store.close()


async def _measured(decided: Any, events: int, running: asyncio.Task[None]) -> None:
    """Wait until `events` are decided; say what those behind the first batch took (of all, where that was a large part)."""
    first, began, cpu = 0.0, time.monotonic(), time.process_time()
    await until(lambda: decided.get() > 0 or running.done())
    if decided.get() <= events * FIRST_BATCH_SHARE_MAX:
        first, began, cpu = decided.get(), time.monotonic(), time.process_time()
    await until(lambda: decided.get() >= events or running.done())
    _say(
        events=decided.get() - first,
        began=began,
        ended=time.monotonic(),
        cpu_seconds=time.process_time() - cpu,
        memory_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_PER_MEGABYTE,
    )


def _say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Be measured."""
    member = Member(**json.loads(sys.argv[1]))
    keep_output_clean()
    pin(member.core)
    collect_garbage_rarely()
    asyncio.run(run(member))


if __name__ == "__main__":
    main()
