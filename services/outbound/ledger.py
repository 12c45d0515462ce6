"""The send ledger in the store: one document per send id, saved by compare-and-set, many sends per call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.outbound.state import LedgerEntry
from shared.clock import to_epoch_milliseconds
from shared.engine.worker_batcher import Batcher
from shared.store.port import Collection, CollectionSpec, Index, Store, StoredDocument, StoreUnavailableError

LEDGER = CollectionSpec("ledger", (Index("settled", ("settled_at",)),))
ENTRIES_PER_CALL_MAX = 500
FORGET_ENTRIES_MAX = 1_000
"""Entries that one clean-up call deletes: it shares the store with the sends."""


class Stored(NamedTuple):
    """An entry and the version that the next save replaces (0: there is none yet)."""

    version: int = 0
    entry: LedgerEntry | None = None


class _Change(NamedTuple):
    """An entry to save in place of the version that it replaces."""

    replaces: int
    entry: LedgerEntry


class Ledger:
    """Loads and saves entries. Whoever saves first wins; the other is told and looks again."""

    def __init__(self, collection: Collection, *, linger_seconds: float, timeout_seconds: float) -> None:
        self._collection = collection
        self._timeout_seconds = timeout_seconds
        self._loads: Batcher[str, Stored] = Batcher(self._load_all, items_max=ENTRIES_PER_CALL_MAX)
        self._saves: Batcher[_Change, bool] = Batcher(self._save_all, items_max=ENTRIES_PER_CALL_MAX, linger_seconds=linger_seconds)

    @classmethod
    async def open(cls, store: Store, *, linger_seconds: float, timeout_seconds: float) -> Ledger:
        """Return the ledger of `store`, made where it is missing."""
        return cls(await store.open(LEDGER), linger_seconds=linger_seconds, timeout_seconds=timeout_seconds)

    async def load(self, send_id: str) -> Stored:
        """Return what is known of `send_id`. Raises StoreUnavailableError."""
        return await self._loads.submit(send_id)

    async def save(self, replaces: int, entry: LedgerEntry) -> Stored | None:
        """Save `entry` in place of version `replaces`; return None where somebody was faster.

        Raises StoreUnavailableError: it may have been saved all the same.
        """
        saved = await self._saves.submit(_Change(replaces, entry))
        return Stored(replaces + 1, entry) if saved else None

    async def forget(self, settled_before: datetime) -> int:
        """Delete some of the sends that were settled before that moment, the oldest first; return how many."""
        async with asyncio.timeout(self._timeout_seconds):
            found = await self._collection.scan("settled", upper=(to_epoch_milliseconds(settled_before),), limit=FORGET_ENTRIES_MAX)
            await self._collection.delete([document.key for document in found])
        return len(found)

    async def close(self) -> None:
        """Return when nothing is being loaded or saved any more."""
        await self._loads.close()
        await self._saves.close()

    async def _load_all(self, send_ids: list[str]) -> Sequence[Stored]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._collection.load(send_ids)
        except TimeoutError:
            raise self._timed_out("load") from None
        return [_stored(found.get(send_id)) for send_id in send_ids]

    async def _save_all(self, changes: list[_Change]) -> Sequence[bool]:
        """Save the first change of each send; a second one in the same call would replace what is not there yet: it was not faster."""
        first: dict[str, int] = {}
        for position, change in enumerate(changes):
            first.setdefault(change.entry.send_id, position)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = await self._collection.save([_document(changes[position]) for position in first.values()])
        except TimeoutError:
            raise self._timed_out("save") from None
        return [first[c.entry.send_id] == position and c.entry.send_id not in result.stale for position, c in enumerate(changes)]

    def _timed_out(self, verb: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the ledger could not {verb} within {self._timeout_seconds:g} s; the sends wait and it is tried again; look at the store"
        )


def _stored(document: StoredDocument | None) -> Stored:
    """Return the entry in `document`."""
    return Stored() if document is None else Stored(document.version, LedgerEntry.model_validate_json(document.body))


def _document(change: _Change) -> StoredDocument:
    """Return the document of a change; only what is settled can be forgotten, so only that is in the index."""
    entry = change.entry
    settled_at = to_epoch_milliseconds(entry.since) if entry.settled else None
    body = entry.model_dump_json(exclude_none=True).encode()
    return StoredDocument(entry.send_id, change.replaces, body, {"settled_at": settled_at})
