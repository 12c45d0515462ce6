"""The store's port: keyed documents with a version, saved by compare-and-set, scanned along declared indexes.

Everything that a service keeps goes through these few calls, so an adapter is small and one contract suite
(`tests/shared/store`) holds all of them to the same behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import ParleyError, RecoverableError

Scalar = str | int | float | bool | None
"""What an indexed field may hold. Times are integers: milliseconds since 1970-01-01 UTC.

All values of one field are of one kind, text or numbers. Text is ordered by code point. Integers have 64 bits, NaN is refused, and a
boolean is kept as 0 or 1. Text that has no UTF-8 form (half a surrogate pair) is refused, in keys too: ValueError.
"""

DOCUMENT_BYTES_MAX = 15 * 1024 * 1024
"""Largest body of one document: below the 16 MiB that MongoDB accepts, on every adapter alike."""


class StoreError(ParleyError):
    """The store could not do what was asked; the message says which collection and what to do."""


class StoreUnavailableError(StoreError, RecoverableError):
    """The store does not answer or is locked by another process. Try again later; nothing was saved, or it is unknown whether it was."""


class DocumentTooLargeError(StoreError):
    """A body is larger than DOCUMENT_BYTES_MAX. Nothing of the call was saved."""


class DuplicateKeyError(StoreError):
    """A unique index holds this value for another key already. The document was not saved."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index over `fields`, scanned in their order (ascending), ties broken by key.

    `unique` refuses a second document with the same values, documents where any field is None excepted.
    A document in which a field of the index is None or absent is not in the index and not found by a scan of it:
    this is how a partial index is written.
    """

    name: str
    fields: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """A collection's name (lower case letters, digits, underscores) and its indexes."""

    name: str
    indexes: tuple[Index, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One document as the store sees it.

    `version` is the version this document *replaces* when saved (0: it must not exist yet) and the version it *has* when loaded.
    A successful save stores it as version + 1. `body` is UTF-8 JSON. `fields` are the values of indexed fields, and of no others
    (ValueError); a loaded document names those that are not None. A deleted key begins again at version 0.
    """

    key: str
    version: int
    body: bytes
    fields: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaveResult:
    """What came of a save: the keys that were refused because another writer was faster, and those that broke a unique index.

    A key that is both is stale. Of two changes of one call that claim the same unique value one is saved; whether a value that one
    change of a call gives up is free for another of the same call is not promised.
    """

    stale: frozenset[str] = frozenset()
    duplicate: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        """Return whether every document was saved."""
        return not self.stale and not self.duplicate


class Collection(Protocol):
    """A named set of documents."""

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys`; absent ones are absent from the answer. Any number of keys."""
        ...

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save each change if the stored version is still the one it replaces; refuse it, alone, if not.

        All accepted changes of a call are saved in one transaction where the store has them; each is atomic everywhere.
        A change with a key that occurs twice in a call is a programming error (ValueError).
        Raises DocumentTooLargeError before anything is saved, StoreUnavailableError where the outcome is unknown.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget `keys`; absent ones are no error."""
        ...

    async def scan(
        self,
        index: str,
        *,
        lower: tuple[Scalar, ...] = (),
        upper: tuple[Scalar, ...] = (),
        limit: int,
        reverse: bool = False,
    ) -> list[StoredDocument]:
        """Return up to `limit` documents in the order of `index` whose field values lie in [lower, upper], both ends included.

        `lower` and `upper` are prefixes of the index's fields; an empty one is open.
        A prefix covers every value of the fields it leaves out. Fields are compared one after the other, like the letters of a word.
        Raises ValueError for an index that is not declared, an end that holds None or is too long, or a negative limit.
        """
        ...


class Store(Protocol):
    """Opens collections; one per process."""

    async def open(self, spec: CollectionSpec) -> Collection:
        """Return the collection, making it and its indexes where missing. Safe to call from several processes at once."""
        ...

    async def ping(self) -> None:
        """Return when the store answers; raise StoreUnavailableError when it does not within its time-out."""
        ...

    async def close(self) -> None:
        """Release everything; afterwards no call is allowed."""
        ...
