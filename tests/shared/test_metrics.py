"""The metrics: names with units, labels that stay few, registries that do not meet."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from shared.metrics import Metrics

BOUNDED_LABELS = {"reducer", "kind", "channel", "status", "outcome"}


def test_every_name_carries_its_unit() -> None:
    """Prometheus' conventions: base units, counters end in _total, and all are ours."""
    families = list(Metrics().registry.collect())
    assert len(families) > 20
    for family in families:
        assert family.name.startswith("parley_")
        assert family.documentation
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_records"))


def test_labels_never_hold_what_grows_without_end() -> None:
    """No thread, customer or account: a metric has as many series as there are reducers, channels and outcomes."""
    metrics = Metrics()
    for metric in vars(metrics).values():
        assert set(getattr(metric, "_labelnames", ())) <= BOUNDED_LABELS


def test_what_was_counted_is_exposed() -> None:
    """In the text format, which a parser reads back."""
    metrics = Metrics()
    metrics.duplicates.labels("bot").inc()
    metrics.timer_lateness.labels("sla").observe(0.004)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }
    assert samples["parley_duplicates_total", (("reducer", "bot"),)] == 1
    assert samples["parley_timer_lateness_seconds_bucket", (("le", "0.005"), ("reducer", "sla"))] == 1
    assert samples["parley_timer_lateness_seconds_bucket", (("le", "0.0025"), ("reducer", "sla"))] == 0


def test_two_in_one_process_do_not_meet() -> None:
    """Tests and the local shell run several services side by side."""
    one, other = Metrics(), Metrics()
    one.gaps.labels("bot").inc()
    assert other.registry.get_sample_value("parley_gaps_total", {"reducer": "bot"}) is None
