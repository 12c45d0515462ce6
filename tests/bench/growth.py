"""How cost grows: with the number of conversations that the store holds, with partitions owned by a process, and with processes.

The store is seeded in bulk with as many conversations as are asked for (see `seeding`); then the same number of events hits, drawn at
random, the same number of active conversations at every size, and in another run all of them, each several times in turn; the figures are
medians, so that something else on the machine spoils one round and not the figure. The reducer's process has one core; the
broker has what is left of the others, so on two cores a second process shares its core with the broker.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
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
ROUNDS = 3
ACTIVE = 1_000
"""Of how many conversations the events are, where only some are active."""
PARTITIONS = 6
CONVERSATIONS = 5_000
"""Of the runs with several partitions and processes, whose stores begin empty."""
GOAL_PERCENT = 15
DRAWN_FROM = 7
"""The seed of the draw."""


Activity = tuple[str, int]
"""How many conversations are active, in words, and how many there are."""


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
    rounds: int = ROUNDS


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
    for count in sizes.conversations:
        progress(f"seeding {count:,} conversations")
        await seed(_seeded(directory, count), "conversation", conversations(count, PARTITIONS))
    found: dict[Activity, list[Work]] = defaultdict(list)
    for number in range(sizes.rounds):
        for count in sizes.conversations:
            for active, words in ((min(sizes.active, count), f"{sizes.active:,} of them"), (count, "all")):
                progress(f"round {number + 1} of {sizes.rounds}: {sizes.events:,} events on {count:,} conversations, {words} active")
                found[words, count].append(await _on_a_copy(bootstrap, directory, sizes, count, active))
    megabytes = {count: file_megabytes(_seeded(directory, count)) for count in sizes.conversations}
    for count in sizes.conversations:
        _remove(_seeded(directory, count))
    for (words, count), works in found.items():
        at = {"conversations": count, "active": words, "events": sizes.events, "rounds": sizes.rounds}
        report(NAME, "events per second", median(work.events_per_second for work in works), "1/s", **at)
        report(NAME, "CPU per event", median(work.cpu_microseconds for work in works), "µs", **at)
        report(NAME, "memory", median(work.memory_megabytes for work in works), "MB", **at)
        report(NAME, "size of the database when seeded", megabytes[count], "MB", **at)
    _report_growth(found, sizes)


def _report_growth(found: Mapping[Activity, Sequence[Work]], sizes: Sizes) -> None:
    """Report how far the fewest and the most conversations are apart: the median of what each round says."""
    for words in dict.fromkeys(words for words, _ in found):
        ends = list(zip(found[words, sizes.conversations[0]], found[words, sizes.conversations[-1]], strict=True))
        details: dict[str, Any] = {"goal": GOAL_PERCENT, "active": words, "conversations": sizes.conversations, "rounds": sizes.rounds}
        slower = [(1 - most.events_per_second / fewest.events_per_second) * 100 for fewest, most in ends]
        dearer = [(most.cpu_microseconds / fewest.cpu_microseconds - 1) * 100 for fewest, most in ends]
        report(NAME, "loss of events per second from the fewest to the most conversations", median(slower), "%", **details)
        report(NAME, "growth of CPU per event from the fewest to the most conversations", median(dearer), "%", **details)


def _seeded(directory: Path, count: int) -> Path:
    return directory / f"{count}.seeded.sqlite3"


async def _on_a_copy(bootstrap: str, directory: Path, sizes: Sizes, count: int, active: int) -> Work:
    """Work the events off on a copy of the store with `count` conversations: topics begin at 0, and a store remembers offsets."""
    store = directory / "copy.sqlite3"
    await asyncio.to_thread(_copy_to_disk, _seeded(directory, count), store)
    try:
        place = Place(bootstrap, fresh_prefix(f"c{count}"), PARTITIONS)
        await place.make()
        return await work_off(place, store, list(messages(sizes.events, drawn_from(active, among=count))))
    finally:
        _remove(store)


def _remove(store: Path) -> None:
    """Delete a database with its log."""
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()


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
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often, in turn (default: %(default)s)")
    parsed = parser.parse_args()
    sizes = Sizes(parsed.events, ACTIVE, tuple(parsed.conversations), tuple(parsed.owned), tuple(parsed.processes), rounds=parsed.rounds)
    asyncio.run(run(sizes))


if __name__ == "__main__":
    main()
