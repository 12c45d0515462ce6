"""Documents brought from the store into memory, and which shards have to wait because one of theirs could not be.

First touch: a document that is loaded with an outbox which is not known to be acknowledged gets the whole of it published, in order,
before anything new of its key is decided.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.engine.document import Document, DocumentCodec
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.plan import Plan, TimerDue
from shared.engine.records import Record
from shared.engine.shards import Shards
from shared.engine.step import Engine
from shared.errors import ParleyError
from shared.ids import digest
from shared.store.port import Collection, StoredDocument, StoreUnavailableError
from shared.topics import Topic

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T")
Input = Record | TimerDue
Failed = tuple[Exception, set[int]]
"""What went wrong, and for which shards."""
Publish = Callable[[Mapping[int, Plan[S]]], Awaitable[list[Failed]]]
"""Publishes plans and returns the shards of which something is not known to be acknowledged."""
DIGESTS_SHOWN_MAX = 5


class UnreadableDocumentError(ParleyError):
    """Documents in the store cannot be read by this version: their shards wait for one that can, or for an operator."""


class Intake(Generic[S]):
    """Brings the documents of one reducer into memory."""

    def __init__(
        self,
        engine: Engine[S],
        collection: Collection,
        publish: Publish[S],
        *,
        shards: Shards[S],
        codec: DocumentCodec[S],
        options: LoopOptions,
    ) -> None:
        self._engine = engine
        self._collection = collection
        self._publish = publish
        self._shards = shards
        self._codec = codec
        self._name = engine.reducer.name
        self._timeout_seconds = options.store_timeout_seconds
        self._done: dict[tuple[str, int], int] = {}
        self._unreadable: dict[int, set[str]] = {}
        self._unflushed: list[Failed] = []

    def begin(self, by_shard: Mapping[int, Sequence[Record]]) -> None:
        """Begin a batch: nothing waits yet, and what lies before the first records of a shard was committed, so it is done."""
        self._unreadable, self._unflushed = {}, []
        for shard, records in by_shard.items():
            for record in records:
                self._done.setdefault((record.topic.name, shard), record.offset)

    def acknowledged(self, topic: Topic, shard: int, offset: int) -> None:
        """Take note that what lies before `offset` is done: its outputs are acknowledged."""
        self._done[topic.name, shard] = max(offset, self._done.get((topic.name, shard), 0))

    async def load(self, pending: Mapping[int, Sequence[Input]]) -> dict[str, Document[S]]:
        """Return the documents of all keys in `pending`: from memory, else from the store."""
        found: dict[str, Document[S]] = {}
        missing: set[str] = set()
        for inputs in pending.values():
            for one in inputs:
                key = one.key if isinstance(one, TimerDue) else (one.key or b"").decode("utf-8", "replace")
                if key in found or key in missing:
                    continue
                document = self._shards.get(key)
                if document is None:
                    missing.add(key)
                else:
                    found[key] = document
        if missing:
            stored = await self.in_time(self._collection.load(missing))
            found.update({document.key: document for document in await self.take_in(stored.values())})
        return found

    async def take_in(self, rows: Iterable[StoredDocument]) -> list[Document[S]]:
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

    def waits(self, shard: int) -> bool:
        """Return whether a document of `shard` was found that cannot be read, or an outbox that cannot be published now."""
        return shard in self._unreadable or any(shard in shards for _, shards in self._unflushed)

    def workable(self, pending: dict[int, list[Input]]) -> dict[int, list[Input]]:
        """Return `pending` without the shards that have to wait."""
        return {shard: inputs for shard, inputs in pending.items() if not self.waits(shard)}

    def failed(self) -> list[Failed]:
        """Return what is to be said of the shards that wait: each is given back alone, and stays as it is."""
        unreadable: list[Failed] = [
            (
                UnreadableDocumentError(
                    f"{self._name}: {len(keys)} documents in the store cannot be read by this version (digests of their keys: "
                    f"{', '.join(sorted(keys)[:DIGESTS_SHOWN_MAX])}); shard {shard} waits: run the version that wrote them, or restore them"
                ),
                {shard},
            )
            for shard, keys in self._unreadable.items()
        ]
        return [*unreadable, *self._unflushed]

    async def in_time(self, call: Awaitable[T]) -> T:
        """Return what the store answers, or raise StoreUnavailableError when it takes longer than the store's time-out."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call
        except TimeoutError:
            raise StoreUnavailableError(f"the store did not answer within {self._timeout_seconds} s") from None
