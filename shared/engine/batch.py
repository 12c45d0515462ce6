"""One batch carried out: load → decide → save → publish, for all shards of the batch together.

Shared by the shells: on Kafka the records come from a consumer, in the local shell from a list. Committing is the shell's, after
this returned. A shard that fails (a state that another process saved first, a partition that does not acknowledge, a document that
cannot be read) is reported and nothing of it is done; its neighbours go on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import structlog
from opentelemetry.trace import Span, SpanKind
from pydantic import BaseModel

from shared.clock import Clock, from_epoch_milliseconds, to_epoch_milliseconds
from shared.engine.dead_letters import DeadLetterLimit
from shared.engine.document import DIRTY_INDEX, DUE_INDEX, Document, DocumentCodec
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.records import PartlyWrittenError, Publication, Publisher, Record
from shared.engine.shards import Shards
from shared.engine.step import Engine, Plan, TimerDue
from shared.errors import BrokerUnavailableError, ParleyError
from shared.ids import digest
from shared.metrics import Metrics, ReducerMetrics
from shared.store.port import DOCUMENT_BYTES_MAX, Collection, StoredDocument, StoreUnavailableError
from shared.topics import Topic
from shared.tracing import batch_span, link

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")
Input = Record | TimerDue
Failed = tuple[Exception, set[int]]
"""What went wrong, and for which shards."""

BREATH_SECONDS = 0.01
"""How long a batch computes before the event loop gets a turn."""
STATE_BYTES_MAX = DOCUMENT_BYTES_MAX - 256 * 1024
"""Largest document that is saved: what a key remembers beside its state must find room in it even when the state can grow no more."""
DIRTY_CLEANED_MAX = 200
"""How many marks of published timers are taken away in one save."""
DIGESTS_SHOWN_MAX = 5

logger = structlog.get_logger(__name__)


class StaleDocumentError(Exception):
    """Another process saved a document first: we are, or were, not the only owner of the shard."""


class UnreadableDocumentError(ParleyError):
    """Documents in the store cannot be read by this version: their shards wait for one that can, or for an operator."""


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
        self._options = options
        self._clock = clock
        self._name = engine.reducer.name
        self._codec: DocumentCodec[S] = DocumentCodec(engine.reducer.state)
        self._limit = DeadLetterLimit(options.dead_letters_per_minute_max)
        self._done: dict[tuple[str, int], int] = {}
        self._breathed_seconds = 0.0
        self._unreadable: dict[int, set[str]] = {}
        self._unflushed: list[Failed] = []
        self._meters = ReducerMetrics(metrics, self._name)
        self.shards: Shards[S] = Shards(options.documents_cached_max)

    def now(self) -> datetime:
        """Return the moment, as the work sees it."""
        return self._clock.now()

    async def carry_out(self, by_shard: Mapping[int, Sequence[Record]]) -> Outcome:
        """Do everything that `by_shard`, due timers and unfinished flushes ask for."""
        outcome = Outcome()
        started = self._clock.monotonic_seconds()
        pending: dict[int, list[Input]] = {shard: list(records) for shard, records in by_shard.items() if records}
        had_records = bool(pending)
        self._note_starts(by_shard)
        self._unreadable, self._unflushed = {}, []
        try:
            await self._flush()
            for shard, keys in (await self._due_timers()).items():
                pending[shard] = [*(TimerDue(key) for key in keys), *pending.get(shard, [])]
        except Exception as error:  # noqa: BLE001 # whatever failed, the shards are given back and the loop says what it was
            outcome.failed.append((error, set(self.shards.owned) | set(pending)))
            return outcome
        if pending:
            with batch_span("process", self._name, kind=SpanKind.CONSUMER, count=sum(map(len, pending.values()))) as span:
                while pending and outcome.stopped is None:
                    pending = await self._round(self._workable(pending), outcome, span)
        outcome.failed.extend([*self._unread(), *self._unflushed])
        if had_records:
            self._meters.batch_seconds.observe(self._clock.monotonic_seconds() - started)
            self._meters.batch_records.observe(sum(map(len, by_shard.values())))
        if not outcome.failed and (not had_records or len(self.shards.dirty_keys) >= DIRTY_CLEANED_MAX):
            await self._clean(outcome)
        self._meters.cached_documents.set(len(self.shards))
        return outcome

    async def _round(self, pending: dict[int, list[Input]], outcome: Outcome, span: Span) -> dict[int, list[Input]]:
        """Take each shard's inputs as far as one step goes; return what is left over for the next round."""
        plans: dict[int, Plan[S]] = {}
        try:
            documents = await self._load(pending)
            pending = self._workable(pending)
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

    def _workable(self, pending: dict[int, list[Input]]) -> dict[int, list[Input]]:
        """Return `pending` without the shards that have to wait: see `_waits`."""
        return {shard: inputs for shard, inputs in pending.items() if not self._waits(shard)}

    def _waits(self, shard: int) -> bool:
        """Return whether a document of `shard` was found that cannot be read, or an outbox that cannot be published now."""
        return shard in self._unreadable or any(shard in shards for _, shards in self._unflushed)

    def _unread(self) -> list[Failed]:
        """Return what is to be said of the documents that cannot be read: each shard is given back alone, and stays as it is."""
        return [
            (
                UnreadableDocumentError(
                    f"{self._name}: {len(keys)} documents in the store cannot be read by this version (digests of their keys: "
                    f"{', '.join(sorted(keys)[:DIGESTS_SHOWN_MAX])}); shard {shard} waits: run the version that wrote them, or restore them"
                ),
                {shard},
            )
            for shard, keys in self._unreadable.items()
        ]

    async def _breathe(self) -> None:
        """Let the heartbeat and the reads go on, if they were held up for a while: a turn of the event loop costs as much as an event."""
        now = self._clock.monotonic_seconds()
        if now - self._breathed_seconds >= BREATH_SECONDS:
            await asyncio.sleep(0)
            self._breathed_seconds = now

    # --- load, save, publish --------------------------------------------------------------------------------------

    async def _load(self, pending: Mapping[int, Sequence[Input]]) -> dict[str, Document[S]]:
        """Return the documents of all keys in `pending`: from memory, else from the store."""
        found: dict[str, Document[S]] = {}
        missing: set[str] = set()
        for inputs in pending.values():
            for one in inputs:
                key = one.key if isinstance(one, TimerDue) else (one.key or b"").decode("utf-8", "replace")
                if key in found or key in missing:
                    continue
                document = self.shards.get(key)
                if document is None:
                    missing.add(key)
                else:
                    found[key] = document
        if missing:
            stored = await self._in_time(self._collection.load(missing))
            found.update({document.key: document for document in await self._taken_in(stored.values())})
        return found

    async def _taken_in(self, rows: Iterable[StoredDocument]) -> list[Document[S]]:
        """Return the documents in `rows`, their outboxes published first, unless they are known to be acknowledged.

        Before the step, not with it: a save would carry the old outbox along, and a key that is loaded each time it is
        touched would publish all that it ever said.
        """
        documents = [document for row in rows if (document := self._decoded(row)) is not None]
        left: dict[int, list[Document[S]]] = defaultdict(list)
        for document in documents:
            if document.outbox and not self._is_acknowledged(document):
                left[document.shard].append(document)
        failed = await self._publish({shard: self._engine.flush(shard, chosen) for shard, chosen in left.items()})
        self._unflushed.extend(failed)
        taken = [document for document in documents if not any(document.shard in shards for _, shards in failed)]
        for document in taken:
            document.outbox.clear()
        return taken

    def _decoded(self, row: StoredDocument) -> Document[S] | None:
        """Return the document in a row; None where it cannot be read, which is noted for its shard."""
        try:
            return self._codec.from_stored(row)
        except (ValueError, TypeError):  # pydantic's errors are ValueErrors; they repeat content, so they are not passed on
            shard = row.fields.get("shard")
            owner = shard if isinstance(shard, int) else partition_of(row.key.encode(), self._engine.partitions)
            self._unreadable.setdefault(owner, set()).add(digest(row.key))
            return None

    def _is_acknowledged(self, document: Document[S]) -> bool:
        """Return whether the document's outbox is known to be acknowledged, because the record that made it is done.

        A record is done, and its offset may be committed, only after the acknowledgement; a timer's outbox has no record.
        """
        topic = document.last_topic
        if topic is None or document.dirty:
            return False
        return document.applied[topic] < self._done.get((topic, document.shard), 0)

    def _note_starts(self, by_shard: Mapping[int, Sequence[Record]]) -> None:
        """Take note of where reading begins: what lies before it was committed, so it is done."""
        for shard, records in by_shard.items():
            for record in records:
                self._done.setdefault((record.topic.name, shard), record.offset)

    async def _save(self, plans: Mapping[int, Plan[S]], rows: Mapping[int, Sequence[StoredDocument]]) -> set[int]:
        """Save all changed documents, which are `rows`; return the shards where another process was faster."""
        changes = [row for found in rows.values() for row in found]
        if not changes:
            return set()
        result = await self._in_time(self._collection.save(changes))
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
            self._done[topic.name, plan.shard] = max(offset, self._done.get((topic.name, plan.shard), 0))
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
            logger.error("records.dead_lettered", reducer=name, shard=plan.shard, count=len(plan.dead_letters), topic=f"dead.{name}")

    # --- timers ---------------------------------------------------------------------------------------------------

    async def _due_timers(self) -> dict[int, list[str]]:
        """Return the keys whose timers are due, per shard, oldest first."""
        now = self._clock.now()
        due: dict[int, list[str]] = {}
        for shard in self.shards.timers_to_look_up(now):
            moment = to_epoch_milliseconds(now)
            limit = self._options.timers_per_batch_max
            rows = await self._in_time(self._collection.scan(DUE_INDEX.name, lower=(shard,), upper=(shard, moment), limit=limit))
            self.shards.timers_looked_up(shard, now if len(rows) == limit else await self._next_due(shard, moment))
            for row in rows:
                self._observe_lateness(row, now)
            for document in await self._taken_in(row for row in rows if self.shards.get(row.key) is None):
                self.shards.put(document)
            if rows and not self._waits(shard):
                due[shard] = [row.key for row in rows]
        return due

    async def _next_due(self, shard: int, after_milliseconds: int) -> datetime | None:
        rows = await self._in_time(self._collection.scan(DUE_INDEX.name, lower=(shard, after_milliseconds + 1), upper=(shard,), limit=1))
        return from_epoch_milliseconds(int(rows[0].fields["due_at"] or 0)) if rows else None

    def _observe_lateness(self, row: StoredDocument, now: datetime) -> None:
        due_at = from_epoch_milliseconds(int(row.fields["due_at"] or 0))
        self._meters.timer_lateness.observe(max(0.0, (now - due_at).total_seconds()))

    # --- what timers left -----------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Publish what timers left in outboxes: no input will bring those keys back. Page after page, each cleaned before the next."""
        limit = self._options.timers_per_batch_max
        for shard in sorted(self.shards.to_flush):
            while True:
                rows = await self._in_time(self._collection.scan(DIRTY_INDEX.name, lower=(shard,), upper=(shard,), limit=limit))
                await self._take_marks(await self._taken_in(rows))
                if len(rows) < limit or self._waits(shard):
                    break
            if not self._waits(shard):
                self.shards.to_flush.discard(shard)

    async def _clean(self, outcome: Outcome) -> None:
        """Take the mark from documents whose timers' outputs are acknowledged."""
        keys = list(self.shards.dirty_keys)[:DIRTY_CLEANED_MAX]
        held = [document for document in map(self.shards.get, keys) if document is not None and not document.outbox]
        try:
            await self._take_marks(held)
        except Exception as error:  # noqa: BLE001 # given back like any failed save
            outcome.failed.append((error, {document.shard for document in held}))

    async def _take_marks(self, documents: Sequence[Document[S]]) -> None:
        """Save `documents` without the mark; their outboxes are acknowledged and empty."""
        if not documents:
            return
        cleaned = [document.copy() for document in documents]
        for document in cleaned:
            document.dirty = False
        result = await self._in_time(self._collection.save([self._codec.to_stored(document) for document in cleaned]))
        if result.stale:
            raise StaleDocumentError(f"{len(result.stale)} documents were saved by another process")
        for document in cleaned:
            document.version += 1
            self.shards.put(document)

    async def _in_time(self, call: Awaitable[T]) -> T:
        """Return what the store answers, or raise StoreUnavailableError when it takes longer than the store's time-out."""
        try:
            async with asyncio.timeout(self._options.store_timeout_seconds):
                return await call
        except TimeoutError:
            message = f"the store did not answer within {self._options.store_timeout_seconds} s"
            raise StoreUnavailableError(message) from None


def _without(plans: dict[int, Plan[S]], failed: Sequence[Failed]) -> dict[int, Plan[S]]:
    """Return the plans of the shards that did not fail."""
    gone = {shard for _, shards in failed for shard in shards}
    return {shard: plan for shard, plan in plans.items() if shard not in gone} if gone else plans


def _concerns(error: BrokerUnavailableError, publications: Sequence[Publication]) -> bool:
    """Return whether any of `publications` may be among those that were not acknowledged."""
    return error.concerns(publications) if isinstance(error, PartlyWrittenError) else bool(publications)
