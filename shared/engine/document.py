"""What the engine remembers of one key: the reducer's state, and what it needs so that every input takes effect once.

A document is one row of the store. It is written whole, guarded by its version, so a crash leaves the state, the inputs that
made it and the outputs that follow from it together, or none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from shared.clock import from_epoch_milliseconds, to_epoch_milliseconds
from shared.ids import remember_digest
from shared.store.port import CollectionSpec, Index, StoredDocument

S = TypeVar("S", bound=BaseModel)

RECENT_IDS_MAX = 256
"""How many ids of events without a seq one key remembers."""
SEEN_EMITTERS_MAX = 2_000
"""How many emitting states one key remembers the last seq of."""

DUE_INDEX = Index("due", ("shard", "due_at"))
DIRTY_INDEX = Index("dirty", ("shard", "dirty"))


def documents_of(reducer: str) -> CollectionSpec:
    """Return the collection in which a reducer's documents live."""
    return CollectionSpec(reducer, (DUE_INDEX, DIRTY_INDEX))


class Emitted(NamedTuple):
    """An output that is saved: its topic's name, its key and its bytes, exactly as they go (again) to the log."""

    topic: str
    key: str
    value: bytes


class StaleDocumentError(Exception):
    """Another process saved a document first: we are, or were, not the only owner of the shard."""


@dataclass(slots=True)
class Document(Generic[S]):
    """One key's memory.

    version     the version in the store that a save of this document replaces (0: there is none)
    applied     per input topic the offset of the last record that took effect; what is at or below it is not decided again
    last_topic  the input topic whose record made the outbox: once that record is done, the outbox is known to be acknowledged
    emitted     the last seq that was given out; `emitted_to` the last one per topic under the document's own key
    seen        per topic and emitting state the last seq that was taken from it
    recent_ids  digests of the last ids without seq, oldest first (shared.ids.remember_digest)
    due_at      when the state wants a TimerFired
    dirty       a timer's outputs are in the outbox: no input will bring the key back, so it is found by index
    parked      why this key's records go to the dead letters until an operator replays, or None
    outbox      outputs that are saved and not known to be acknowledged by the broker, in seq order
    """

    key: str
    shard: int
    version: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    last_topic: str | None = None
    emitted: int = 0
    emitted_to: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    recent_ids: str = ""
    due_at: datetime | None = None
    dirty: bool = False
    parked: str | None = None
    state: S | None = None
    outbox: list[Emitted] = field(default_factory=list)

    def copy(self) -> Document[S]:
        """Return a document that can be changed without changing this one."""
        return Document(
            self.key,
            self.shard,
            self.version,
            self.applied.copy(),
            self.last_topic,
            self.emitted,
            self.emitted_to.copy(),
            self.seen.copy(),
            self.recent_ids,
            self.due_at,
            self.dirty,
            self.parked,
            self.state,
            self.outbox.copy(),
        )

    def remember_id(self, digest: str) -> None:
        """Remember that the event with this digest took effect; the oldest is forgotten beyond RECENT_IDS_MAX."""
        self.recent_ids = remember_digest(self.recent_ids, digest, RECENT_IDS_MAX)

    def remember_seq(self, emitter: str, seq: int) -> None:
        """Remember the last seq of an emitting state; the one that was silent longest is forgotten beyond SEEN_EMITTERS_MAX."""
        self.seen.pop(emitter, None)
        self.seen[emitter] = seq
        if len(self.seen) > SEEN_EMITTERS_MAX:
            del self.seen[next(iter(self.seen))]


class _Body(BaseModel):
    """The JSON of a document; `state` is the reducer's own model in a subclass made per reducer."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    applied: dict[str, int]
    last_topic: str | None = None
    emitted: int
    emitted_to: dict[str, int]
    seen: dict[str, int]
    recent_ids: str
    parked: str | None
    outbox: list[tuple[str, str, str]]
    state: Any


class DocumentCodec(Generic[S]):
    """Writes documents of one reducer into the store's form and reads them back."""

    def __init__(self, state: type[S]) -> None:
        self._adapter = _body_adapter(state)

    def to_stored(self, document: Document[S]) -> StoredDocument:
        """Return the row that replaces `document.version`. What is None in the state is left out, as on the topics."""
        state = document.state
        body = orjson.dumps(
            {
                "applied": document.applied,
                "last_topic": document.last_topic,
                "emitted": document.emitted,
                "emitted_to": document.emitted_to,
                "seen": document.seen,
                "recent_ids": document.recent_ids,
                "parked": document.parked,
                "outbox": [(entry.topic, entry.key, entry.value.decode()) for entry in document.outbox],
                "state": None if state is None else orjson.Fragment(state.__pydantic_serializer__.to_json(state, exclude_none=True)),
            }
        )
        return StoredDocument(document.key, document.version, body, index_fields(document))

    def from_stored(self, stored: StoredDocument) -> Document[S]:
        """Return the document in a row; raises pydantic.ValidationError where the row was not written by this codec."""
        body = self._adapter.validate_json(stored.body)
        fields = stored.fields
        due_at = fields.get("due_at")
        return Document(
            key=stored.key,
            shard=_integer(fields, "shard"),
            version=stored.version,
            applied=body.applied,
            last_topic=body.last_topic,
            emitted=body.emitted,
            emitted_to=body.emitted_to,
            seen=body.seen,
            recent_ids=body.recent_ids,
            due_at=None if due_at is None else from_epoch_milliseconds(_integer(fields, "due_at")),
            dirty=bool(fields.get("dirty")),
            parked=body.parked,
            state=body.state,
            outbox=[Emitted(topic, key, value.encode()) for topic, key, value in body.outbox],
        )


@cache
def _body_adapter(state: type[BaseModel]) -> TypeAdapter[_Body]:
    """Return what reads a row's body with `state` in it; building it takes some ten milliseconds."""
    optional_state: Any = state | None
    return TypeAdapter(create_model("Body", __base__=_Body, state=(optional_state, ...)))


def index_fields(document: Document[Any]) -> dict[str, int | None]:
    """Return the indexed fields of a document; a parked one has no timer."""
    due_at = document.due_at if document.parked is None else None
    return {
        "shard": document.shard,
        "due_at": None if due_at is None else to_epoch_milliseconds(due_at),
        "dirty": 1 if document.dirty else None,
    }


def _integer(fields: Mapping[str, Any], name: str) -> int:
    """Return an indexed integer; a row without it was not written by us."""
    value = fields.get(name)
    if not isinstance(value, int):
        message = f"the store's row has no {name}: it was not written by this version of the engine"
        raise TypeError(message)
    return value
