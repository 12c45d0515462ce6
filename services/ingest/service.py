"""Ingest as a process: the HTTP side on uvicorn, the records on Kafka."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from prometheus_client import Counter, Histogram

from services.ingest.core import IntakeCounts
from services.ingest.http import create_app
from services.ingest.settings import IngestSettings
from shared.channels.contract import Channels
from shared.channels.discover import discover
from shared.contact_centre.loader import load_contact_centre
from shared.engine.grouping import GroupingPublisher
from shared.engine.installation import describe, wait_for_topics
from shared.engine.records import Publication, Publisher
from shared.engine.status import LoopStatus
from shared.errors import BrokerUnavailableError, ConfigurationError
from shared.metrics import Metrics
from shared.running import run_service, surroundings
from shared.settings import ServiceSettings
from shared.topics import DELIVERIES, INBOUND, REJECTED
from shared.tracing import new_traceparent

READY_POLL_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than load balancers do (60 s), or one of theirs ends under a webhook that just left."""


@dataclass(frozen=True, slots=True)
class PrometheusIntake:
    """Counts what ingest does in the process's metrics."""

    metrics: Metrics
    _answers: dict[tuple[str, int], Counter] = field(default_factory=dict)
    _items: dict[tuple[str, str], Counter] = field(default_factory=dict)
    _seconds: dict[str, Histogram] = field(default_factory=dict)

    def answered(self, channel: str, status: int, seconds: float) -> None:
        """Count one request."""
        # Looking a child of a metric up by its labels costs more than counting, so each is looked up once.
        counter = self._answers.get((channel, status))
        if counter is None:
            counter = self._answers[channel, status] = self.metrics.webhooks.labels(channel, str(status))
        counter.inc()
        histogram = self._seconds.get(channel)
        if histogram is None:
            histogram = self._seconds[channel] = self.metrics.webhook_seconds.labels(channel)
        histogram.observe(seconds)

    def taken_in(self, channel: str, counts: IntakeCounts) -> None:
        """Count the items of one webhook."""
        self._count(channel, "accepted", counts.accepted.total())
        self._count(channel, "ignored", counts.ignored.total())
        self._count(channel, "rejected", counts.rejected.total())
        self._count(channel, "duplicate", counts.duplicates)

    def _count(self, channel: str, outcome: str, number: int) -> None:
        if number:
            counter = self._items.get((channel, outcome))
            if counter is None:
                counter = self._items[channel, outcome] = self.metrics.items.labels(channel, outcome)
            counter.inc(number)


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("ingest", lambda: serve(ServiceSettings(), IngestSettings()))


async def serve(settings: ServiceSettings, ingest: IngestSettings) -> None:
    """Take webhooks in until told to stop; then finish those that are being taken in."""
    centre = load_contact_centre(settings.config_directory)
    channels = discover({key.split(":", 1)[0] for key in centre.accounts})
    _require_secrets(channels)
    async with surroundings("ingest", settings) as around:
        status = LoopStatus()
        around.statuses.append(status)
        # No webhook waits for a write longer than that; and who waits behind one that a sick partition holds up has half of it left.
        seconds = ingest.limits.publish_seconds
        publisher = around.publisher("ingest", timeout_seconds=seconds, laggards_seconds=seconds / 2)
        watched = WatchedPublisher(GroupingPublisher(publisher))
        app = create_app(
            channels=channels,
            accounts=frozenset(centre.accounts),
            publish=watched.publish,
            clock=around.clock,
            metrics=PrometheusIntake(around.metrics),
            limits=ingest.limits,
            traceparent=lambda: new_traceparent(sampled=random.random() < settings.trace_sample_ratio),
        )
        server = _Server(
            uvicorn.Config(
                app,
                host=ingest.host,
                port=ingest.port,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                lifespan="off",
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=ingest.stop_grace_seconds,
            )
        )
        serving = asyncio.create_task(server.serve())
        try:
            await wait_for_topics(
                settings.kafka,
                settings.topic_prefix,
                (INBOUND, DELIVERIES, REJECTED),
                partitions=settings.partitions,
                stop=around.stop,
            )
            await report_ready(watched, lambda: _broker_answers(settings), status, around.stop)
        finally:
            server.should_exit = True
            await serving
            await publisher.close()


class WatchedPublisher:
    """A publisher that remembers whether its last write was acknowledged; one that was given up counts as failed too.

    The publisher's own word comes after its time-out, the provider's 503 long before.
    """

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner
        self.failing = False

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Write `publications`; errors as the inner publisher's."""
        try:
            await self._inner.publish(publications)
        except BaseException:
            self.failing = True
            raise
        self.failing = False


async def report_ready(
    publisher: WatchedPublisher, answers: Callable[[], Awaitable[bool]], status: LoopStatus, stop: asyncio.Event
) -> None:
    """Be ready as long as the last write succeeded: a provider that is sent elsewhere loses nothing, one that gets 503 comes again.

    While it failed it is asked whether the broker `answers`: who is not ready is sent no webhook that could show it.
    """
    while not stop.is_set():
        status.ready = not publisher.failing
        if publisher.failing and await answers():
            publisher.failing = False
            continue
        try:
            async with asyncio.timeout(READY_POLL_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue


async def _broker_answers(settings: ServiceSettings) -> bool:
    """Return whether the broker tells of a topic."""
    try:
        await describe(settings.kafka, [settings.topic_prefix + INBOUND.name])
    except BrokerUnavailableError:
        return False
    return True


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield


def _require_secrets(channels: Channels) -> None:
    """Refuse to start without what verifies a webhook."""
    missing = [name for channel in channels.by_name.values() for name in channel.missing("ingest")]
    if missing:
        raise ConfigurationError(f"set {', '.join(missing)}: without them no webhook can be verified")
