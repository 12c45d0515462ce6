"""The router's conversation reducer on a backlog, beside others that do the same job, in one run on one broker.

Every contender reads the same kind of topic, decides by the same rules and writes the same outputs with acks=all; those that keep state
in SQLite keep it with the same durability. Each runs as a process of its own on one core. The slow ones get a smaller topic of the same
shape (as many messages per conversation), since they would take minutes for the large one.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from devstack.kafka import kafka_bootstrap_servers
from shared.running import collect_garbage_rarely
from shared.topics import CONVERSATIONS
from tests.bench.contenders.contest import Contest
from tests.bench.quix_environment import NotInstalledError, quix_python
from tests.bench.reporting import progress, report, say
from tests.bench.world import Place, cores, fresh_prefix, keep_output_clean, messages, pin, run_apart

NAME = "backlog"
PARTITIONS = 6
SMALL_SHARE = 20
"""The slow contenders get one in so many of the events, and of the conversations."""
CONTENDERS = ("parley", "raw", "records", "textbook", "quix", "queue_and_lock")
TITLES = {
    "parley": "the reducer",
    "raw": "pass-through, whole batches",
    "records": "pass-through, record by record",
    "textbook": "textbook handler",
    "quix": "Quix Streams",
    "queue_and_lock": "queue plus lock",
}
GOALS_TIMES: dict[str, float] = {"records": 0.25, "textbook": 10, "queue_and_lock": 20}
"""What the reducer's events per second are to be, in those of the others."""
GOAL_PER_SECOND = 10_000
GOAL_MEGABYTES = 400

Measured = dict[str, Any]


async def run(events: int, conversations: int, only: tuple[str, ...] = CONTENDERS) -> None:
    """Fill the topics, run the contenders in turn, report."""
    with tempfile.TemporaryDirectory() as directory:
        async with kafka_bootstrap_servers(Path(directory) / "kafka") as bootstrap:
            large = await _filled(Contest(bootstrap, fresh_prefix(NAME), PARTITIONS, directory, events), conversations)
            small = await _filled(
                replace(large, prefix=fresh_prefix("small"), events=max(2, events // SMALL_SHARE)), max(1, conversations // SMALL_SHARE)
            )
            ours = await _ours(large, conversations)
            large = replace(large, outputs_per_event=ours["outputs"] / events)
            for name in CONTENDERS[1:]:
                if name in only:
                    await _baseline(name, small if name in {"textbook", "queue_and_lock"} else large, ours)


async def _filled(contest: Contest, conversations: int) -> Contest:
    """Make the contest's topics and fill the inbound one."""
    progress(f"publishing {contest.events} messages of {conversations} customers")
    place = _place(contest)
    await place.make()
    await place.fill(messages(contest.events, lambda number: number % conversations))
    return contest


def _place(contest: Contest) -> Place:
    return Place(contest.bootstrap, contest.prefix, contest.partitions)


async def _ours(contest: Contest, conversations: int) -> Measured:
    """Run and report the reducer."""
    ours = await _measured("parley", contest)
    details = {"events": contest.events, "conversations": conversations, "outputs": ours["outputs"]}
    report(NAME, "reducer events per second", ours["events_per_second"], "1/s", goal=GOAL_PER_SECOND, **details)
    report(NAME, "reducer CPU per event", ours["cpu_microseconds"], "µs", **details)
    report(NAME, "reducer memory after the backlog", ours["memory_megabytes"], "MB", goal=GOAL_MEGABYTES)
    return ours


async def _baseline(name: str, contest: Contest, ours: Measured) -> None:
    """Run and report one of the others, and ours against it."""
    title = TITLES[name]
    try:
        found = await _measured(name, contest)
    except NotInstalledError as error:
        say(NAME, f"{title}: did not install: {error}")
        return
    report(NAME, f"{title}, events per second", found["events_per_second"], "1/s", events=contest.events, outputs=found["outputs"])
    report(NAME, f"{title}, CPU per event", found["cpu_microseconds"], "µs")
    goal = {"goal": GOALS_TIMES[name]} if name in GOALS_TIMES else {}
    report(NAME, f"the reducer against: {title}", ours["events_per_second"] / found["events_per_second"], "times", **goal)


async def _measured(name: str, contest: Contest) -> Measured:
    """Run one contender in a process of its own; return what it measured and how many outputs it wrote."""
    python = await quix_python() if name == "quix" else sys.executable
    progress(f"running {TITLES[name]} over {contest.events} events")
    place = _place(contest)
    before = await place.ends(CONVERSATIONS)
    found = await run_apart("tests.bench.backlog", name, contest.to_json(), python=python)
    return {**found, "outputs": await place.ends(CONVERSATIONS) - before}


def main() -> None:
    """Measure, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.backlog --events 20000")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=CONTENDERS, help="baselines to run; the reducer always runs")
    if len(sys.argv) > 1 and sys.argv[1] in CONTENDERS:
        be_measured(sys.argv[1], Contest.from_json(sys.argv[2]))
        return
    parsed = parser.parse_args()
    asyncio.run(run(parsed.events, parsed.conversations, tuple(parsed.only)))


def be_measured(name: str, contest: Contest) -> None:
    """Be contender `name`, on the last core."""
    keep_output_clean()
    pin(max(cores(), default=None))
    collect_garbage_rarely()
    asyncio.run(importlib.import_module(f"tests.bench.contenders.{name}").run(contest))


if __name__ == "__main__":
    main()
