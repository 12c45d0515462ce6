"""One batch carried out: load → decide → save → publish, for all shards of the batch together.

Shared by the shells: on Kafka the records come from a consumer, in the local shell from a list. Committing is the shell's, after
this returned. A shard that fails (a state that another process saved first, a partition that does not acknowledge, a document that
cannot be read) is reported and nothing of it is done; its neighbours go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from opentelemetry.trace import Span, SpanKind
from pydantic import BaseModel

from shared.clock import Clock
from shared.engine.dead_letters import DeadLetterLimit
from shared.engine.document import Document, DocumentCodec, StaleDocumentError
from shared.engine.intake import Failed, Input, Intake
from shared.engine.options import LoopOptions
from shared.engine.plan import Plan, TimerDue
from shared.engine.records import PartlyWrittenError, Publication, Publisher, Record
from shared.engine.shards import Shards
from shared.engine.step import Engine
from shared.engine.timers import DIRTY_CLEANED_MAX, Timers
from shared.errors import BrokerUnavailableError
from shared.metrics import Metrics, ReducerMetrics
from shared.store.port import DOCUMENT_BYTES_MAX, Collection, StoredDocument
from shared.topics import Topic
from shared.tracing import batch_span, link

S = TypeVar("S", bound=BaseModel)

BREATH_SECONDS = 0.01
"""How long a batch computes before the event loop gets a turn."""
STATE_BYTES_MAX = DOCUMENT_BYTES_MAX - 256 * 1024
"""Largest document that is saved: what a key remembers beside its state must find room in it even when the state can grow no more."""
PLACES_SHOWN_MAX = 5
"""Of how many dead letters a log line says where their records stand."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """What came of a batch: the next offset per topic and shard, what failed, and why the reducer must stop, if it must."""

    done: dict[tuple[Topic, int], int] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    stopped: str | None = None


class BatchWork(Generic[S]):
    """Carries out batches of one reducer."""

    def __init__(
        self,
        engine: Engine[S],
        collection: Collection,
        publisher: Publisher,
        *,
        options: LoopOptions,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._collection = collection
        self._publisher = publisher
        self._clock = clock
        self._name = engine.reducer.name
        self._codec: DocumentCodec[S] = DocumentCodec(engine.reducer.state)
        self._limit = DeadLetterLimit(options.dead_letters_per_minute_max)
        self._breathed_seconds = 0.0
        self._meters = ReducerMetrics(metrics, self._name)
        self.shards: Shards[S] = Shards(options.documents_cached_max)
        self._intake: Intake[S] = Intake(engine, collection, self._publish, shards=self.shards, codec=self._codec, options=options)
        self._timers: Timers[S] = Timers(
            collection,
            self._intake,
            shards=self.shards,
            codec=self._codec,
            meters=self._meters,
            per_batch_max=options.timers_per_batch_max,
        )

    def now(self) -> datetime:
        """Return the moment, as the work sees it."""
        return self._clock.now()

    async def carry_out(self, by_shard: Mapping[int, Sequence[Record]]) -> Outcome:
        """Do everything that `by_shard`, due timers and unfinished flushes ask for."""
        outcome = Outcome()
        started = self._clock.monotonic_seconds()
        pending: dict[int, list[Input]] = {shard: list(records) for shard, records in by_shard.items() if records}
        had_records = bool(pending)
        self._intake.begin(by_shard)
        try:
            await self._timers.flush()
            for shard, keys in (await self._timers.due(self._clock.now())).items():
                pending[shard] = [*(TimerDue(key) for key in keys), *pending.get(shard, [])]
        except Exception as error:  # noqa: BLE001 # whatever failed, the shards are given back and the loop says what it was
            outcome.failed.append((error, set(self.shards.owned) | set(pending)))
            return outcome
        if pending:
            with batch_span("process", self._name, kind=SpanKind.CONSUMER, count=sum(map(len, pending.values()))) as span:
                while pending and outcome.stopped is None:
                    pending = await self._round(self._intake.workable(pending), outcome, span)
        outcome.failed.extend(self._intake.failed())
        if had_records:
            self._meters.batch_seconds.observe(self._clock.monotonic_seconds() - started)
            self._meters.batch_records.observe(sum(map(len, by_shard.values())))
        if not outcome.failed and (not had_records or len(self.shards.dirty_keys) >= DIRTY_CLEANED_MAX):
            outcome.failed.extend(await self._timers.clean())
        self._meters.cached_documents.set(len(self.shards))
        return outcome

    async def _round(self, pending: dict[int, list[Input]], outcome: Outcome, span: Span) -> dict[int, list[Input]]:
        """Take each shard's inputs as far as one step goes; return what is left over for the next round."""
        plans: dict[int, Plan[S]] = {}
        try:
            documents = await self._intake.load(pending)
            pending = self._intake.workable(pending)
            rows: dict[int, list[StoredDocument]] = {}
            for shard, inputs in pending.items():
                plans[shard], rows[shard] = self._planned(shard, inputs, documents)
                await self._breathe()
            if self._limit.would_exceed(sum(len(plan.dead_letters) for plan in plans.values()), self._clock.now()):
                outcome.stopped = (
                    f"more than {self._limit.per_minute_max} dead letters in a minute: look at dead.{self._name}, then restart"
                )
                return {}
            stale = await self._save(plans, rows)
            failed: list[Failed] = [(StaleDocumentError(f"{len(stale)} shards were saved by another process"), stale)] if stale else []
            failed += await self._publish(_without(plans, failed))
            outcome.failed.extend(failed)
            plans = _without(plans, failed)
            self._limit.written(sum(len(plan.dead_letters) for plan in plans.values()), self._clock.now())
        except Exception as error:  # noqa: BLE001 # as above: nothing is swallowed, the loop gives the shards back and logs
            outcome.failed.append((error, set(pending)))
            return {}
        left: dict[int, list[Input]] = {}
        for shard, plan in plans.items():
            link(span, plan.sampled)
            self._acknowledged(plan, outcome)
            if plan.taken < len(pending[shard]):
                left[shard] = pending[shard][plan.taken :]
        return left

    def _planned(self, shard: int, inputs: Sequence[Input], documents: Mapping[str, Document[S]]) -> tuple[Plan[S], list[StoredDocument]]:
        """Return the plan of a shard, and the rows to save. A key that would be more than the store takes is refused, and nobody else."""
        refused: dict[str, str] = {}
        while True:
            plan = self._engine.step(shard, inputs, documents, self._clock.now(), refused)
            rows = [self._codec.to_stored(document) for document in plan.saves]
            too_large = {row.key: len(row.body) for row in rows if len(row.body) > STATE_BYTES_MAX and row.key not in refused}
            if not too_large:
                return plan, rows
            refused |= {
                key: f"StateTooLargeError: the key's document would have {size} bytes, {STATE_BYTES_MAX} is the most"
                for key, size in too_large.items()
            }

    async def _breathe(self) -> None:
        """Let the heartbeat and the reads go on, if they were held up for a while: a turn of the event loop costs as much as an event."""
        now = self._clock.monotonic_seconds()
        if now - self._breathed_seconds >= BREATH_SECONDS:
            await asyncio.sleep(0)
            self._breathed_seconds = now

    async def _save(self, plans: Mapping[int, Plan[S]], rows: Mapping[int, Sequence[StoredDocument]]) -> set[int]:
        """Save all changed documents, which are `rows`; return the shards where another process was faster."""
        changes = [row for found in rows.values() for row in found]
        if not changes:
            return set()
        result = await self._intake.in_time(self._collection.save(changes))
        refused = result.stale | result.duplicate
        if not refused:
            return set()
        self._meters.fenced.inc(len(refused))
        return {shard for shard, plan in plans.items() if any(document.key in refused for document in plan.saves)}

    async def _publish(self, plans: Mapping[int, Plan[S]]) -> list[Failed]:
        """Publish what the plans say; return the shards of which something is not known to be acknowledged."""
        publications = [publication for plan in plans.values() for publication in (*plan.publishes, *plan.dead_letters)]
        if not publications:
            return []
        try:
            await self._publisher.publish(publications)
        except BrokerUnavailableError as error:
            return [(error, {shard for shard, plan in plans.items() if _concerns(error, (*plan.publishes, *plan.dead_letters))})]
        self._meters.published.inc(len(publications))
        return []

    def _acknowledged(self, plan: Plan[S], outcome: Outcome) -> None:
        """Take note that a plan is carried out: outboxes are empty, versions are one higher, offsets are done."""
        for document in plan.saves:
            document.version += 1
        for document in plan.touched.values():
            # Saved or not: a timer that was due at the look-up may not be at the step, if the clock was set back in between.
            if document.due_at is not None and document.parked is None:
                self.shards.timer_armed(plan.shard, document.due_at)
            document.outbox.clear()
            if document.version > 0:
                self.shards.put(document)
        for topic, offset in plan.commits.items():
            outcome.done[topic, plan.shard] = offset
            self._intake.acknowledged(topic, plan.shard, offset)
        self._count(plan)

    def _count(self, plan: Plan[S]) -> None:
        meters, name, counts = self._meters, self._name, plan.counts
        for counter, value in (
            (meters.decided, counts.decided),
            (meters.replayed, counts.replayed),
            (meters.duplicates, counts.duplicates),
            (meters.unknown_types, counts.unknown_types),
            (meters.gaps, counts.gaps),
            (meters.misplaced, counts.misplaced),
            (meters.timers, counts.timers),
            (meters.dead_letters, len(plan.dead_letters)),
        ):
            if value:
                counter.inc(value)
        if counts.gaps:
            logger.error("gap.found", reducer=name, shard=plan.shard, gaps=counts.gaps)
        if plan.dead_letters:
            records = plan.buried[:PLACES_SHOWN_MAX]
            logger.error("records.dead_lettered", reducer=name, count=len(plan.dead_letters), records=records, topic=f"dead.{name}")


def _without(plans: dict[int, Plan[S]], failed: Sequence[Failed]) -> dict[int, Plan[S]]:
    """Return the plans of the shards that did not fail."""
    gone = {shard for _, shards in failed for shard in shards}
    return {shard: plan for shard, plan in plans.items() if shard not in gone} if gone else plans


def _concerns(error: BrokerUnavailableError, publications: Sequence[Publication]) -> bool:
    """Return whether any of `publications` may be among those that were not acknowledged."""
    return error.concerns(publications) if isinstance(error, PartlyWrittenError) else bool(publications)
