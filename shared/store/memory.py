"""The store in memory: for the local shell and the simulation, where nothing may wait and every run must be the same.

Its calls never suspend. It keeps the rules of the port to the letter, versions and unique keys included, so what runs on it runs
on the other adapters. Several stores may share one `MemoryData`: that is how a restart or a second process is played.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from shared.store.port import Collection, CollectionSpec, Index, SaveResult, Scalar, Store, StoredDocument, StoreError
from shared.store.rules import check_changes, check_limit, check_spec, distinct_keys, fields_of, index_of, key_range, stored_fields

Rank = tuple[int, Scalar]
"""A value with its place among the kinds: numbers come before text, as in SQLite and MongoDB."""
Entry = tuple[tuple[Rank, ...], str]
"""What stands in an index: the fields' values and the key that breaks ties."""


@dataclass
class MemoryTable:
    """The documents of one collection and its indexes, each a sorted list."""

    documents: dict[str, StoredDocument] = field(default_factory=dict)
    indexes: dict[Index, list[Entry]] = field(default_factory=dict)

    def declare(self, index: Index) -> None:
        """Build `index` from the documents if it is not there yet, in place of one of the same name that was declared otherwise.

        Raises:
            StoreError: The index is unique, the documents are not.
        """
        if index in self.indexes:
            return
        found = (_entry(index, document) for document in self.documents.values())
        entries = sorted(entry for entry in found if entry is not None)
        if index.unique and any(one[0] == other[0] for one, other in pairwise(entries)):
            raise StoreError(f"the unique index {index.name} cannot be made: two documents hold the same {index.fields}; change one first")
        for namesake in [other for other in self.indexes if other.name == index.name]:
            del self.indexes[namesake]
        self.indexes[index] = entries

    def conflicts(self, document: StoredDocument) -> bool:
        """Return whether a unique index holds the values of `document` for another key."""
        for index, entries in self.indexes.items():
            entry = _entry(index, document) if index.unique else None
            if entry is None:
                continue
            position = bisect_left(entries, (entry[0], ""))
            if position < len(entries) and entries[position][0] == entry[0] and entries[position][1] != document.key:
                return True
        return False

    def put(self, document: StoredDocument) -> None:
        """Store `document` and move it to its new place in the indexes where it has one."""
        self._move(self.documents.get(document.key), document)
        self.documents[document.key] = document

    def remove(self, key: str) -> None:
        """Forget the document of `key`, if there is one."""
        self._move(self.documents.pop(key, None), None)

    def _move(self, old: StoredDocument | None, new: StoredDocument | None) -> None:
        """Replace `old` by `new` in every index; None stands for no document."""
        for index, entries in self.indexes.items():
            before = _entry(index, old) if old else None
            after = _entry(index, new) if new else None
            if before == after:
                continue
            if before is not None:
                del entries[bisect_left(entries, before)]
            if after is not None:
                insort(entries, after)


@dataclass
class MemoryData:
    """What outlives a store: the tables by collection name."""

    tables: dict[str, MemoryTable] = field(default_factory=dict)


class MemoryStore(Store):
    """A store over `data`; stores over the same data see the same documents."""

    def __init__(self, data: MemoryData | None = None) -> None:
        self._data = MemoryData() if data is None else data
        self._closed = False

    async def open(self, spec: CollectionSpec) -> MemoryCollection:
        """Return the collection, making it and its indexes where missing."""
        self.check_open()
        check_spec(spec)
        table = self._data.tables.setdefault(spec.name, MemoryTable())
        for index in spec.indexes:
            table.declare(index)
        return MemoryCollection(self, spec, table)

    async def ping(self) -> None:
        """Return: memory always answers."""
        self.check_open()

    async def close(self) -> None:
        """Refuse every later call; the data stays with whoever holds it."""
        self._closed = True

    def check_open(self) -> None:
        """Raise StoreError if the store was closed."""
        if self._closed:
            raise StoreError("the store in memory was closed; open a new one over its data")


class MemoryCollection(Collection):
    """A collection of a MemoryStore."""

    def __init__(self, store: MemoryStore, spec: CollectionSpec, table: MemoryTable) -> None:
        self._store = store
        self._spec = spec
        self._table = table
        self._fields = frozenset(fields_of(spec))

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys`; absent ones are absent from the answer."""
        self._store.check_open()
        documents = self._table.documents
        return {key: documents[key] for key in distinct_keys(keys) if key in documents}

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save each change whose version is still the stored one; see the port."""
        self._store.check_open()
        check_changes(self._spec, self._fields, changes)
        stale: set[str] = set()
        duplicate: set[str] = set()
        for change in sorted(changes, key=lambda change: change.key):
            stored = self._table.documents.get(change.key)
            if (stored.version if stored else 0) != change.version:
                stale.add(change.key)
            elif self._table.conflicts(change):
                duplicate.add(change.key)
            else:
                self._table.put(replace(change, version=change.version + 1, body=bytes(change.body), fields=stored_fields(change)))
        return SaveResult(frozenset(stale), frozenset(duplicate))

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget `keys`; absent ones are no error."""
        self._store.check_open()
        for key in distinct_keys(keys):
            self._table.remove(key)

    async def scan(
        self,
        index: str,
        *,
        lower: tuple[Scalar, ...] = (),
        upper: tuple[Scalar, ...] = (),
        limit: int,
        reverse: bool = False,
    ) -> list[StoredDocument]:
        """Return up to `limit` documents of `index` in [lower, upper], in order; see the port."""
        self._store.check_open()
        check_limit(limit)
        declared = index_of(self._spec, index)
        key_range(declared, lower, upper)
        entries = self._table.indexes[declared]
        begin = bisect_left(entries, _ranks(lower), key=lambda entry: entry[0][: len(lower)])
        end = bisect_right(entries, _ranks(upper), key=lambda entry: entry[0][: len(upper)])
        found = entries[max(begin, end - limit) : end][::-1] if reverse else entries[begin : min(end, begin + limit)]
        return [self._table.documents[key] for _, key in found]


def _ranks(values: Iterable[Scalar]) -> tuple[Rank, ...]:
    """Return `values` in a form that compares across kinds."""
    return tuple((1 if isinstance(value, str) else 0, value) for value in values)


def _entry(index: Index, document: StoredDocument) -> Entry | None:
    """Return what stands in `index` for `document`, or None if one of its fields is absent."""
    values = [document.fields.get(name) for name in index.fields]
    return None if None in values else (_ranks(values), document.key)
