"""Only shared/clock.py reads clocks and only shared/ids.py draws ids, so that every decision can be repeated."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.sources import Source, dotted, python_sources

CLOCKS = ("time.", "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now", "datetime.date.today")
CHANCE = ("random.", "secrets.", "uuid.uuid", "os.urandom", "uuid1", "uuid4", "uuid_utils.")
ALLOWED = {
    "shared/clock.py": "the clock",
    "shared/ids.py": "the ids",
    "services/ingest/service.py": "draws which webhooks are traced, which no decision depends on",
}
"""Who may, and why. The command line may measure how long it waited (monotonic); the channels' emulator and the demo (devstack) are
other people's clocks."""
MODULES = {"time", "random", "secrets", "uuid"}


def readings(source: Source) -> list[str]:
    """Return each place where a file reads a clock or draws at random, or takes a name that would let it do so unseen."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and (name := dotted(node.func)).startswith((*CLOCKS, *CHANCE)):
            found.append(f"{source.name}:{node.lineno}: {name}")
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and not _is_harmless(node, source):
            found.append(f"{source.name}:{node.lineno}: from {node.module} import …")
    return found


def _is_harmless(node: ast.ImportFrom, source: Source) -> bool:
    """Return whether an import takes only classes (`from uuid import UUID` draws nothing), or a stopwatch for the command line."""
    stopwatch = {"monotonic"} if source.name.startswith("cli/") else set()
    return all(alias.name[0].isupper() or alias.name in stopwatch for alias in node.names)


@pytest.mark.parametrize("folder", ["services", "shared", "cli"])
def test_clocks_and_chance_stay_where_they_belong(folder: str) -> None:
    """Everything else is given the time and its ids."""
    assert [one for source in python_sources(folder) if source.name not in ALLOWED for one in readings(source)] == []


def test_every_exception_is_still_one() -> None:
    """A file that needs its exception no longer loses it."""
    by_name = {source.name: source for source in python_sources("services", "shared")}
    assert [name for name in ALLOWED if not readings(by_name[name])] == []


@pytest.mark.parametrize("line", ["time.time()", "datetime.now(UTC)", "random.random()", "uuid.uuid4()", "from time import monotonic"])
def test_readings_are_found(line: str) -> None:
    """Each way of reading a clock or drawing is seen, called or imported by name."""
    assert readings(Source("x.py", line, ast.parse(line)))


@pytest.mark.parametrize("line", ["clock.now()", "from uuid import UUID", "datetime.combine(day, start)", "from datetime import time"])
def test_harmless_names_are_not(line: str) -> None:
    """A clock that was handed over, a class, a calculation."""
    assert not readings(Source("x.py", line, ast.parse(line)))
