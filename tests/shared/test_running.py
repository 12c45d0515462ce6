"""What surrounds a running service: probes that follow its loops, signals that end it, misconfiguration in one line."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from shared.engine.status import LoopStatus
from shared.errors import ConfigurationError
from shared.running import EXIT_MISCONFIGURED, Surroundings, run_service, surroundings
from shared.settings import ServiceSettings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the process its own logging and signals back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.fixture
def settings() -> ServiceSettings:
    """Return settings that touch nothing outside."""
    return ServiceSettings(health_port=0, records_max=7, session_timeout_seconds=6)


async def test_readiness_follows_the_loops(settings: ServiceSettings) -> None:
    """Ready when every loop has an assignment and none has stopped; the reason is told otherwise."""
    async with surroundings("test", settings) as around:
        assert around.ready().explanation == "starting"
        one, other = LoopStatus(ready=True), LoopStatus()
        around.statuses = [one, other]
        assert around.ready().explanation == "waiting for an assignment"
        other.ready = True
        assert around.ready().well
        one.stopped = "more than 5 dead letters in a minute"
        assert around.ready().explanation == one.stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_the_service_to_stop(settings: ServiceSettings, number: signal.Signals) -> None:
    """The batch in hand is finished first; nothing is torn down in the handler."""
    async with surroundings("test", settings) as around:
        os.kill(os.getpid(), number)
        await around.stop.wait()


async def test_settings_become_the_bounds_of_the_loop(settings: ServiceSettings) -> None:
    """What an operator sets is what the loop does."""
    async with surroundings("test", settings) as around:
        options = around.loop_options()
        assert (options.records_max, options.session_timeout_milliseconds, options.instance) == (7, 6_000, "0")
        assert isinstance(around, Surroundings)
        assert around.publisher("test").failing is False


async def test_a_clock_is_wrong_by_what_was_asked_for() -> None:
    """Trials of clocks that do not agree set it; durations stay true."""
    skewed = ServiceSettings(health_port=0, clock_skew_seconds=-300)
    async with surroundings("test", skewed) as around:
        assert timedelta(seconds=-301) < around.clock.now() - datetime.now(UTC) < timedelta(seconds=-299)
        assert abs(around.clock.monotonic_seconds() - time.monotonic()) < 1


def test_a_skew_beyond_a_day_is_refused() -> None:
    """It would be no clock that does not agree but a mistake."""
    with pytest.raises(ConfigurationError, match="PARLEY_CLOCK_SKEW_SECONDS"):
        ServiceSettings(clock_skew_seconds=90_000)


def test_a_misconfigured_service_ends_with_one_line_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Starting it again would not help, and the supervisor can tell."""

    async def serve() -> None:
        raise ConfigurationError("config/agents.yaml:3: nobody is called so")

    with pytest.raises(SystemExit) as ended:
        run_service("bot", serve)
    assert ended.value.code == EXIT_MISCONFIGURED
    assert capsys.readouterr().err == "bot: config/agents.yaml:3: nobody is called so\n"
