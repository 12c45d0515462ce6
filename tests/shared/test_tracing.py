"""Spans: one per batch, linked to the sampled messages in it; the decision to sample travels with the message."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from shared.tracing import LINKS_MAX, batch_span, configure_tracing, context_of, link, new_traceparent


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Collect spans in memory."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


@pytest.mark.parametrize("sampled", [True, False])
def test_a_new_trace_names_itself_and_whether_it_is_followed(sampled: bool) -> None:  # noqa: FBT001 # the two answers
    """W3C trace context, read back as it was made, and never the same twice."""
    one, other = new_traceparent(sampled=sampled), new_traceparent(sampled=sampled)
    assert one != other
    context = context_of(one)
    assert context is not None
    assert context.is_valid
    assert context.is_remote
    assert context.trace_flags.sampled is sampled
    assert one == f"00-{context.trace_id:032x}-{context.span_id:016x}-{'01' if sampled else '00'}"


@settings(deadline=None)
@given(st.text() | st.from_regex(r"\A[0-9a-f]{2}-[0-9a-fA-Fxyz_]{1,40}-[0-9a-f]{1,20}-[0-9a-f]{1,3}\Z"))
def test_whatever_an_integrator_writes_as_a_trace_does_no_harm(traceparent: str) -> None:
    """It is a context or it is none; nothing raises."""
    context = context_of(traceparent)
    assert context is None or traceparent.count("-") == 3


def test_a_batch_is_one_span_with_its_count_and_links(spans: InMemorySpanExporter) -> None:
    """OpenTelemetry's messaging names; the links lead to the messages that are followed."""
    traces = [new_traceparent(sampled=True) for _ in range(2)]
    with batch_span("process", "conversation", kind=SpanKind.CONSUMER, count=500) as span:
        link(span, [traces[0], "no trace", traces[1]])
    (finished,) = spans.get_finished_spans()
    assert finished.name == "process conversation"
    assert finished.kind is SpanKind.CONSUMER
    assert finished.attributes is not None
    assert dict(finished.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "conversation",
        "messaging.batch.message_count": 500,
    }
    assert [f"{one.context.trace_id:032x}" for one in finished.links] == [one.split("-")[1] for one in traces]


def test_a_writer_says_that_it_sends(spans: InMemorySpanExporter) -> None:
    """The operation's type follows from the kind."""
    with batch_span("publish", "sends", kind=SpanKind.PRODUCER, count=1):
        pass
    attributes = spans.get_finished_spans()[0].attributes
    assert attributes is not None
    assert attributes["messaging.operation.type"] == "send"


def test_links_are_bounded(spans: InMemorySpanExporter) -> None:
    """A span with hundreds of links costs more than its batch."""
    with batch_span("process", "conversation", kind=SpanKind.CONSUMER, count=500) as span:
        link(span, (new_traceparent(sampled=True) for _ in range(LINKS_MAX + 10)))
    assert len(spans.get_finished_spans()[0].links) == LINKS_MAX


def test_without_an_endpoint_nothing_is_sent_anywhere() -> None:
    """Spans cost nothing where nobody collects them."""
    assert configure_tracing("bot", None) is None
    with batch_span("process", "bot", kind=SpanKind.CONSUMER, count=1) as span:
        assert not span.is_recording()


def test_with_an_endpoint_spans_carry_the_services_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector's base address is enough; the path is the protocol's."""
    chosen: list[TracerProvider] = []
    monkeypatch.setattr(trace, "set_tracer_provider", chosen.append)
    provider = configure_tracing("bot", "http://127.0.0.1:4318/")
    assert provider is not None
    assert chosen == [provider]
    assert provider.resource.attributes["service.name"] == "parley-bot"
    provider.shutdown()
