"""The command line as a whole: help, exit codes, one line per error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import BrokerUnavailableError, ParleyError
from tests.cli.cli_world import parley

COMMANDS = (
    ("up",), ("run",), ("check",), ("topics", "create"), ("topics", "list"), ("topics", "describe"), ("schema",), ("replay",),
    ("trace",), ("simulate",),
)  # fmt: skip
HEAVY = ("rich", "pydantic", "aiokafka", "aiohttp", "structlog", "fastapi", "yaml")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    """Whoever asks a command for help sees how it is used."""
    ran = parley(*command, "--help")
    assert ran.code == 0
    assert f"Examples:\n    parley {' '.join(command)}" in ran.out


def test_help_loads_nothing_heavy() -> None:
    """`parley --help` is quick because the parts of the commands are not imported."""
    program = f"import cli.main, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 # our own program
    assert found.stdout.strip() == "[]"


def test_no_command_shows_the_help() -> None:
    """The bare name explains itself, and is no success."""
    ran = parley()
    assert "Commands:" in ran.out + ran.err
    assert ran.code == 2


def test_a_wrong_option_is_exit_code_2() -> None:
    """A mistake on the command line is told apart from work that failed."""
    assert parley("check", "--no-such-option").code == 2
    assert parley("run", "no-such-service").code == 2


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ParleyError("it is so: do this"), 1, "parley: it is so: do this\n"),
        (BrokerUnavailableError("no broker: start one"), 69, "parley: no broker: start one\n"),
        (ZeroDivisionError("secret"), 70, "parley: an error of ours (ZeroDivisionError); run it again with --verbose"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str) -> None:
    """Every kind of failure says what to do in one line, and has a code of its own."""

    def fail(_directory: Path) -> bool:
        raise error

    monkeypatch.setattr("cli.checking.report", fail)
    ran = parley("check")
    assert ran.code == code
    assert ran.err.startswith(line)
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    assert "secret" not in ran.err


@pytest.mark.parametrize("arguments", [("--verbose", "check"), ("check", "--verbose")])
def test_verbose_shows_the_traceback_wherever_it_stands(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """The traceback is for who asks for it."""

    def fail(_directory: Path) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("cli.checking.report", fail)
    ran = parley(*arguments)
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("parley: an error of ours")


def test_a_broker_that_is_not_there_is_one_line() -> None:
    """The client library's own complaints stay off the screen."""
    ran = parley("topics", "list", "--bootstrap", "127.0.0.1:1")
    assert ran.code == 69
    assert ran.err.count("\n") == 1
    assert "is it running, and is KAFKA_BOOTSTRAP_SERVERS (or --bootstrap) right?" in ran.err


def test_run_starts_a_service_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`parley run sla` is `python -m services.sla`."""
    started: list[str] = []
    monkeypatch.setattr("services.sla.service.main", lambda: started.append("sla"))
    assert parley("run", "sla").code == 0
    assert started == ["sla"]


def test_run_of_a_misconfigured_service_is_exit_code_78(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting it again would not help, and the code says so to whoever supervises."""
    monkeypatch.setenv("PARLEY_CONFIG_DIRECTORY", str(tmp_path / "missing"))
    ran = parley("run", "bot")
    assert ran.code == 78
    assert "missing is no directory" in ran.err


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no failure of the command, and shows no traceback."""

    def interrupt(_directory: Path) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.checking.report", interrupt)
    ran = parley("check")
    assert ran.code == 130
    assert "Traceback" not in ran.err
