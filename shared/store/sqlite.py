"""The embedded store: one SQLite file per service, in WAL mode, used by any number of processes on one machine.

All work of a store runs in one thread of its own, so a lock that another process holds stops neither the event loop nor the
heartbeat to the broker. A call that is cancelled while its thread works is carried out all the same.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from shared.store.port import Collection, CollectionSpec, SaveResult, Scalar, Store, StoredDocument, StoreError, StoreUnavailableError
from shared.store.rules import check_changes, check_limit, check_spec, distinct_keys, fields_of, index_of, key_range
from shared.store.sqlite_errors import translated
from shared.store.sqlite_table import Table, transaction

BUSY_TIMEOUT_SECONDS = 10.0
"""How long a call waits for another process's lock: under half of the 45 s session that a worker has with the broker."""
PING_TIMEOUT_SECONDS = 2.0
PAGE_CACHE_BYTES = 64 * 1024 * 1024
"""Pages kept in memory, at most: with SQLite's own 2 MB the hot part of a large table is read again and again."""
CHECKPOINT_PAGES = 4000
"""Length of the write-ahead log (16 MB) at which its pages move into the table: four times SQLite's own, for fewer writes of hot pages."""
LOG_BYTES_MAX = 64 * 1024 * 1024
"""To this length the log is cut after a checkpoint, should a burst have made it longer."""
PREPARED_STATEMENTS = 256
WAL_ATTEMPTS = 20
"""Tries to switch a new file to WAL when several processes make it at once."""

Result = TypeVar("Result")


class Synchronous(StrEnum):
    """What survives a power cut. A killed process loses nothing with either."""

    FULL = "FULL"
    """Every save that was reported: the default."""
    NORMAL = "NORMAL"
    """Perhaps not the last saves, though their input is committed: for data that can be lost. 5 % more throughput."""


class SqliteStore(Store):
    """A store in the file `path`, which is made with its directory when the first collection is opened."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = Synchronous.FULL,
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        page_cache_bytes: int = PAGE_CACHE_BYTES,
    ) -> None:
        self.path = path
        self._synchronous = synchronous
        self._busy_timeout_seconds = busy_timeout_seconds
        self._page_cache_bytes = page_cache_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{path.stem}")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def open(self, spec: CollectionSpec) -> SqliteCollection:
        """Return the collection, making its table and indexes where missing. Safe to call from several processes at once."""
        check_spec(spec)
        table = Table(spec)
        await self.run(table.create)
        return SqliteCollection(self, spec, table)

    async def ping(self) -> None:
        """Return when the file can be read; raise StoreUnavailableError when that takes longer than PING_TIMEOUT_SECONDS."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                await self.run(_read_schema_version)
        except TimeoutError:
            raise StoreUnavailableError(
                f"{self.path} did not answer within {PING_TIMEOUT_SECONDS} s; look for a long save or a frozen process that locks it"
            ) from None

    async def close(self) -> None:
        """Finish what is under way, then close the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=True)

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return the result of `work` with the connection, done in the store's thread; errors are those of the port."""
        if self._closed:
            raise StoreError(f"the store {self.path} was closed; open a new one")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run_blocking, work)

    def _run_blocking(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Connect if need be and do `work`."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            return work(self._connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        except OSError as error:
            raise StoreError(f"{self.path}: its directory cannot be made: {error.strerror}; name another path or give the right") from error

    def _connect(self) -> sqlite3.Connection:
        """Return a connection that is set up; transactions are ours to begin."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_seconds, isolation_level=None, cached_statements=PREPARED_STATEMENTS
        )
        try:
            _switch_to_wal(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA cache_size = -{self._page_cache_bytes // 1024}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SqliteCollection(Collection):
    """A collection of a SqliteStore."""

    def __init__(self, store: SqliteStore, spec: CollectionSpec, table: Table) -> None:
        self._store = store
        self._spec = spec
        self._table = table
        self._fields = frozenset(fields_of(spec))

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys`; absent ones are absent from the answer."""
        distinct = distinct_keys(keys)
        return await self._store.run(lambda connection: self._table.load(connection, distinct))

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save each change whose version is still the stored one, all in one transaction; see the port."""
        check_changes(self._spec, self._fields, changes)
        if not changes:
            return SaveResult()
        return await self._store.run(lambda connection: self._table.save(connection, changes))

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget `keys` in one transaction; absent ones are no error."""
        distinct = distinct_keys(keys)
        await self._store.run(lambda connection: self._table.delete(connection, distinct))

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
        check_limit(limit)
        declared = index_of(self._spec, index)
        within = key_range(declared, lower, upper)
        return await self._store.run(lambda connection: self._table.scan(connection, declared, within, limit, reverse=reverse))


def _read_schema_version(connection: sqlite3.Connection) -> None:
    """Read something that is in the file and not in memory."""
    connection.execute("PRAGMA schema_version").fetchone()


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Put the file into WAL mode, if it is not.

    The switch asks for the write lock without waiting, so of several processes that make a file all but one are refused at once.
    They wait for the lock in a transaction, which does wait, and look again.
    """
    for _ in range(WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        with transaction(connection):
            pass
    connection.execute("PRAGMA journal_mode = WAL")
