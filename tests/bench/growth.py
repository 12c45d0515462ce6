"""How cost grows: with the number of conversations that the store holds, with partitions owned by a process, and with processes.

The store is seeded in bulk with as many conversations as are asked for (see `seeding`); then the same number of events hits, drawn at
random, the same number of active conversations at every size, and in another run all of them. The reducer's process has one core; the
broker has what is left of the others, so on two cores a second process shares its core with the broker.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.kafka import kafka_bootstrap_servers
from tests.bench.fleet import Work, work_off
from tests.bench.reporting import progress, report
from tests.bench.seeding import conversations, file_megabytes, seed
from tests.bench.world import Place, fresh_prefix, messages

NAME = "growth"
SIZES = (1_000, 100_000, 1_000_000)
OWNED = (1, 2, 4)
PROCESSES = (1, 2)
EVENTS = 40_000
ACTIVE = 1_000
"""Of how many conversations the events are, where only some are active."""
PARTITIONS = 6
CONVERSATIONS = 5_000
"""Of the runs with several partitions and processes, whose stores begin empty."""
GOAL_PERCENT = 15
DRAWN_FROM = 7
"""The seed of the draw."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is measured: `events` at each of `conversations`, and at each number of partitions `owned` by each of `processes`.

    Of the conversations `active` are written to, and in another run all.
    """

    events: int = EVENTS
    active: int = ACTIVE
    conversations: tuple[int, ...] = SIZES
    owned: tuple[int, ...] = OWNED
    processes: tuple[int, ...] = PROCESSES
    conversations_of_partitions: int = CONVERSATIONS


async def run(sizes: Sizes | None = None) -> None:
    """Measure both ways of growing, report."""
    sizes = sizes or Sizes()
    with tempfile.TemporaryDirectory() as directory:
        async with kafka_bootstrap_servers(Path(directory) / "kafka") as bootstrap:
            await _by_conversations(bootstrap, Path(directory), sizes)
            for processes in sizes.processes:
                for owned in sizes.owned:
                    await _by_partitions(bootstrap, Path(directory), sizes, owned=owned, processes=processes)


async def _by_conversations(bootstrap: str, directory: Path, sizes: Sizes) -> None:
    """Measure at each number of conversations, with few of them active and with all; report each, and how far they are apart."""
    found: dict[str, list[Work]] = {}
    for count in sizes.conversations:
        seeded = directory / f"{count}.seeded.sqlite3"
        progress(f"seeding {count:,} conversations")
        await seed(seeded, "conversation", conversations(count, PARTITIONS))
        for active, words in ((min(sizes.active, count), f"{sizes.active:,} of them"), (count, "all")):
            store = directory / f"{count}.{active}.sqlite3"
            await asyncio.to_thread(_copy_to_disk, seeded, store)  # the topics of each run begin at 0, and a store remembers offsets
            place = Place(bootstrap, fresh_prefix(f"c{count}"), PARTITIONS)
            await place.make()
            progress(f"{sizes.events:,} events on {count:,} conversations, {words} active")
            work = await work_off(place, store, list(messages(sizes.events, drawn_from(active, among=count))))
            found.setdefault(words, []).append(work)
            at = {"conversations": count, "active": words, "events": sizes.events}
            report(NAME, "events per second", work.events_per_second, "1/s", **at)
            report(NAME, "CPU per event", work.cpu_microseconds, "µs", **at)
            report(NAME, "memory", work.memory_megabytes, "MB", **at)
            report(NAME, "size of the database", file_megabytes(store), "MB", seeded=round(file_megabytes(seeded), 1), **at)
            store.unlink()
        seeded.unlink()
    for words, works in found.items():
        details: dict[str, Any] = {"goal": GOAL_PERCENT, "active": words, "conversations": sizes.conversations}
        slower = (1 - works[-1].events_per_second / works[0].events_per_second) * 100
        dearer = (works[-1].cpu_microseconds / works[0].cpu_microseconds - 1) * 100
        report(NAME, "loss of events per second from the fewest to the most conversations", slower, "%", **details)
        report(NAME, "growth of CPU per event from the fewest to the most conversations", dearer, "%", **details)


def _copy_to_disk(source: Path, copy: Path) -> None:
    """Copy the file and wait until it is on the disk: else the reducer's first wait for the disk writes all of it."""
    shutil.copyfile(source, copy)
    with copy.open("rb+") as written:
        os.fsync(written.fileno())


def drawn_from(active: int, *, among: int | None = None) -> Callable[[int], int]:
    """Return who writes each message: one of `active` customers, drawn at random, the same in every run, spread evenly `among` all."""
    draw = random.Random(DRAWN_FROM)
    apart = (among or active) // active
    return lambda _number: draw.randrange(active) * apart


async def _by_partitions(bootstrap: str, directory: Path, sizes: Sizes, *, owned: int, processes: int) -> None:
    """Measure and report one number of partitions and processes."""
    progress(f"{processes} processes with {owned} partitions each")
    place = Place(bootstrap, fresh_prefix(f"p{processes}x{owned}"), owned * processes)
    await place.make()
    backlog = list(messages(sizes.events * processes, lambda number: number % sizes.conversations_of_partitions))
    work = await work_off(place, directory / f"p{processes}x{owned}.sqlite3", backlog, processes=processes)
    details = {"processes": processes, "partitions_owned": owned, "events": len(backlog), "cores": os.cpu_count()}
    report(NAME, "events per second", work.events_per_second, "1/s", **details)
    report(NAME, "CPU per event", work.cpu_microseconds, "µs", **details)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m tests.bench.growth --events 20000 --conversations 1000 10000"
    )
    parser.add_argument("--events", type=int, default=EVENTS, help="measured events, each time (default: %(default)s)")
    parser.add_argument(
        "--conversations", type=int, nargs="+", default=SIZES, help="how many the store holds (default: 1000 100000 1000000)"
    )
    parser.add_argument("--owned", type=int, nargs="*", default=OWNED, help="partitions owned by a process (default: 1 2 4)")
    parser.add_argument("--processes", type=int, nargs="*", default=PROCESSES, help="processes (default: 1 2)")
    parsed = parser.parse_args()
    sizes = Sizes(parsed.events, ACTIVE, tuple(parsed.conversations), tuple(parsed.owned), tuple(parsed.processes))
    asyncio.run(run(sizes))


if __name__ == "__main__":
    main()
