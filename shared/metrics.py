"""The metrics, one typed list: what exists, what it counts, and which bounded labels it has.

Labels never hold a thread, a customer or an account. Names carry their unit; counters end in `_total`.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS = (1, 5, 20, 100, 500, 2000, 5000)


class Metrics:
    """All metrics of one process, in a registry of its own (so that two in one process do not meet)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = self.registry
        self.decided = Counter("parley_events_decided_total", "Events that a reducer decided", ["reducer"], registry=made)
        self.replayed = Counter("parley_records_replayed_total", "Records at or below what was applied", ["reducer"], registry=made)
        self.duplicates = Counter("parley_duplicates_total", "Events that had taken effect before", ["reducer"], registry=made)
        self.unknown_types = Counter("parley_unknown_types_total", "Events of a type that is not known", ["reducer"], registry=made)
        self.gaps = Counter("parley_gaps_total", "Gaps in the seq of an emitting state: alert on any", ["reducer"], registry=made)
        self.misplaced = Counter("parley_misplaced_total", "Records on another partition than their key's", ["reducer"], registry=made)
        self.timers = Counter("parley_timers_fired_total", "Timers that fired", ["reducer"], registry=made)
        self.dead_letters = Counter("parley_dead_letters_total", "Records that went to the dead letters", ["reducer"], registry=made)
        self.published = Counter("parley_records_published_total", "Records acknowledged by the broker", ["reducer"], registry=made)
        self.fenced = Counter("parley_fenced_total", "Saves refused because another process was faster", ["reducer"], registry=made)
        self.failures = Counter("parley_batch_failures_total", "Batches given back, by what failed", ["reducer", "kind"], registry=made)
        self.rebalances = Counter("parley_rebalances_total", "Assignments that changed", ["reducer"], registry=made)
        self.records_lost = Counter(
            "parley_records_lost_total", "Records that retention took before they were read: alert on any", ["reducer"], registry=made
        )
        self.loop_blocked = Counter("parley_loop_blocked_seconds_total", "How long the event loop did not turn, in all", registry=made)
        self.clock_skew = Gauge(
            "parley_clock_skew_seconds",
            "How far this clock is ahead of the writers' by the youngest record of the last batch: far from 0 is lag, or a wrong clock",
            ["reducer"],
            registry=made,
        )
        self.timer_lateness = Histogram(
            "parley_timer_lateness_seconds", "From a timer's moment to its decision", ["reducer"], buckets=SECONDS, registry=made
        )
        self.batch_seconds = Histogram(
            "parley_batch_seconds", "One batch from load to acknowledgement", ["reducer"], buckets=SECONDS, registry=made
        )
        self.batch_records = Histogram("parley_batch_records", "Records in a batch", ["reducer"], buckets=RECORDS, registry=made)
        self.lag_seconds = Gauge("parley_lag_seconds", "Age of the oldest record of the last batch when taken", ["reducer"], registry=made)
        self.cached_documents = Gauge("parley_cached_documents", "Documents held in memory", ["reducer"], registry=made)
        self.loop_lag = Gauge("parley_loop_lag_seconds", "How late the event loop's heartbeat was", registry=made)
        self.webhooks = Counter("parley_webhooks_total", "Webhook requests, by HTTP status", ["channel", "status"], registry=made)
        self.items = Counter("parley_webhook_items_total", "Items of webhooks, by what they became", ["channel", "outcome"], registry=made)
        self.webhook_seconds = Histogram(
            "parley_webhook_seconds", "One webhook from its first byte to the answer", ["channel"], buckets=SECONDS, registry=made
        )
        self.sends = Counter("parley_sends_total", "Sends by outcome", ["channel", "outcome"], registry=made)
        self.send_seconds = Histogram("parley_send_seconds", "One call of a channel's API", ["channel"], buckets=SECONDS, registry=made)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class ReducerMetrics:
    """The metrics of one reducer, looked up once: finding a label's counter costs more than counting. All begin at zero."""

    def __init__(self, metrics: Metrics, reducer: str) -> None:
        self.decided = metrics.decided.labels(reducer)
        self.replayed = metrics.replayed.labels(reducer)
        self.duplicates = metrics.duplicates.labels(reducer)
        self.unknown_types = metrics.unknown_types.labels(reducer)
        self.gaps = metrics.gaps.labels(reducer)
        self.misplaced = metrics.misplaced.labels(reducer)
        self.timers = metrics.timers.labels(reducer)
        self.dead_letters = metrics.dead_letters.labels(reducer)
        self.published = metrics.published.labels(reducer)
        self.fenced = metrics.fenced.labels(reducer)
        self.timer_lateness = metrics.timer_lateness.labels(reducer)
        self.batch_seconds = metrics.batch_seconds.labels(reducer)
        self.batch_records = metrics.batch_records.labels(reducer)
        self.cached_documents = metrics.cached_documents.labels(reducer)
