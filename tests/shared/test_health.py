"""The probes answer over HTTP, also while the event loop does not turn."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import ManualClock, SystemClock
from shared.errors import ConfigurationError
from shared.health import LOOP_SILENT_SECONDS_MAX, HealthServer, Heartbeat, Probe
from shared.metrics import Metrics

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATIENCE_SECONDS = 10.0


class Served:
    """A server whose answers a test changes."""

    def __init__(self) -> None:
        self.live = Probe(well=True)
        self.ready = Probe(well=False, explanation="waiting for an assignment")
        self.metrics = Metrics()
        self.server = HealthServer("127.0.0.1", 0, live=lambda: self.live, ready=lambda: self.ready, metrics=self.metrics)
        self.server.start()

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port}{path}", timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve probes on a free port."""
    one = Served()
    yield one
    one.server.stop()


def test_a_probe_is_200_when_well_and_503_with_the_reason_when_not(served: Served) -> None:
    """Kubernetes reads the status, a person the line."""
    assert served.get("/live") == (200, "ok\n")
    assert served.get("/ready") == (503, "waiting for an assignment\n")
    served.ready, served.live = Probe(well=True), Probe(well=False, explanation="silent")
    assert served.get("/ready") == (200, "ok\n")
    assert served.get("/live") == (503, "silent\n")


def test_metrics_are_served_in_the_text_format(served: Served) -> None:
    """What was counted a moment ago is in the answer."""
    served.metrics.decided.labels("bot").inc(3)
    status, body = served.get("/metrics")
    assert status == 200
    assert 'parley_events_decided_total{reducer="bot"} 3.0' in body


def test_another_path_is_answered_with_what_there_is(served: Served) -> None:
    """A slip in a manifest explains itself."""
    assert served.get("/healthz") == (404, "/live, /ready or /metrics\n")


def test_many_ask_at_once(served: Served) -> None:
    """A slow scrape does not hold up the probes."""
    waiting, entered = threading.Event(), threading.Event()

    def exposition() -> bytes:
        entered.set()
        assert waiting.wait(PATIENCE_SECONDS)
        return b"done"

    served.metrics.exposition = exposition  # type: ignore[method-assign] # a scrape that takes as long as the test wants
    answers: list[tuple[int, str]] = []
    scrape = threading.Thread(target=lambda: answers.append(served.get("/metrics")))
    scrape.start()
    assert entered.wait(PATIENCE_SECONDS)
    assert served.get("/live") == (200, "ok\n")
    waiting.set()
    scrape.join(PATIENCE_SECONDS)
    assert answers == [(200, "done")]


async def test_a_probe_answers_while_the_event_loop_is_blocked(served: Served) -> None:
    """A loop that computes for a minute recovers by itself and must not be killed for it."""
    answered = threading.Event()
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        answers.append(served.get("/live"))
        answered.set()

    threading.Thread(target=ask).start()
    assert answered.wait(PATIENCE_SECONDS)  # this blocks the loop until the answer has come from elsewhere
    assert answers == [(200, "ok\n")]


async def test_how_long_the_loop_was_blocked_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge is overwritten a second later, before anybody scrapes it; the sum stays, for an alert on its growth."""
    monkeypatch.setattr("shared.health.HEARTBEAT_SECONDS", 0.001)
    clock, metrics = ManualClock(NOON), Metrics()
    beating = asyncio.create_task(Heartbeat(clock, metrics).run())
    await asyncio.sleep(0)
    clock.advance(timedelta(seconds=60))
    for _ in range(1000):
        await asyncio.sleep(0.001)
        blocked = metrics.registry.get_sample_value("parley_loop_blocked_seconds_total") or 0.0
        if blocked:
            break
    beating.cancel()
    assert blocked == pytest.approx(60, abs=0.01)
    assert metrics.registry.get_sample_value("parley_loop_lag_seconds") is not None


def test_a_loop_is_dead_after_twice_the_longest_block() -> None:
    """Until then it is only busy."""
    clock = ManualClock(NOON)
    heartbeat = Heartbeat(clock, Metrics())
    clock.advance(timedelta(seconds=LOOP_SILENT_SECONDS_MAX))
    assert heartbeat.live().well
    clock.advance(timedelta(seconds=1))
    assert heartbeat.live() == Probe(well=False, explanation="the event loop has been silent for 121 s")


async def test_the_heartbeat_measures_how_late_the_loop_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that comes three seconds after its second was three seconds late; a beat in time brings the probe back."""
    monkeypatch.setattr("shared.health.HEARTBEAT_SECONDS", 0.0)
    clock, metrics = ManualClock(NOON), Metrics()
    heartbeat = Heartbeat(clock, metrics)
    clock.advance(timedelta(seconds=LOOP_SILENT_SECONDS_MAX + 3))
    beating = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(0)  # it begins to wait
    await asyncio.sleep(0)  # it beats
    assert heartbeat.live().well
    assert metrics.registry.get_sample_value("parley_loop_lag_seconds") == LOOP_SILENT_SECONDS_MAX + 3
    beating.cancel()
    await asyncio.wait({beating})


async def test_a_loop_that_turns_is_live() -> None:
    """With the machine's clock, too."""
    assert Heartbeat(SystemClock(), Metrics()).live().well


def test_a_port_that_is_taken_says_what_to_do(served: Served) -> None:
    """Two services on one machine are told apart by their ports."""
    with pytest.raises(ConfigurationError, match="PARLEY_HEALTH_PORT"):
        HealthServer("127.0.0.1", served.server.port, live=lambda: served.live, ready=lambda: served.ready, metrics=served.metrics)


def test_a_stopped_server_frees_its_port() -> None:
    """The next process can have it."""
    first = Served()
    port = first.server.port
    first.server.stop()
    second = HealthServer("127.0.0.1", port, live=lambda: Probe(well=True), ready=lambda: Probe(well=True), metrics=Metrics())
    second.start()
    second.stop()
