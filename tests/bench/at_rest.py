"""What the whole costs while nothing happens: memory of each service at rest and after a backlog, and CPU of everything at rest.

The baselines of the same run: a process that has imported the same libraries and does nothing, and the broker without any service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from devstack.load.house import EMULATOR, ENVIRONMENT, House, opened_house
from devstack.load.process import run_load_apart
from devstack.stack import Stack, StackOptions, running_stack
from tests.bench.reporting import progress, report

NAME = "at_rest"
CONFIG = Path(__file__).resolve().parents[2] / "config"
MEGABYTE = 1024 * 1024
GOALS_MEGABYTES = {"router": (250, 400)}
GOAL_MEGABYTES = (120, 250)
"""At rest, and after the backlog; the router carries the language model."""
GOAL_CPU_PERCENT = 15
ITEMS_PER_POST = 200
POSTS_PER_SECOND = 20.0
SETTLE_SECONDS = 5.0
STILL_SECONDS = 3.0
STILL_SECONDS_MAX = 900.0
BROKER_CLASS = "kafka.Kafka"
LIBRARIES = "aiohttp, aiokafka, orjson, opentelemetry.sdk.trace, prometheus_client, pydantic_settings, sqlite3, structlog, yaml"


async def run(*, seconds: float = 30.0, messages: int = 20_000) -> None:
    """Measure the baselines, then everything, report."""
    with tempfile.TemporaryDirectory() as directory:
        report(NAME, "libraries alone, memory", await _libraries_alone(), "MB", libraries=LIBRARIES)
        await _broker_alone(Path(directory), seconds)
        options = StackOptions(
            directory=Path(directory), config_directory=CONFIG, environment=ENVIRONMENT, emulator=EMULATOR, on_step=progress
        )
        async with opened_house(options) as house:
            await asyncio.sleep(SETTLE_SECONDS)
            _report_memory(house.stack, "memory at rest", 0)
            await _report_cpu(house.stack, "CPU at rest", seconds)
            progress(f"pushing {messages} messages in")
            took = await _backlog(house, messages)
            progress(f"worked off in {took:.0f} s")
            _report_memory(house.stack, "memory after the backlog", 1, messages=messages, worked_off_seconds=round(took, 1))
            await _report_cpu(house.stack, "CPU at rest after the backlog", seconds)


async def _libraries_alone() -> float:
    """Return the megabytes of a process that has imported what a service imports, and nothing of ours."""
    code = f"import {LIBRARIES}; print('ready', flush=True); import time; time.sleep(60)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        return float(psutil.Process(process.pid).memory_info().rss / MEGABYTE)
    finally:
        process.kill()
        await process.wait()


async def _broker_alone(directory: Path, seconds: float) -> None:
    """Report the broker's CPU while nobody is connected."""
    async with running_stack(StackOptions(directory=directory, config_directory=CONFIG, services=())) as stack:
        await asyncio.sleep(SETTLE_SECONDS)
        await _report_cpu(stack, "CPU without services", seconds, goal=None)


async def _report_cpu(stack: Stack, figure: str, seconds: float, goal: float | None = GOAL_CPU_PERCENT) -> None:
    """Report the CPU of broker and services over `seconds`; the emulator is no part of the whole, but shown."""
    before, started = cpu_seconds(stack), time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - started
    percent = {name: (cpu - before.get(name, 0.0)) / elapsed * 100 for name, cpu in cpu_seconds(stack).items()}
    details: dict[str, Any] = {"by_process": {name: round(one, 2) for name, one in percent.items()}, "seconds": seconds}
    if goal is not None:
        details["goal"] = goal
    report(NAME, figure, sum(one for name, one in percent.items() if name != "emulator"), "% of one core", **details)


def _report_memory(stack: Stack, figure: str, moment: int, **details: Any) -> None:
    for name in stack.options.services:
        process = psutil.Process(stack.children[name].pid)
        goal = GOALS_MEGABYTES.get(name, GOAL_MEGABYTES)[moment]
        shared = _proportional_megabytes(process)
        if shared is not None:
            details["proportional_megabytes"] = round(shared, 1)
        report(NAME, figure, process.memory_info().rss / MEGABYTE, "MB", process=name, goal=goal, **details)


def _proportional_megabytes(process: psutil.Process) -> float | None:
    """Return the memory with shared pages counted in parts (PSS), where the system tells."""
    full = process.memory_full_info()
    return full.pss / MEGABYTE if hasattr(full, "pss") else None


async def _backlog(house: House, messages: int) -> float:
    """Push `messages` in, many to a webhook, and return the seconds until everything that follows has happened."""
    script = house.script(messages, "backlog")
    await house.introduce(script)
    started = time.monotonic()
    await run_load_apart(house.load(script, POSTS_PER_SECOND, max(1, messages // ITEMS_PER_POST), items_per_post=ITEMS_PER_POST))
    await _until_still(house)
    return time.monotonic() - started - STILL_SECONDS


async def _until_still(house: House) -> None:
    """Return when nothing was decided, sent or told for STILL_SECONDS. Raises TimeoutError after STILL_SECONDS_MAX."""
    async with asyncio.timeout(STILL_SECONDS_MAX):
        last: tuple[Mapping[str, float], Mapping[str, int]] | None = None
        while True:
            now = (await house.gauges("parley_events_decided_total"), await house.emulator.counts())
            if now == last:
                return
            last = now
            await asyncio.sleep(STILL_SECONDS)


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Return the CPU that every process of the stack has used so far, by name; `broker` where it is ours."""
    pids: dict[str, int] = {name: child.pid for name, child in stack.children.items() if child.pid is not None}
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    brokers = [one for one in psutil.Process(os.getpid()).children(recursive=True) if BROKER_CLASS in one.cmdline()]
    processes.update({"broker" if number == 0 else f"broker {number}": one for number, one in enumerate(brokers)})
    return {name: float(sum(process.cpu_times()[:2])) for name, process in processes.items()}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.at_rest --seconds 10 --messages 1000")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is watched (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=20_000, help="length of the backlog (default: %(default)s)")
    parsed = parser.parse_args()
    asyncio.run(run(seconds=parsed.seconds, messages=parsed.messages))


if __name__ == "__main__":
    main()
