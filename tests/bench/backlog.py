"""The router's conversation reducer on a backlog, beside others that do the same job, in one run on one broker.

Every contender reads the same kind of topic, decides by the same rules and writes the same outputs with acks=all; those that keep state
in SQLite keep it with the same durability. Each runs as a process of its own on one core. The slow ones get a smaller topic of the same
shape (as many messages per conversation), since they would take minutes for the large one.

All run in turn, several times, on topics and files that are new each time; the figures are medians, the ratios medians of each round's,
so that something else on the machine spoils one round and not the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
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
SLOW = ("textbook", "queue_and_lock")
ROUNDS = 3
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


async def run(events: int, conversations: int, only: Sequence[str] = CONTENDERS, rounds: int = ROUNDS) -> None:
    """Run the contenders in turn, `rounds` times; report."""
    found: dict[str, list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        async with kafka_bootstrap_servers(Path(directory) / "kafka") as bootstrap:
            for number in range(rounds):
                progress(f"round {number + 1} of {rounds}")
                place = Path(directory) / f"round-{number}"
                place.mkdir()
                contest = Contest(bootstrap, fresh_prefix(NAME), PARTITIONS, str(place), events)
                for name, measured in await _round(contest, conversations, only):
                    found[name].append(measured)
    ours = found.pop("parley")
    _report_ours(ours, conversations)
    for name, theirs in found.items():
        _report_baseline(TITLES[name], theirs, ours, GOALS_TIMES.get(name))


async def _round(contest: Contest, conversations: int, only: Sequence[str]) -> list[tuple[str, Measured]]:
    """Fill the topics, run ours and the chosen ones of the others; return what each measured."""
    large = await _filled(contest, conversations)
    smaller = replace(large, prefix=fresh_prefix("small"), events=max(2, large.events // SMALL_SHARE))
    small = await _filled(smaller, max(1, conversations // SMALL_SHARE))
    ours = await _measured("parley", large)
    large = replace(large, outputs_per_event=ours["outputs"] / large.events)
    found = [("parley", ours)]
    for name in CONTENDERS[1:]:
        if name in only:
            try:
                found.append((name, await _measured(name, small if name in SLOW else large)))
            except NotInstalledError as error:
                say(NAME, f"{TITLES[name]}: did not install: {error}")
    return found


async def _filled(contest: Contest, conversations: int) -> Contest:
    """Make the contest's topics and fill the inbound one."""
    progress(f"publishing {contest.events} messages of {conversations} customers")
    place = _place(contest)
    await place.make()
    await place.fill(messages(contest.events, lambda number: number % conversations))
    return contest


def _place(contest: Contest) -> Place:
    return Place(contest.bootstrap, contest.prefix, contest.partitions)


def _report_ours(rounds: Sequence[Measured], conversations: int) -> None:
    """Report the reducer."""
    per_second = [one["events_per_second"] for one in rounds]
    details = {"events": rounds[0]["events"], "conversations": conversations, "outputs": rounds[0]["outputs"]}
    report(NAME, "reducer events per second", median(per_second), "1/s", goal=GOAL_PER_SECOND, **details, **_spread(per_second))
    report(NAME, "reducer CPU per event", median(one["cpu_microseconds"] for one in rounds), "µs", **details)
    report(NAME, "reducer memory after the backlog", median(one["memory_megabytes"] for one in rounds), "MB", goal=GOAL_MEGABYTES)


def _report_baseline(title: str, theirs: Sequence[Measured], ours: Sequence[Measured], goal_times: float | None) -> None:
    """Report one of the others, and ours against it."""
    per_second = [one["events_per_second"] for one in theirs]
    details = {"events": theirs[0]["events"], "outputs": theirs[0]["outputs"]}
    report(NAME, f"{title}, events per second", median(per_second), "1/s", **details, **_spread(per_second))
    report(NAME, f"{title}, CPU per event", median(one["cpu_microseconds"] for one in theirs), "µs")
    times = [mine["events_per_second"] / one for mine, one in zip(ours, per_second, strict=True)]
    goal = {} if goal_times is None else {"goal": goal_times}
    report(NAME, f"the reducer against: {title}", median(times), "times", **goal, **_spread(times))


def _spread(values: Sequence[float]) -> Measured:
    """Return the ends of what was measured in several rounds."""
    return {"lowest": round(min(values), 2), "highest": round(max(values), 2), "rounds": len(values)} if len(values) > 1 else {}


async def _measured(name: str, contest: Contest) -> Measured:
    """Run one contender in a process of its own; return what it measured and how many outputs it wrote."""
    python = await quix_python() if name == "quix" else sys.executable
    progress(f"running {TITLES[name]} over {contest.events} events")
    place = _place(contest)
    before = await place.ends(CONVERSATIONS)
    found = await run_apart("tests.bench.backlog", name, contest.to_json(), python=python)
    return {**found, "events": contest.events, "outputs": await place.ends(CONVERSATIONS) - before}


def main() -> None:
    """Measure, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.backlog --events 20000")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=CONTENDERS, help="baselines to run; the reducer always runs")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often all run in turn (default: %(default)s)")
    if len(sys.argv) > 1 and sys.argv[1] in CONTENDERS:
        be_measured(sys.argv[1], Contest.from_json(sys.argv[2]))
        return
    parsed = parser.parse_args()
    asyncio.run(run(parsed.events, parsed.conversations, parsed.only, parsed.rounds))


def be_measured(name: str, contest: Contest) -> None:
    """Be contender `name`, on the last core."""
    keep_output_clean()
    pin(max(cores(), default=None))
    collect_garbage_rarely()
    asyncio.run(importlib.import_module(f"tests.bench.contenders.{name}").run(contest))


if __name__ == "__main__":
    main()
