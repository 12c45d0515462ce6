"""docs/metrics.md: every metric, from the one list of them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from cli.docs.tables import GENERATED, code, table
from shared.metrics import Metrics


def metrics_page() -> str:
    """Return the page."""
    found = [metric for metric in vars(Metrics()).values() if isinstance(metric, Counter | Gauge | Histogram)]
    lines = [
        "# Metrics",
        "",
        GENERATED,
        "",
        "Prometheus' text format on `/metrics` of each service's health port. `reducer` is the name of a reducer or worker",
        "(`conversation`, `dispatch`, `bot`, `sla`, `outbound`). No label holds a thread, a customer or an account.",
        "",
        *table(("metric", "kind", "labels", "what it says"), [_row(metric) for metric in found]),
    ]
    return "\n".join(lines) + "\n"


def _row(metric: Counter | Gauge | Histogram) -> tuple[str, str, str, str]:
    """Return a metric's row; its name as Prometheus shows it."""
    family = next(iter(metric.describe()))
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(code(label) for label in metric._labelnames)  # noqa: SLF001 # the client shows labels only once they have values
    return code(name), family.type, labels, f"{family.documentation}."
