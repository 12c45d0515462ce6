"""The page of figures follows from the lines of runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench.figures import Figure, benchmarks_of, merged
from tests.bench.page import COSTS, PAGE, contenders, render, write
from tests.bench.picture import bars, number

BEGAN = {"date": "2026-01-31", "python": "3.11.7", "cores": 2, "load_before": 0.25, "system": "Linux", "quick": False}


def line(benchmark: str, figure: str, value: float, unit: str, **details: Any) -> dict[str, Any]:
    """Return a line as a benchmark writes it."""
    return {"benchmark": benchmark, "figure": figure, "value": value, "unit": unit, **details}


LINES: list[dict[str, Any]] = [
    {"benchmark": "backlog", "began": BEGAN},
    line("backlog", "reducer events per second", 21_000.0, "1/s", goal=10_000, events=100_000),
    line("backlog", "textbook handler, events per second", 1_500.4, "1/s"),
    line("backlog", "the reducer against: textbook handler", 9.9, "times", goal=10),
    {"benchmark": "backlog", "remark": "Quix Streams: did not install: no network"},
    {"benchmark": "backlog", "took_seconds": 61.4},
    {"benchmark": "growth", "began": {**BEGAN, "load_before": 1.5, "quick": True}},
    line("growth", "events per second", 18_000.0, "1/s", conversations=1_000, events=40_000),
    line("growth", "memory", 160.26, "MB", conversations=1_000, events=40_000, backlog=12),
    line("growth", "events per second", 12_000.0, "1/s", conversations=1_000_000, events=40_000),
    {"benchmark": "growth", "took_seconds": 12.0, "failed": "TimeoutError: too late"},
]


@pytest.mark.parametrize(
    ("value", "goal", "unit", "met"),
    [(10.0, 10, "times", True), (9.9, 10, "1/s", False), (9.9, 10, "ms", True), (10.1, 10, "% of one core", False), (1.0, None, "s", None)],
)
def test_goals_are_bounds_in_the_direction_of_their_unit(value: float, goal: float | None, unit: str, met: bool | None) -> None:  # noqa: FBT001 # a case
    """Of rates and ratios at least so much, of all else at most; without a goal nothing is judged."""
    assert Figure("x", value, unit, goal).met is met


def test_page_shows_every_figure_its_goal_and_its_circumstances() -> None:
    """What was measured, whether it is enough, when, on what, beside which load; nothing is left out because it is bad."""
    page = render(LINES, "## Costs\n\nBy hand.")
    assert "1 of 2 goals were met." in page
    assert "| reducer events per second | 21,000 /s | at least 10,000 | yes | events 100,000 |" in page
    assert "| the reducer against: textbook handler | 9.90 times | at least 10 | **no** | |" in page
    assert "Measured on 2026-01-31: 2 cores, Python 3.11.7, Linux, load 0.25 before it; it took 61 s." in page
    assert "Quix Streams: did not install: no network" in page
    assert "**It failed:** TimeoutError: too late" in page
    assert "A quick run" in page
    assert page.rstrip().endswith("By hand.")


def test_figures_under_like_conditions_stand_in_one_table() -> None:
    """A row per number of conversations, a column per figure, an empty cell where one was not measured."""
    page = render(LINES, "")
    assert "| conversations | events per second | memory |" in page
    assert "| 1,000 | 18,000 /s | 160 MB, backlog 12 |" in page
    assert "| 1,000,000 | 12,000 /s | |" in page


def test_picture_has_a_bar_for_each_contender() -> None:
    """Ours is told apart; the longest bar is the largest figure's; the picture is well-formed and says in words what it shows."""
    drawn = contenders(LINES)
    assert drawn is not None
    tree = ET.fromstring(drawn)  # noqa: S314 # our own picture
    space = {"svg": "http://www.w3.org/2000/svg"}
    found = [(float(bar.attrib["width"]), bar.attrib["fill"]) for bar in tree.findall("svg:rect", space)[1:]]
    assert len(found) == 2
    assert found[0][0] > found[1][0]
    assert found[0][1] != found[1][1]
    description = tree.find("svg:desc", space)
    assert description is not None
    assert description.text == "Parley: 21,000 /s; textbook handler: 1,500 /s"
    assert contenders(LINES[6:]) is None


def test_equal_bars_have_a_scale() -> None:
    """One figure, or several that are alike, and one that is a power of ten: there is always a decade to draw in."""
    for values in ((100.0,), (100.0, 100.0), (3.0, 4.0)):
        assert "nan" not in bars("x", [("one", value, False) for value in values], "/s")


def test_a_later_run_replaces_only_what_it_measured_again(tmp_path: Path) -> None:
    """Benchmarks can be run one by one: the others keep what they found."""
    where = {"results": tmp_path / "kept" / "latest.jsonl", "page": tmp_path / "page.md", "picture": tmp_path / "picture.svg"}
    write(LINES, **where)
    write([line("growth", "memory", 1.0, "MB")], **where)
    kept = [json.loads(one) for one in where["results"].read_text(encoding="utf-8").splitlines()]
    assert [one.name for one in benchmarks_of(kept)] == ["backlog", "growth"]
    page = where["page"].read_text(encoding="utf-8")
    assert "21,000 /s" in page
    assert "18,000 /s" not in page
    assert COSTS.read_text(encoding="utf-8").strip() in page
    assert where["picture"].exists()
    assert merged([], [{"machine": {}}]) == []


@pytest.mark.parametrize(
    ("value", "said"), [(1234.6, "1,235"), (99.95, "100.0"), (12.34, "12.3"), (0.256, "0.26"), (20.0, "20"), (-3, "-3")]
)
def test_numbers_are_short(value: float, said: str) -> None:
    """Three digits that matter."""
    assert number(value) == said


def test_costs_alone_can_be_written_anew(tmp_path: Path) -> None:
    """Who edits the section on costs need not measure again, nor have the lines of the last run."""
    page = tmp_path / "page.md"
    page.write_text(render(LINES, "## Costs\n\nAs they were."), encoding="utf-8")
    write([], results=tmp_path / "none.jsonl", page=page, picture=tmp_path / "picture.svg")
    text = page.read_text(encoding="utf-8")
    assert text == render(LINES, COSTS.read_text(encoding="utf-8"))
    assert "As they were" not in text


def test_page_in_the_repository_was_made_by_the_renderer() -> None:
    """Each figure's row on the committed page has the renderer's form, and the costs on it are those of the file."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith("# Performance\n\n*Generated by `python -m tests.bench --write`")
    assert COSTS.read_text(encoding="utf-8").strip() in page
    assert re.search(r"^Measured on \d{4}-\d\d-\d\d: \d+ cores, Python ", page, re.MULTILINE)
