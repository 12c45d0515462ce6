"""Collected stacks become tables and a speedscope file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.profile import ForbiddenError, Profile, take
from tests.bench.samples import REST, parse, speedscope, table

LINES = (
    'process 7:"python";thread (7): MainThread;main (app.py:3);step (/src/engine/step.py:10);decode (/src/topics.py:5) 6',
    "thread (7): MainThread;main (app.py:4);step (/src/engine/step.py:12);decode (/src/topics.py:5) 2",
    "thread (7): MainThread;main (app.py:4);step (/src/engine/step.py:12) 1",
    "thread (8): worker;_bootstrap (threading.py:1);_worker (concurrent/futures/thread.py:81) 50",
    "thread (7): MainThread;_find_and_load (<frozen importlib._bootstrap>:1);exec (x.py:1) 4",
    "thread (7): MainThread 3",
)


def test_waiting_and_starting_are_left_out() -> None:
    """A thread that waits costs nothing, and what is imported is no work; both are counted apart."""
    samples = parse(LINES, ("/src/",))
    assert samples.total == 9
    assert samples.left_out == 57


def test_lines_of_a_function_are_counted_together() -> None:
    """Its own samples are those in which it was innermost; with what it calls, each stack counts once."""
    samples = parse(LINES, ("/src/",))
    assert samples.own() == {"decode (topics.py)": 8, "step (engine/step.py)": 1}
    assert samples.cumulative()["step (engine/step.py)"] == 9
    assert samples.cumulative()["main (app.py)"] == 9


def test_innermost_part_gets_the_sample() -> None:
    """What a rule calls belongs to what was called, as far as that is a part; what fits nowhere is told too."""
    parts = {"engine": r"engine/", "decoding": r"^decode "}
    samples = parse([*LINES, "thread (7): MainThread;other (x.py:1) 2"], ("/src/",))
    assert samples.by_part(parts) == {"decoding": 8, "engine": 1, REST: 2}


def test_speedscope_file_holds_every_stack() -> None:
    """Frames are named once, stacks point to them from the outermost in, and the weights add up."""
    samples = parse(LINES, ("/src/",))
    written = json.loads(speedscope(samples, "reducer"))
    [profile] = written["profiles"]
    names = [frame["name"] for frame in written["shared"]["frames"]]
    assert len(set(names)) == len(names)
    assert sum(profile["weights"]) == profile["endValue"] == samples.total
    assert [[names[frame] for frame in stack] for stack in profile["samples"]] == [list(stack) for stack in samples.stacks]


def test_table_shows_shares_largest_first() -> None:
    """As many rows as were asked for."""
    lines = table("Own", parse(LINES, ("/src/",)).own(), 9, 1).splitlines()
    assert lines == ["Own", "  88.9 %  decode (topics.py)"]


async def test_next_tool_is_tried_where_the_first_is_forbidden(tmp_path: Path) -> None:
    """A system that lets nobody look into a process still gives a profile, from inside; another error is told."""
    tried = []

    async def forbidden(profile: Profile) -> None:
        tried.append(profile.tool)
        if profile.tool == "py-spy":
            raise ForbiddenError("Permission denied")

    taken = await take("reducer", ("py-spy", "cprofile"), tmp_path, forbidden)
    assert tried == ["py-spy", "cprofile"]
    assert taken.path.suffix == ".pstats"
    with pytest.raises(ForbiddenError):
        await take("reducer", ("py-spy",), tmp_path, forbidden)
