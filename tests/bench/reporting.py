"""How a benchmark reports: one JSON line per figure on standard output, progress on standard error."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any


def report(benchmark: str, figure: str, value: float, unit: str, **details: Any) -> None:
    """Write one figure."""
    line = {"benchmark": benchmark, "figure": figure, "value": round(value, 3), "unit": unit, **details}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()


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
