"""How a benchmark reports: one JSON line per figure on standard output, progress on standard error."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any


def report(benchmark: str, figure: str, value: float, unit: str, **details: Any) -> None:
    """Write one figure."""
    _write({"benchmark": benchmark, "figure": figure, "value": round(value, 3), "unit": unit, **details})


def say(benchmark: str, text: str) -> None:
    """Write a remark that belongs beside the figures."""
    _write({"benchmark": benchmark, "remark": text})


def began(benchmark: str, circumstances: dict[str, Any]) -> None:
    """Write on what, when and beside which load a benchmark runs."""
    _write({"benchmark": benchmark, "began": circumstances})


def ended(benchmark: str, seconds: float, failure: str | None) -> None:
    """Write how long a benchmark took, and why it failed, if it did."""
    _write({"benchmark": benchmark, "took_seconds": round(seconds, 1), **({} if failure is None else {"failed": failure})})


def progress(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
    }


def quantile(values: list[float], share: float) -> float:
    """Return the value below which `share` of `values` lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
