"""What the embedded store promises beyond the contract: durability, locks, errors that help, and plans that use the index."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.store import sqlite
from shared.store.port import CollectionSpec, Index, StoreError, StoreUnavailableError
from shared.store.sqlite import SqliteCollection, SqliteStore, Synchronous
from tests.shared.store.backends import SPEC, Backend, document, keys_of


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store whose patience with locks is short."""
    store = SqliteStore(tmp_path / "store.sqlite3", busy_timeout_seconds=0.05)
    yield store
    await store.close()


@pytest.fixture
async def collection(store: SqliteStore) -> SqliteCollection:
    """The collection `threads` of that store."""
    return await store.open(SPEC)


@pytest.mark.parametrize("statement", ["1:BEGIN", "1:UPDATE", "150:UPDATE", "300:UPDATE", "1:INSERT", "1:COMMIT"])
async def test_a_process_killed_at_any_statement_of_a_save_has_saved_nothing_of_it(tmp_path: Path, statement: str) -> None:
    """Until the commit, a save never was; the next process reads and writes at once."""
    path = tmp_path / "store.sqlite3"
    process = Backend("sqlite", lambda: SqliteStore(path), ("sqlite", str(path))).process("die", statement)
    process.communicate("go\n", timeout=60)
    assert process.returncode == -9
    store = SqliteStore(path)
    collection = await store.open(SPEC)
    stored = await collection.scan("due", limit=999)
    assert [(one.version, one.body, one.fields) for one in stored] == [(1, b"first", {"shard": 1, "due_at": 1})] * 300
    assert await collection.load(["new"]) == {}
    assert (await collection.save([document(one.key, one.version) for one in stored])).complete
    await store.close()


@pytest.mark.parametrize(("synchronous", "level"), [(Synchronous.FULL, 2), (Synchronous.NORMAL, 1)])
async def test_the_file_is_set_up_as_asked(tmp_path: Path, synchronous: Synchronous, level: int) -> None:
    """WAL, the asked durability, the asked cache: what SQLite says, not what was sent."""
    store = SqliteStore(tmp_path / "a" / "b" / "store.sqlite3", synchronous=synchronous, page_cache_bytes=2**20)

    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "cache_size", "wal_autocheckpoint", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.run(pragmas) == ["wal", level, -1024, sqlite.CHECKPOINT_PAGES, 10_000]
    await store.close()


async def test_a_lock_that_lasts_is_told_with_the_file_and_ends_with_the_lock(store: SqliteStore, collection: SqliteCollection) -> None:
    """The caller may try again; nothing was saved meanwhile, and reading goes on."""
    await collection.save([document("a")])
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match=f"{store.path} is locked by another process"):
        await collection.save([document("a", 1)])
    assert (await collection.load(["a"]))["a"].version == 1
    other.execute("ROLLBACK")
    other.close()
    assert (await collection.save([document("a", 1)])).complete


async def test_a_waiting_lock_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    """While the store waits, other tasks run: one of them may be the heartbeat, or what frees the lock."""
    store = SqliteStore(tmp_path / "store.sqlite3")
    collection = await store.open(SPEC)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    save = asyncio.create_task(collection.save([document("a")]))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not save.done()
    other.execute("COMMIT")
    other.close()
    assert (await save).complete
    await store.close()


async def test_a_ping_does_not_wait_behind_a_lock_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The health check is answered in its own time, even while the store's thread is busy."""
    monkeypatch.setattr(sqlite, "PING_TIMEOUT_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "store.sqlite3")
    collection = await store.open(SPEC)
    await store.ping()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    save = asyncio.create_task(collection.save([document("a")]))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="did not answer within"):
        await store.ping()
    other.execute("ROLLBACK")
    other.close()
    await save
    await store.close()


async def test_a_full_disk_saves_nothing_and_passes(store: SqliteStore, collection: SqliteCollection) -> None:
    """It is worth another try once there is room, and what was there is whole."""
    await collection.save([document("a", shard=1, due_at=1)])

    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await store.run(lambda connection: limit(connection, 1))
    with pytest.raises(StoreUnavailableError, match=f"{store.path} cannot grow: the disk is full"):
        await collection.save([document("a", 1, shard=1, due_at=2), document("b", body=b"x" * 100_000)])
    assert keys_of(await collection.scan("due", upper=(1, 1), limit=9)) == ["a"]
    await store.run(lambda connection: limit(connection, 2**30))
    assert (await collection.save([document("a", 1), document("b")])).complete


async def test_a_file_that_cannot_be_written_is_told(store: SqliteStore, collection: SqliteCollection) -> None:
    """A missing right does not pass by waiting, so it is no StoreUnavailableError."""
    await store.run(lambda connection: connection.execute("PRAGMA query_only = 1"))
    with pytest.raises(StoreError, match="it is read only; give the process the right") as raised:
        await collection.save([document("a")])
    assert not isinstance(raised.value, StoreUnavailableError)


async def test_a_damaged_file_is_told(store: SqliteStore, collection: SqliteCollection) -> None:
    """The operator learns which file, and that a backup is needed."""
    await collection.save([document(f"{number}", body=b"x" * 2000) for number in range(50)])
    await store.close()
    content = bytearray(store.path.read_bytes())
    content[5000:] = b"\xa5" * (len(content) - 5000)
    store.path.write_bytes(content)
    again = SqliteStore(store.path)
    with pytest.raises(StoreError, match=f"{store.path} is damaged; stop the service"):
        await (await again.open(SPEC)).load(["1", "2"])
    await again.close()


async def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    """A wrong path does not overwrite what is there."""
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and no database at all. " * 100)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="is no SQLite database; move it away or name another path"):
        await store.open(SPEC)
    await store.close()
    assert path.read_text().startswith("These are notes")


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The message names the path and says what to do."""
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "store.sqlite3")
    with pytest.raises(StoreError, match=r"directory cannot be made.*name another path"):
        await store.open(SPEC)
    await store.close()


@pytest.mark.parametrize(
    ("index", "lower", "upper"),
    [
        ("due", (3,), (3, 99)),
        ("due", (), ()),
        ("due", (1, 2), (3, 4)),
        ("place", ("a", "b"), ("a", "c", "d")),
        ("number", ("a",), ("a", 5)),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
async def test_a_scan_walks_its_index_and_never_sorts(
    store: SqliteStore,
    collection: SqliteCollection,
    index: str,
    lower: tuple[str | int, ...],
    upper: tuple[str | int, ...],
    *,
    reverse: bool,
) -> None:
    """However many documents there are, a scan reads those of its range only."""
    statements: list[str] = []
    await store.run(lambda connection: connection.set_trace_callback(statements.append))
    await collection.scan(index, lower=lower, upper=upper, limit=5, reverse=reverse)
    plan = await store.run(lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall())
    assert len(plan) == 1
    assert f"USING INDEX threads.{index}" in plan[0][3]
    assert plan[0][3].startswith("SEARCH") or not lower


async def test_a_collection_grows_with_its_declaration(tmp_path: Path) -> None:
    """A new version of a service may add fields and declare an index otherwise; what was stored stays, and its fields are found."""
    path = tmp_path / "store.sqlite3"
    old = SqliteStore(path)
    await (await old.open(CollectionSpec("sends", (Index("order", ("due_at",)),)))).save([document("a", due_at=1), document("b", due_at=2)])
    await old.close()
    new = SqliteStore(path)
    sends = await new.open(CollectionSpec("sends", (Index("order", ("due_at", "account")), Index("late", ("due_at",)))))
    assert keys_of(await sends.scan("late", limit=9)) == ["a", "b"]
    assert await sends.scan("order", limit=9) == []
    await sends.save([document("b", 1, due_at=2, account="press")])
    assert keys_of(await sends.scan("order", limit=9)) == ["b"]
    await new.close()


async def test_an_index_cannot_become_unique_over_duplicates(store: SqliteStore) -> None:
    """The message says which index, and the collection stays usable as it was declared before."""
    before = CollectionSpec("sends", (Index("phone", ("phone",)),))
    sends = await store.open(before)
    await sends.save([document("a", phone="1"), document("b", phone="1")])
    with pytest.raises(StoreError, match="the unique index phone cannot be made, because two documents"):
        await store.open(CollectionSpec("sends", (Index("phone", ("phone",), unique=True),)))
    assert keys_of(await sends.scan("phone", limit=9)) == ["a", "b"]


async def test_a_cancelled_save_is_whole(collection: SqliteCollection) -> None:
    """Who stops waiting does not know the outcome, but it is one of the two."""
    save = asyncio.create_task(collection.save([document(f"{number}") for number in range(100)]))
    await asyncio.sleep(0)
    save.cancel()
    with pytest.raises(asyncio.CancelledError):
        await save
    assert len(await collection.load(f"{number}" for number in range(100))) in {0, 100}
