"""What the others are told: outcomes on `deliveries`, dead letters of what cannot be read. Many at a time leave in one write."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from services.outbound.core.outcome import outcome_of
from services.outbound.state import LedgerEntry, Phase
from shared.clock import Clock
from shared.engine.dead_letters import DeadLetterLimit, dead_letter
from shared.engine.records import Publication, Publisher, Record
from shared.engine.worker_batcher import Batcher
from shared.errors import RecoverableError
from shared.events.envelope import Event
from shared.events.sends import SendRequested
from shared.metrics import Metrics
from shared.topics import DELIVERIES

PUBLICATIONS_PER_CALL_MAX = 500

logger = structlog.get_logger(__name__)


class DeadLetterBurstError(RecoverableError):
    """More records cannot be read than a bad sender explains; the worker waits instead of draining the topic."""


class Telling:
    """Publishes what became of records; each call returns when the broker has acknowledged."""

    def __init__(
        self, publisher: Publisher, clock: Clock, metrics: Metrics, *, worker: str, version: str, dead_letters_per_minute_max: int
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._worker = worker
        self._version = version
        self._batcher: Batcher[Publication, None] = Batcher(self._publish, items_max=PUBLICATIONS_PER_CALL_MAX)
        self._dead_letters = DeadLetterLimit(dead_letters_per_minute_max)
        self._counters: dict[tuple[str, Phase], Counter] = {}

    async def close(self) -> None:
        """Return when nothing is under way any more."""
        await self._batcher.close()

    async def tell(self, entry: LedgerEntry, event: Event[SendRequested], *, channel: str) -> None:
        """Publish the outcome of a send; `channel` is the label under which it is counted."""
        outcome = outcome_of(entry, event)
        await self._batcher.submit(Publication(DELIVERIES, event.subject, outcome.to_json()))
        self._counter(channel, entry.phase).inc()

    async def put_aside(self, record: Record, reason: str, error: str) -> None:
        """Write a dead letter. Raises DeadLetterBurstError where there are too many."""
        now = self._clock.now()
        if self._dead_letters.exceeded_by(1, now):
            raise DeadLetterBurstError(
                f"more than {self._dead_letters.per_minute_max} dead letters a minute on {record.topic.name}; reading waits: "
                f"look at dead.{self._worker}, correct the sender or the version, and it goes on by itself"
            )
        letter = dead_letter(record, reducer=self._worker, reason=reason, error=error, version=self._version, now=now)
        await self._batcher.submit(letter)
        self._metrics.dead_letters.labels(self._worker).inc()
        place = f"{record.topic.name}/{record.partition}/{record.offset}"
        logger.warning("record.put_aside", record=place, reason=reason, error=error, topic=letter.topic.name)

    def _counter(self, channel: str, phase: Phase) -> Counter:
        """Return the counter of an outcome, kept because looking it up costs as much as counting ten times."""
        counter = self._counters.get((channel, phase))
        if counter is None:
            counter = self._counters[channel, phase] = self._metrics.sends.labels(channel, phase.value)
        return counter

    async def _publish(self, publications: list[Publication]) -> Sequence[None]:
        await self._publisher.publish(publications)
        return [None] * len(publications)
