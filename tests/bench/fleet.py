"""One or more processes of a reducer over a backlog: joined first, frozen while the topics are filled, then measured together.

Frozen, because a process that joins later would halve the other's work in the middle of the measurement, and because filling the topics
costs CPU that is not the reducer's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.engine.placement import partition_of
from shared.engine.records import Publication
from tests.bench.measured_loop import Member
from tests.bench.world import ROOT, ApartError, Place, cores

JOIN_SECONDS_MAX = 120.0
WORK_SECONDS_MAX = 600.0
END_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a fleet did: events per second of all together, CPU per event, and the largest memory of one process."""

    events_per_second: float
    cpu_microseconds: float
    memory_megabytes: float


async def work_off(place: Place, store: Path, backlog: Sequence[Publication], *, processes: int = 1) -> Work:
    """Let `processes` processes, each with its share of the partitions and a core of its own, work `backlog` off."""
    async with _fleet(place, store, processes) as fleet:
        owned: list[list[int]] = [(await _heard(process, JOIN_SECONDS_MAX))["owned"] for process in fleet]
        for process in fleet:
            process.send_signal(signal.SIGSTOP)
        try:
            await place.fill(backlog)
        finally:
            for process in fleet:
                process.send_signal(signal.SIGCONT)
        counted = Counter(partition_of(publication.key.encode(), place.partitions) for publication in backlog)
        for process, shards in zip(fleet, owned, strict=True):
            assert process.stdin is not None  # asked for
            process.stdin.write(json.dumps({"events": sum(counted[shard] for shard in shards)}).encode() + b"\n")
        return _together([await _heard(process, WORK_SECONDS_MAX) for process in fleet])


def _together(found: Sequence[dict[str, Any]]) -> Work:
    """Return what the processes did, from the first that began to the last that ended."""
    events = sum(one["events"] for one in found)
    seconds = max(one["ended"] for one in found) - min(one["began"] for one in found)
    cpu = sum(one["cpu_seconds"] for one in found)
    return Work(events / seconds, cpu / events * 1e6, max(one["memory_megabytes"] for one in found))


async def _heard(process: asyncio.subprocess.Process, seconds: float) -> dict[str, Any]:
    """Return the next line that a process says."""
    assert process.stdout is not None  # asked for
    async with asyncio.timeout(seconds):
        line = await process.stdout.readline()
    if not line:
        raise ApartError(f"a reducer's process ended with {await process.wait()}; its own words are above")
    found: dict[str, Any] = json.loads(line)
    return found


@asynccontextmanager
async def _fleet(place: Place, store: Path, processes: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Start the processes; end them, however they are, when the context is left."""
    free: list[int | None] = [*reversed(cores())] or [None]
    started: list[asyncio.subprocess.Process] = []
    try:
        for number in range(processes):
            member = Member(
                place.bootstrap,
                place.prefix,
                place.partitions,
                str(number),
                str(store),
                place.partitions // processes,
                free[number % len(free)],
            )
            started.append(await _start(member))
        yield started
    finally:
        for process in started:
            await _end(process)


async def _start(member: Member) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.measured_loop",
        member.to_json(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for the process's own end; kill it where that does not come."""
    try:
        async with asyncio.timeout(END_SECONDS_MAX if process.returncode is None and not sys.exc_info()[0] else 0):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
