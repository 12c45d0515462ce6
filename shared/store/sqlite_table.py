"""One collection as a table of an SQLite database: the statements and the order in which they run. All of it blocks.

A row is key, version, the indexed fields (untyped columns: a value comes back as it went in) and the body. Bodies of 1-2 KB make
a table with rowids faster than one without: in the latter they would swell the tree that is searched (measured: saves cost twice as
much with SQLite's usual pages of 4 KB, a fifth more with 8 KB).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.store.port import CollectionSpec, Index, SaveResult, Scalar, StoredDocument, StoreError
from shared.store.rules import KeyRange, fields_of

KEYS_PER_SELECT_MAX = 2048
"""Keys of one SELECT. Lists are filled up to a power of two, so few statements serve all lengths and stay prepared."""

Row = tuple[object, ...]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock from the start, commit at the end unless the block has rolled back, undo everything on any error.

    BEGIN IMMEDIATE, because a transaction that turns from reading to writing is refused without waiting when another was faster.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself has rolled back after some errors, a full disk for one
            connection.execute("ROLLBACK")
        raise


class Table:
    """The table of `spec`; every call takes the connection of the thread that runs it."""

    def __init__(self, spec: CollectionSpec) -> None:
        self._spec = spec
        self._fields = fields_of(spec)
        columns = ", ".join(["key", "version", "body", *self._fields])
        assignments = ", ".join(f"{column} = ?" for column in ["version", "body", *self._fields])
        marks = ", ".join("?" * (3 + len(self._fields)))
        name = f'"{spec.name}"'
        # The identifiers were checked by rules.check_spec (letters, digits, underscores); every value is bound.
        self._select = f"SELECT {columns} FROM {name}"  # noqa: S608 - see above
        self._update = f"UPDATE OR IGNORE {name} SET {assignments} WHERE key = ? AND version = ?"  # noqa: S608 - see above
        self._insert = f"INSERT INTO {name} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - see above
        self._delete = f"DELETE FROM {name} WHERE key = ?"  # noqa: S608 - see above
        self._version = f"SELECT version FROM {name} WHERE key = ?"  # noqa: S608 - see above

    def create(self, connection: sqlite3.Connection) -> None:
        """Make the table, the columns and the indexes that are missing, and remake an index that was declared otherwise.

        Documents stored before a field was declared are in its indexes after their next save.
        """
        columns = "key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL"
        with transaction(connection):
            connection.execute(f'CREATE TABLE IF NOT EXISTS "{self._spec.name}" ({columns})')
            present = {row[1] for row in connection.execute(f'PRAGMA table_info("{self._spec.name}")')}
            for name in self._fields:
                if name not in present:
                    connection.execute(f'ALTER TABLE "{self._spec.name}" ADD COLUMN {name}')
            for index in self._spec.indexes:
                self._create_index(connection, index)

    def _create_index(self, connection: sqlite3.Connection, index: Index) -> None:
        """Make `index` as it is declared now."""
        columns = ", ".join(_columns(index))
        present = " AND ".join(f"{name} IS NOT NULL" for name in index.fields)
        unique = "UNIQUE " if index.unique else ""
        wanted = f'CREATE {unique}INDEX {self._index_name(index)} ON "{self._spec.name}" ({columns}) WHERE {present}'
        stored = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", (f"{self._spec.name}.{index.name}",))
        row = stored.fetchone()
        if row is not None and row[0] == wanted:
            return
        if row is not None:
            connection.execute(f"DROP INDEX {self._index_name(index)}")
        try:
            connection.execute(wanted)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"collection {self._spec.name}: the unique index {index.name} cannot be made, "
                f"because two documents hold the same {index.fields}; change one first"
            ) from error

    def _index_name(self, index: Index) -> str:
        """Return the quoted name of `index`; names of indexes are shared by all tables of a file."""
        return f'"{self._spec.name}.{index.name}"'

    def load(self, connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys` (distinct and sorted)."""
        documents = {}
        for start in range(0, len(keys), KEYS_PER_SELECT_MAX):
            chunk = list(keys[start : start + KEYS_PER_SELECT_MAX])
            length = 1 << (len(chunk) - 1).bit_length()
            chunk.extend([chunk[-1]] * (length - len(chunk)))
            marks = ", ".join("?" * length)
            for row in connection.execute(f"{self._select} WHERE key IN ({marks})", chunk):
                documents[row[0]] = self._document(row)
        return documents

    def save(self, connection: sqlite3.Connection, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save `changes` in one transaction; see the port.

        The common case, all of them fit, is two statements run over all rows. Their count tells whether one was refused, not which:
        then everything is undone and done again one by one. No savepoint marks the point to go back to: SQLite would copy every
        page that it changes after one (measured: half as much CPU again for every save) for a case that is rare.
        """
        ordered = sorted(changes, key=lambda change: change.key)
        updates = [self._update_row(change) for change in ordered if change.version]
        inserts = [self._insert_row(change) for change in ordered if not change.version]
        with transaction(connection):
            saved = connection.executemany(self._update, updates).rowcount if updates else 0
            saved += connection.executemany(self._insert, inserts).rowcount if inserts else 0
            if saved == len(changes):
                return SaveResult()
            connection.execute("ROLLBACK")
        return self._save_one_by_one(connection, ordered)

    def _save_one_by_one(self, connection: sqlite3.Connection, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save `changes` in one transaction and find out why each refused one was."""
        stale: set[str] = set()
        duplicate: set[str] = set()
        with transaction(connection):
            for change in changes:
                if change.version:
                    saved = connection.execute(self._update, self._update_row(change)).rowcount
                else:
                    saved = connection.execute(self._insert, self._insert_row(change)).rowcount
                if not saved:
                    row = connection.execute(self._version, (change.key,)).fetchone()
                    stored_version = row[0] if row else 0
                    (duplicate if stored_version == change.version else stale).add(change.key)
        return SaveResult(frozenset(stale), frozenset(duplicate))

    def delete(self, connection: sqlite3.Connection, keys: Sequence[str]) -> None:
        """Forget `keys` in one transaction."""
        with transaction(connection):
            connection.executemany(self._delete, [(key,) for key in keys])

    def scan(self, connection: sqlite3.Connection, index: Index, within: KeyRange, limit: int, *, reverse: bool) -> list[StoredDocument]:
        """Return up to `limit` documents of `index` in the range `within`, in order.

        INDEXED BY: the statement fails rather than read the whole table, should the index be missing.
        """
        conditions = [f"{name} IS NOT NULL" for name in index.fields]
        conditions += [f"{name} = ?" for name in index.fields[: len(within.equal)]]
        rest = index.fields[len(within.equal) :]
        for operator, end in ((">=", within.lower), ("<=", within.upper)):
            if end:
                conditions.append(f"({', '.join(rest[: len(end)])}) {operator} ({', '.join('?' * len(end))})")
        direction = "DESC" if reverse else "ASC"
        order = ", ".join(f"{name} {direction}" for name in _columns(index))
        statement = f"{self._select} INDEXED BY {self._index_name(index)} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
        rows = connection.execute(statement, (*within.equal, *within.lower, *within.upper, limit))
        return [self._document(row) for row in rows]

    def _update_row(self, change: StoredDocument) -> Row:
        """Return the values that the update of `change` binds."""
        return (change.version + 1, change.body, *map(change.fields.get, self._fields), change.key, change.version)

    def _insert_row(self, change: StoredDocument) -> Row:
        """Return the values that the insert of `change` binds."""
        return (change.key, 1, change.body, *map(change.fields.get, self._fields))

    def _document(self, row: tuple[str, int, bytes, *tuple[Scalar, ...]]) -> StoredDocument:
        """Return the document of `row` as the select names its columns."""
        fields = {name: value for name, value in zip(self._fields, row[3:], strict=True) if value is not None}
        return StoredDocument(row[0], row[1], row[2], fields)


def _columns(index: Index) -> tuple[str, ...]:
    """Return the columns of `index`: the key breaks ties, so it ends every index but a unique one, where there are none."""
    return index.fields if index.unique else (*index.fields, "key")
