"""Timers of one reducer: which keys are due, and the marks that timers' outputs leave until they are acknowledged.

A timer's output has no input that would bring its key back after a crash. So its document is saved with a mark (`dirty`); what is
marked in the store is published again when a shard is taken over and after every failure, and the mark is taken away at leisure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.clock import from_epoch_milliseconds, to_epoch_milliseconds
from shared.engine.document import DIRTY_INDEX, DUE_INDEX, Document, DocumentCodec, StaleDocumentError
from shared.engine.intake import Failed, Intake
from shared.engine.shards import Shards
from shared.metrics import ReducerMetrics
from shared.store.port import Collection, StoredDocument

S = TypeVar("S", bound=BaseModel)
DIRTY_CLEANED_MAX = 200
"""How many marks of published timers are taken away in one save."""


class Timers(Generic[S]):
    """Looks up due timers, and looks after the marks."""

    def __init__(
        self,
        collection: Collection,
        intake: Intake[S],
        *,
        shards: Shards[S],
        codec: DocumentCodec[S],
        meters: ReducerMetrics,
        per_batch_max: int,
    ) -> None:
        self._collection = collection
        self._intake = intake
        self._shards = shards
        self._codec = codec
        self._meters = meters
        self._per_batch_max = per_batch_max

    async def due(self, now: datetime) -> dict[int, list[str]]:
        """Return the keys whose timers are due, per shard, oldest first."""
        due: dict[int, list[str]] = {}
        for shard in self._shards.timers_to_look_up(now):
            moment, limit = to_epoch_milliseconds(now), self._per_batch_max
            scan = self._collection.scan(DUE_INDEX.name, lower=(shard,), upper=(shard, moment), limit=limit)
            rows = await self._intake.in_time(scan)
            self._shards.timers_looked_up(shard, now if len(rows) == limit else await self._next_due(shard, moment))
            for row in rows:
                self._observe_lateness(row, now)
            for document in await self._intake.take_in(row for row in rows if self._shards.get(row.key) is None):
                self._shards.put(document)
            if rows and not self._intake.waits(shard):
                due[shard] = [row.key for row in rows]
        return due

    async def _next_due(self, shard: int, after_milliseconds: int) -> datetime | None:
        scan = self._collection.scan(DUE_INDEX.name, lower=(shard, after_milliseconds + 1), upper=(shard,), limit=1)
        rows = await self._intake.in_time(scan)
        return from_epoch_milliseconds(int(rows[0].fields["due_at"] or 0)) if rows else None

    def _observe_lateness(self, row: StoredDocument, now: datetime) -> None:
        due_at = from_epoch_milliseconds(int(row.fields["due_at"] or 0))
        self._meters.timer_lateness.observe(max(0.0, (now - due_at).total_seconds()))

    async def flush(self) -> None:
        """Publish what timers left in outboxes: no input will bring those keys back. Page after page, each cleaned before the next."""
        limit = self._per_batch_max
        for shard in sorted(self._shards.to_flush):
            while True:
                scan = self._collection.scan(DIRTY_INDEX.name, lower=(shard,), upper=(shard,), limit=limit)
                rows = await self._intake.in_time(scan)
                await self._take_marks(await self._intake.take_in(rows))
                if len(rows) < limit or self._intake.waits(shard):
                    break
            if not self._intake.waits(shard):
                self._shards.to_flush.discard(shard)

    async def clean(self) -> list[Failed]:
        """Take the mark from documents whose timers' outputs are acknowledged; return the shards where that failed."""
        keys = list(self._shards.dirty_keys)[:DIRTY_CLEANED_MAX]
        held = [document for document in map(self._shards.get, keys) if document is not None and not document.outbox]
        try:
            await self._take_marks(held)
        except Exception as error:  # noqa: BLE001 # given back like any failed save
            return [(error, {document.shard for document in held})]
        return []

    async def _take_marks(self, documents: Sequence[Document[S]]) -> None:
        """Save `documents` without the mark; their outboxes are acknowledged and empty."""
        if not documents:
            return
        cleaned = [document.copy() for document in documents]
        for document in cleaned:
            document.dirty = False
        result = await self._intake.in_time(self._collection.save([self._codec.to_stored(document) for document in cleaned]))
        if result.stale:
            raise StaleDocumentError(f"{len(result.stale)} documents were saved by another process")
        for document in cleaned:
            document.version += 1
            self._shards.put(document)
