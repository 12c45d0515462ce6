"""Every benchmark of the reducers walks all its steps, at tiny sizes, on the real broker. No figure is judged here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from devstack.kafka import BOOTSTRAP_VARIABLE
from tests.bench import backlog, growth, recovery, timers
from tests.bench.figures import Benchmark, benchmarks_of

pytestmark = pytest.mark.broker
CONTENDERS = ("raw", "records", "queue_and_lock")
"""Quix Streams would have to be installed first, and the textbook handler is FastStream's own example."""


def found_in(output: str) -> dict[str, Benchmark]:
    """Return what the benchmarks wrote, by name."""
    return {one.name: one for one in benchmarks_of([json.loads(line) for line in output.splitlines()])}


def values(benchmark: Benchmark, figure: str, **details: Any) -> list[float]:
    """Return the values of a figure under some conditions."""
    return [one.value for one in benchmark.figures if one.name == figure and details.items() <= one.details.items()]


async def test_benchmarks_of_the_reducers_run_to_their_end(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The contenders, the growth, the timers and the recovery each report everything that the page shows."""
    monkeypatch.setenv(BOOTSTRAP_VARIABLE, kafka_bootstrap)
    await asyncio.gather(
        backlog.run(400, 20, CONTENDERS, rounds=2),
        growth.run(growth.Sizes(200, 30, (300,), (1,), (2,), 20, rounds=1)),
        timers.run(armed=300, seconds=2.0, ending_per_second=20, messages_per_second=20, start_seconds=6.0),
        recovery.run(rate=50, session_seconds=6.0, steady_seconds=0.5),
    )
    found = found_in(capsys.readouterr().out)
    for title in ("pass-through, whole batches", "pass-through, record by record", "queue plus lock"):
        [(written, events)] = [
            (one.details["outputs"], one.details["events"]) for one in found["backlog"].figures if one.name == f"{title}, events per second"
        ]
        assert written >= events, title
        assert values(found["backlog"], f"the reducer against: {title}")
    assert len(values(found["growth"], "events per second", conversations=300)) == 2, "few of them active, and all"
    assert len(values(found["growth"], "events per second", processes=2)) == 1
    assert values(found["growth"], "loss of events per second from the fewest to the most conversations")
    [fired] = [one.details for one in found["timers"].figures if one.name == "lateness of timers p99"]
    assert fired["fired"] + fired["before_the_start"] >= 40
    for case in ("same instance restarts", "another instance takes over"):
        [first] = values(found["recovery"], "from kill -9 to the first backlog event handled", case=case)
        [last] = values(found["recovery"], "from kill -9 to the last backlog event handled", case=case)
        assert 0 < first <= last
