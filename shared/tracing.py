"""Spans: one per batch, linked to the sampled records in it; the way of one message is followed by its `traceparent`.

A span per message would cost more than handling it, so ingest decides at the door which webhooks are traced, and the decision
travels with every event that follows from it (W3C trace context).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanContext, SpanKind, TraceFlags

LINKS_MAX = 64
"""Links of one span; a batch with more sampled records names the first ones."""
SAMPLED = "-01"
"""How a traceparent ends whose way is traced."""
_TRACEPARENT_PARTS = 4

_ids = RandomIdGenerator()


def configure_tracing(service: str, endpoint: str | None) -> TracerProvider | None:
    """Send this process's spans to `endpoint` (OTLP over HTTP, the collector's base address); without one, spans go nowhere."""
    if endpoint is None:
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": f"parley-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider


def new_traceparent(*, sampled: bool) -> str:
    """Return the trace context of something that begins here."""
    return f"00-{_ids.generate_trace_id():032x}-{_ids.generate_span_id():016x}{SAMPLED if sampled else '-00'}"


def context_of(traceparent: str) -> SpanContext | None:
    """Return the span that a traceparent names, or None where it is none."""
    parts = traceparent.split("-")
    if len(parts) != _TRACEPARENT_PARTS:
        return None
    try:
        return SpanContext(int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16)))
    except ValueError:
        return None


@contextmanager
def batch_span(operation: str, destination: str, *, kind: SpanKind, count: int) -> Iterator[Span]:
    """Open the span of a batch of `count` messages (OpenTelemetry messaging conventions v1.44)."""
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": "process" if kind is SpanKind.CONSUMER else "send",
        "messaging.destination.name": destination,
        "messaging.batch.message_count": count,
    }
    with trace.get_tracer("parley").start_as_current_span(f"{operation} {destination}", kind=kind, attributes=attributes) as span:
        yield span


def link(span: Span, traceparents: Iterable[str]) -> None:
    """Link a batch's span to the sampled messages in it, up to LINKS_MAX."""
    for traceparent in islice(traceparents, LINKS_MAX):
        context = context_of(traceparent)
        if context is not None:
            span.add_link(context)
