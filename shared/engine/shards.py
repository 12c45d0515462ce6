"""What a process holds in memory of the shards it owns: documents, the nearest timers, and what must be flushed first.

A shard is a partition number. Everything here can be forgotten at any moment: the store and the log know better.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.engine.document import Document

S = TypeVar("S", bound=BaseModel)


class Shards(Generic[S]):
    """The memory of one reducer in one process, bounded to `documents_max` documents (the longest unused leave first)."""

    def __init__(self, documents_max: int) -> None:
        self.owned: frozenset[int] = frozenset()
        self.to_flush: set[int] = set()
        self._documents: OrderedDict[str, Document[S]] = OrderedDict()
        self._documents_max = documents_max
        self._next_due: dict[int, datetime] = {}
        self._timers_unknown: set[int] = set()
        self.dirty_keys: dict[str, None] = {}

    def own(self, shards: set[int]) -> None:
        """Own exactly `shards` from now on; nothing of them is held in memory yet."""
        self.forget(self.owned | shards)
        self.owned = frozenset(shards)
        self.to_flush = set(shards)
        self._timers_unknown = set(shards)

    def forget(self, shards: Iterable[int]) -> None:
        """Drop the memory of `shards`: their timers and what they left unpublished are looked up anew."""
        gone = set(shards)
        for key in [key for key, document in self._documents.items() if document.shard in gone]:
            del self._documents[key]
            self.dirty_keys.pop(key, None)
        for shard in gone:
            self._next_due.pop(shard, None)
        still_owned = gone & self.owned
        self._timers_unknown |= still_owned
        self.to_flush |= still_owned

    # --- documents ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how many documents are held."""
        return len(self._documents)

    def get(self, key: str) -> Document[S] | None:
        """Return the document of `key` as far as it is held."""
        document = self._documents.get(key)
        if document is not None:
            self._documents.move_to_end(key)
        return document

    def put(self, document: Document[S]) -> None:
        """Hold `document`; whoever was not used for longest leaves when there are too many."""
        self._documents[document.key] = document
        self._documents.move_to_end(document.key)
        if document.dirty:
            self.dirty_keys[document.key] = None
        else:
            self.dirty_keys.pop(document.key, None)
        while len(self._documents) > self._documents_max:
            key, _ = self._documents.popitem(last=False)
            self.dirty_keys.pop(key, None)

    # --- timers ---------------------------------------------------------------------------------------------------

    def timers_to_look_up(self, now: datetime) -> list[int]:
        """Return the shards that have, or may have, a timer that is due."""
        due = {shard for shard, moment in self._next_due.items() if moment <= now}
        return sorted(due | self._timers_unknown)

    def timers_looked_up(self, shard: int, next_due: datetime | None) -> None:
        """Take note of the nearest timer of `shard` that was not handed out."""
        self._timers_unknown.discard(shard)
        if next_due is None:
            self._next_due.pop(shard, None)
        else:
            self._next_due[shard] = next_due

    def timer_armed(self, shard: int, due_at: datetime) -> None:
        """Take note of a timer that was saved; one of a shard that went to another process meanwhile is that process's."""
        if shard not in self.owned:
            return
        current = self._next_due.get(shard)
        if current is None or due_at < current:
            self._next_due[shard] = due_at

    def seconds_to_next_timer(self, now: datetime) -> float | None:
        """Return the seconds until a shard has to be looked at again, or None where no timer is known."""
        if self._timers_unknown:
            return 0.0
        nearest = min(self._next_due.values(), default=None)
        return None if nearest is None else max(0.0, (nearest - now).total_seconds())
