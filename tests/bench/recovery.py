"""Recovery: from kill -9 of a router process to the first and the last event of its backlog handled, while messages flow.

Two processes share the partitions. Case one: the killed instance is started again at once, as a supervisor does; static membership gives
it its partitions back without a rebalance. Case two: it stays dead, and the other has to take its partitions over, which the group lets
it do when the session has timed out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from devstack.kafka import kafka_bootstrap_servers
from devstack.stack import READERS
from shared.clock import SystemClock
from shared.engine.placement import partition_of
from shared.engine.records import Publication
from shared.ids import webhook_item_id
from shared.topics import CONVERSATIONS, all_topics
from tests.bench.flow import Flow, Reader, Seen, running
from tests.bench.reporting import progress, report
from tests.bench.services import Service, running_service
from tests.bench.world import ACCOUNT, CHANNEL, Place, fresh_prefix, message, thread_of, until

NAME = "recovery"
PARTITIONS = 6
REDUCER = "conversation"
CONVERSATIONS_WRITTEN_BY = 2_000
RATE_PER_SECOND = 1_000.0
SESSION_SECONDS = 45.0
GOAL_SECONDS_BEYOND_SESSION = 5.0
SUPERVISOR_SECONDS = 0.3
"""How long `parley up` waits before it starts a crashed service again."""
STEADY_SECONDS = 8.0
"""How long messages flow before a kill and after the recovery."""
RECOVERY_SECONDS_MAX = 120.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Outage:
    """A kill at `killed_at` of the owner of `partitions`, and when it was over for good (seconds since 1970).

    `steps` are seconds after the kill: the new process ran its service, somebody owned the partitions again.
    """

    killed_at: float
    partitions: frozenset[int]
    over_at: float
    steps: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handled:
    """One message of a customer: its partition, when it was written, and when its effect was (seconds since 1970)."""

    partition: int
    written_at: float
    handled_at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the kill to the first and to the last backlog event handled, how many those were, and how long others stood still."""

    first_seconds: float
    last_seconds: float
    backlog: int
    others_still_seconds: float


def recovery_of(handled: Iterable[Handled], outage: Outage) -> Recovery:
    """Return what an outage looked like: the backlog is what was written until the first event was handled again, and not handled before.

    Raises RuntimeError where nothing of the backlog was handled.
    """
    everything = list(handled)
    ours = [one for one in everything if one.partition in outage.partitions]
    others = [one for one in everything if one.partition not in outage.partitions]
    after = [one for one in ours if one.handled_at > outage.killed_at]
    if not after:
        raise RuntimeError("nothing of the killed process's partitions was handled again")
    first = min(one.handled_at for one in after)
    backlog = [one for one in after if one.written_at <= first]
    last = max((one.handled_at for one in backlog), default=first)
    return Recovery(first - outage.killed_at, last - outage.killed_at, len(backlog), _longest_silence(others, outage))


def _longest_silence(handled: Sequence[Handled], outage: Outage) -> float:
    """Return the longest time without an event handled between the kill and its end; 0 where there were no others."""
    moments = sorted(one.handled_at for one in handled if outage.killed_at <= one.handled_at <= outage.over_at)
    whole = [outage.killed_at, *moments, outage.over_at] if handled else []
    return max((later - earlier for earlier, later in pairwise(whole)), default=0.0)


async def run(*, rate: float = RATE_PER_SECOND, session_seconds: float = SESSION_SECONDS, steady_seconds: float = STEADY_SECONDS) -> None:
    """Measure both cases, report."""
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as exits:
            bootstrap = await exits.enter_async_context(kafka_bootstrap_servers(Path(directory) / "kafka"))
            place = Place(bootstrap, fresh_prefix("recovery"), PARTITIONS)
            await place.make(all_topics(READERS))
            settings = {"PARLEY_SESSION_TIMEOUT_SECONDS": str(session_seconds)}
            services = [Service("router", str(number), place, Path(directory) / "data", settings) for number in range(2)]
            for service in services:
                await exits.enter_async_context(running_service(service))
            await _shared_out(services)
            world = _World(place, rate, steady_seconds)
            async with running(world.flow, world.reader):
                progress("kill -9, the same instance starts again at once")
                again = await world.restarted(services[0])
                await _shared_out(services)
                progress(f"kill -9, the other instance takes over (session {session_seconds:g} s)")
                taken_over = await world.taken_over(*services)
            for case, outage in (("same instance restarts", again), ("another instance takes over", taken_over)):
                _report(
                    case, recovery_of(world.handled(), outage), outage.steps, {"rate_per_second": rate, "session_seconds": session_seconds}
                )


async def _shared_out(services: Sequence[Service]) -> None:
    """Return when each process owns its half."""
    await asyncio.gather(*(service.owns(REDUCER, lambda count: count == PARTITIONS // 2) for service in services))


class _World:
    """Messages that flow, and what became of them."""

    def __init__(self, place: Place, rate: float, steady_seconds: float) -> None:
        self.flow = Flow(place, rate, _message)
        self.reader = Reader(place, CONVERSATIONS, (".message.appended.v1",))
        self._place = place
        self._steady_seconds = steady_seconds

    def handled(self) -> list[Handled]:
        """Return every message that was handled: the first time counts, another owner may publish it again."""
        numbers = {_event_id(number): number for number in range(len(self.flow.written_at))}
        first: dict[int, Seen] = {}
        for seen in self.reader.seen:
            number = numbers.get(seen.event["causationid"])
            if number is not None and (number not in first or seen.written_at < first[number].written_at):
                first[number] = seen
        return [Handled(seen.partition, self.flow.written_at[number], seen.written_at) for number, seen in first.items()]

    async def restarted(self, victim: Service) -> Outage:
        """Kill `victim` and start it again, as its supervisor would."""
        owned = frozenset(victim.owned[REDUCER])
        await asyncio.sleep(self._steady_seconds)
        killed_at = time.time()
        await victim.kill()
        await asyncio.sleep(SUPERVISOR_SECONDS)
        await victim.start()
        await victim.owns(REDUCER, bool, seconds=RECOVERY_SECONDS_MAX)
        steps = {"started": victim.logged_at["service.started"], "assigned": time.time()}
        return await self._recovered(killed_at, owned, steps)

    async def taken_over(self, victim: Service, other: Service) -> Outage:
        """Kill `victim` and let `other` have all."""
        owned = frozenset(victim.owned[REDUCER])
        killed_at = time.time()
        await victim.kill()
        await other.owns(REDUCER, lambda count: count == PARTITIONS, seconds=RECOVERY_SECONDS_MAX)
        return await self._recovered(killed_at, owned, {"assigned": time.time()})

    async def _recovered(self, killed_at: float, partitions: frozenset[int], steps: Mapping[str, float]) -> Outage:
        """Return when everything written before now has been handled on `partitions`, and STEADY_SECONDS more."""
        async with asyncio.timeout(RECOVERY_SECONDS_MAX):
            await until(lambda: self._handled_since(killed_at, partitions), POLL_SECONDS)
            wanted = self._written_on(partitions)
            await until(lambda: self._handled_on(partitions) >= wanted, POLL_SECONDS)
        over_at = time.time()
        await asyncio.sleep(self._steady_seconds)
        return Outage(killed_at, partitions, over_at, {name: at - killed_at for name, at in steps.items()})

    def _handled_since(self, moment: float, partitions: frozenset[int]) -> bool:
        """Return whether anything was handled on `partitions` after `moment`."""
        return any(seen.partition in partitions and seen.written_at > moment for seen in reversed(self.reader.seen))

    def _handled_on(self, partitions: frozenset[int]) -> int:
        """Return how many messages were handled on `partitions`."""
        return len({seen.event["causationid"] for seen in self.reader.seen if seen.partition in partitions})

    def _written_on(self, partitions: frozenset[int]) -> int:
        """Return how many messages were written to `partitions` so far."""
        numbers = range(len(self.flow.written_at))
        return sum(partition_of(_thread(number).encode(), self._place.partitions) in partitions for number in numbers)


def _thread(number: int) -> str:
    return thread_of(number % CONVERSATIONS_WRITTEN_BY)


def _message(number: int) -> Publication:
    return message(number % CONVERSATIONS_WRITTEN_BY, number, SystemClock().now())


def _event_id(number: int) -> str:
    return webhook_item_id(CHANNEL, ACCOUNT, "message", f"wamid.{number}")


def _report(case: str, found: Recovery, steps: Mapping[str, float], settings: Mapping[str, float]) -> None:
    details = {"case": case, **settings, "cores": os.cpu_count()}
    goal = settings["session_seconds"] + GOAL_SECONDS_BEYOND_SESSION
    for step, seconds in steps.items():
        report(NAME, f"from kill -9 to {step}", seconds, "s", **details)
    report(NAME, "from kill -9 to the first backlog event handled", found.first_seconds, "s", goal=goal, **details)
    report(NAME, "from kill -9 to the last backlog event handled", found.last_seconds, "s", goal=goal, backlog=found.backlog, **details)
    report(NAME, "longest silence on the other process's partitions", found.others_still_seconds, "s", **details)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.recovery --session-seconds 6 --rate 200")
    parser.add_argument("--rate", type=float, default=RATE_PER_SECOND, help="messages per second (default: %(default)s)")
    parser.add_argument("--session-seconds", type=float, default=SESSION_SECONDS, help="session time-out (default: %(default)s)")
    parsed = parser.parse_args()
    asyncio.run(run(rate=parsed.rate, session_seconds=parsed.session_seconds))


if __name__ == "__main__":
    main()
