"""The lines of a run, read back: figures with their goals, and the circumstances of each benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AT_LEAST_UNITS = frozenset({"1/s", "times"})
"""Of figures in these units more is better, of all others less: a goal is a lower or an upper bound accordingly."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; `details` say under which conditions it holds."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def at_least(self) -> bool:
        """Return whether the goal is a lower bound."""
        return self.unit in AT_LEAST_UNITS

    @property
    def met(self) -> bool | None:
        """Return whether the goal was reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass(slots=True)
class Benchmark:
    """One benchmark of a run: when and on what it ran, what it found, what it remarked, and why it failed, if it did."""

    name: str
    circumstances: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    took_seconds: float | None = None
    failed: str | None = None


def benchmarks_of(lines: Iterable[dict[str, Any]]) -> list[Benchmark]:
    """Return the benchmarks in a run's lines, in their order; lines that belong to none are left out."""
    found: dict[str, Benchmark] = {}
    for line in lines:
        if "benchmark" not in line:
            continue
        one = found.setdefault(line["benchmark"], Benchmark(line["benchmark"]))
        rest = {name: value for name, value in line.items() if name != "benchmark"}
        if "figure" in rest:
            figure = Figure(rest.pop("figure"), rest.pop("value"), rest.pop("unit"), rest.pop("goal", None), rest)
            one.figures.append(figure)
        elif "remark" in rest:
            one.remarks.append(rest["remark"])
        elif "began" in rest:
            one.circumstances = rest["began"]
        elif "took_seconds" in rest:
            one.took_seconds = rest["took_seconds"]
            one.failed = rest.get("failed")
    return list(found.values())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the JSON lines of a file; none where it does not exist."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def merged(before: Iterable[dict[str, Any]], now: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of an earlier run with each benchmark that ran again replaced by what it found now."""
    latest = [line for line in now if "benchmark" in line]
    again = {line["benchmark"] for line in latest}
    return [*(line for line in before if "benchmark" in line and line["benchmark"] not in again), *latest]
