"""The whole way of a message under load: from the moment a webhook is due to the bot's answer at the channel's API.

The baseline is the same number of calls made to the channel's API directly, without anything of ours between.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from devstack.load.hops import hops
from devstack.load.house import EMULATOR, ENVIRONMENT, House, Trial, opened_house
from devstack.load.pace import quantile
from devstack.load.process import Report
from devstack.stack import StackOptions
from tests.bench.at_rest import cpu_seconds
from tests.bench.reporting import progress, report

NAME = "end_to_end"
CONFIG = Path(__file__).resolve().parents[2] / "config"
RATE_PER_SECOND = 100
SEARCH_RATES = (150, 200, 300, 400, 500, 600, 800, 1_000)
WARM_UP_SECONDS = 20.0
"""The broker's code is compiled while it runs: its first thousands of requests cost it several times as much as later ones."""


async def run(
    *, rate: float = RATE_PER_SECOND, seconds: float = 60.0, trial_seconds: float = 20.0, rates: Sequence[int] = SEARCH_RATES
) -> None:
    """Measure at the fixed rate, search the highest that is held, report."""
    with tempfile.TemporaryDirectory() as directory:
        options = StackOptions(
            directory=Path(directory), config_directory=CONFIG, environment=ENVIRONMENT, emulator=EMULATOR, on_step=progress
        )
        async with opened_house(options) as house:
            progress("warming up")
            await house.trial(rate, min(WARM_UP_SECONDS, seconds))
            progress(f"{rate:g} calls a second to the channel itself, {seconds:.0f} s")
            direct = await house.direct(rate, seconds)
            await _fixed_rate(house, rate, seconds, direct)
            if rates:
                await _search(house, rates, trial_seconds, seconds)


async def _fixed_rate(house: House, rate: float, seconds: float, direct: Report) -> None:
    """Measure and report the fixed rate, and where its time and its CPU go."""
    progress(f"{rate:g} messages a second through everything, {seconds:.0f} s")
    before = cpu_seconds(house.stack)
    trial = await house.trial(rate, seconds)
    after = cpu_seconds(house.stack)
    messages = len(trial.latencies)
    details = {"rate_per_second": trial.rate, "seconds": seconds, "messages": messages}
    if not trial.answered:
        message = f"no question was answered: {trial.generator.statuses}"
        raise RuntimeError(message)
    milliseconds = [latency * 1000 for latency in trial.answered]
    report(NAME, "webhook to channel call p50", quantile(milliseconds, 0.5), "ms", goal=100, **details)
    report(NAME, "webhook to channel call p99", quantile(milliseconds, 0.99), "ms", goal=400, unanswered=trial.unanswered, **details)
    report(NAME, "webhook answered p99", trial.generator.milliseconds_p99, "ms", statuses=trial.generator.statuses, **details)
    report(NAME, "direct call of the channel p50", direct.milliseconds_p50, "ms", **details)
    report(NAME, "direct call of the channel p99", direct.milliseconds_p99, "ms", **details)
    for name, cpu in after.items():
        report(NAME, "CPU per message", (cpu - before.get(name, 0.0)) / messages * 1000, "ms", process=name)
    for part, found in (await hops(house.stack, trial.script)).items():
        report(NAME, "part of the way p50", quantile(found, 0.5), "ms", part=part, p99_ms=round(quantile(found, 0.99), 1))


async def _search(house: House, rates: Sequence[int], trial_seconds: float, seconds: float) -> None:
    """Find the highest of `rates` that is held: short trials upwards, then a long one, downwards until it is held."""
    held: list[int] = []
    for rate in rates:
        trial = await house.trial(rate, trial_seconds)
        progress(f"{rate}/s: {_medians(trial)}")
        if not trial.held:
            break
        held.append(rate)
    for rate in reversed(held):
        trial = await house.trial(rate, seconds)
        if trial.held:
            milliseconds = [latency * 1000 for latency in trial.answered]
            found = {"p50_ms": round(quantile(milliseconds, 0.5), 1), "p99_ms": round(quantile(milliseconds, 0.99), 1)}
            report(NAME, "highest rate held", rate, "1/s", **found, seconds=seconds, lag_seconds=trial.lag_seconds, cores=os.cpu_count())
            return
        progress(f"{rate}/s was not held for {seconds:.0f} s: {_medians(trial)}")
    report(NAME, "highest rate held", 0, "1/s", lowest_tried=rates[0], seconds=seconds, cores=os.cpu_count())


def _medians(trial: Trial) -> str:
    """Return the medians by quarter, for people."""
    medians = " ".join(f"{trial.quarter(number) * 1000:.0f}" for number in range(4))
    return f"medians by quarter {medians} ms, {trial.unanswered} without an answer, {'held' if trial.held else 'not held'}"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.end_to_end --seconds 20 --rates 150 200")
    parser.add_argument("--rate", type=float, default=RATE_PER_SECOND, help="messages per second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measured loads (default: %(default)s)")
    parser.add_argument("--trial-seconds", type=float, default=20.0, help="length of a trial of the search (default: %(default)s)")
    parser.add_argument("--rates", type=int, nargs="*", default=SEARCH_RATES, help="rates that the search tries, in order")
    parsed = parser.parse_args()
    asyncio.run(run(rate=parsed.rate, seconds=parsed.seconds, trial_seconds=parsed.trial_seconds, rates=parsed.rates))


if __name__ == "__main__":
    main()
