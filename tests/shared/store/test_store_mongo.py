"""What the MongoDB store promises beyond the contract: documents people can read, exact refusals, time-outs, no credentials told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from shared.errors import ConfigurationError
from shared.store import mongo
from shared.store.mongo import MongoStore, database_of, servers_of
from shared.store.mongo_document import WRITE_IDS_MAX, scan_filter, was_written
from shared.store.mongo_errors import translated
from shared.store.port import CollectionSpec, Index, SaveResult, StoredDocument, StoreError, StoreUnavailableError
from shared.store.rules import key_range
from tests.shared.store.backends import SPEC, Backend, document, keys_of

ON_MONGO = pytest.mark.parametrize("backend", [pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True)
URI = "mongodb://parley:s3cr%40t@one.example:27017,two.example/telco?w=majority"


@ON_MONGO
async def test_a_document_can_be_read_by_people(backend: Backend) -> None:
    """The body is text and the fields stand beside it; None is absent; uniqueness has a member of its own."""
    _, uri, database = backend.process_arguments
    store = backend.store()
    collection = await store.open(SPEC)
    await collection.save([document("a", body='{"text":"čau"}'.encode(), shard=3, dirty=True, due_at=None, phone="1", pool="x", number=2)])
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        raw = await client[database]["threads"].find_one({"_id": "a"})
    await store.close()
    assert raw is not None
    assert len(raw.pop("write_ids")) == 1
    expected = {"_id": "a", "version": 1, "body": '{"text":"čau"}', "shard": 3, "dirty": 1, "phone": "1", "pool": "x", "number": 2}
    assert raw == {**expected, "unique_phone": "1", "unique_number": {"pool": "x", "number": 2}}


@ON_MONGO
@pytest.mark.parametrize("overtaken_by", [1, 3, WRITE_IDS_MAX - 1])
async def test_a_save_that_was_overtaken_at_once_is_not_taken_for_a_stale_one(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, overtaken_by: int
) -> None:
    """Others may go on from a version before its writer looks which of its updates matched: it still knows its own."""
    ours, theirs = backend.store(), backend.store()
    mine, other = await ours.open(SPEC), await theirs.open(SPEC)
    await mine.save([document("a"), document("b")])
    await other.save([document("b", 1)])
    look = mine._find  # type: ignore[attr-defined] # the moment between the bulk and the look is what this test is about

    async def overtaken(*arguments: Any) -> Any:
        for version in range(2, 2 + overtaken_by):
            assert (await other.save([document("a", version, b"theirs")])).complete
        return await look(*arguments)

    monkeypatch.setattr(mine, "_find", overtaken)
    result = await mine.save([document("a", 1, b"mine"), document("b", 1, b"late")])
    await ours.close()
    await theirs.close()
    assert result == SaveResult(stale=frozenset({"b"}))


@ON_MONGO
async def test_an_index_is_remade_when_it_is_declared_otherwise(backend: Backend) -> None:
    """A new version of a service may declare an index over other fields."""
    store = backend.store()
    old = await store.open(CollectionSpec("sends", (Index("order", ("due_at",)),)))
    await old.save([document("a", due_at=1), document("b", due_at=2)])
    new = await store.open(CollectionSpec("sends", (Index("order", ("due_at", "account")), Index("late", ("due_at",)))))
    await new.save([document("b", 1, due_at=2, account="press")])
    assert keys_of(await new.scan("late", limit=9)) == ["a", "b"]
    assert keys_of(await new.scan("order", limit=9)) == ["b"]
    await store.close()


def test_a_version_is_known_by_the_stamp_at_its_place() -> None:
    """Stamps are counted back from the stored version; a deleted, older or forgotten version was not ours as far as can be known."""
    stamps = [ObjectId() for _ in range(3)]
    stored = {"version": 9, "write_ids": stamps}
    assert [was_written(stored, version, stamps[0]) for version in (6, 7, 8, 9, 10)] == [False, True, False, False, False]
    assert was_written(stored, 9, stamps[2])
    assert not was_written(None, 9, stamps[2])


def test_a_range_bounds_the_first_open_field_and_decides_at_its_edges() -> None:
    """Equal fields are equal; where an end has several more fields, alternatives compare them one after the other."""
    index = Index("place", ("country", "city", "street"))
    within = key_range(index, ("lv", "a", 5), ("lv", "b"))
    assert scan_filter(index, within) == {
        "country": {"$exists": True, "$eq": "lv"},
        "city": {"$exists": True, "$gte": "a", "$lte": "b"},
        "street": {"$exists": True},
        "$and": [{"$or": [{"city": {"$gt": "a"}}, {"city": "a", "street": {"$gte": 5}}]}],
    }


@pytest.mark.parametrize(
    ("uri", "servers", "database"),
    [
        (URI, "one.example:27017,two.example", "telco"),
        ("mongodb://127.0.0.1:27017/", "127.0.0.1:27017", ""),
        ("mongodb+srv://user:p@ss/word@cluster.example/?appName=x", "cluster.example", ""),
        ("mongodb://localhost/a%20b", "localhost", "a b"),
        ("secret", "an address that could not be read", ""),
    ],
)
def test_an_address_is_told_without_credentials(uri: str, servers: str, database: str) -> None:
    """Only what stands after the last @ is told, whatever the rest looks like."""
    assert servers_of(uri) == servers
    assert database_of(uri) == database


@pytest.mark.parametrize(
    "uri", ["secret", "mongodb://u:s3cret@host:port/", "mongodb://u:p@ss:s3cret@/", "mongodb://u:s3cret@h/?authMechanism=none"]
)
async def test_a_wrong_address_is_a_configuration_error_that_does_not_repeat_it(uri: str) -> None:
    """A typing error must not put the password into the log."""
    with pytest.raises(ConfigurationError, match=r"MONGODB_URI (is no address|must begin with)") as raised:
        await MongoStore(uri, "parley").open(SPEC)
    assert "secret" not in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.fixture
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that accepts connections and never answers."""
    ended = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    ended.set()
    server.close()
    await server.wait_closed()


async def test_a_server_that_does_not_answer_is_given_up_in_time(silent_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening and pinging end with an error that may be tried again, names the server and keeps the password."""
    monkeypatch.setattr(mongo, "PING_TIMEOUT_SECONDS", 0.2)
    store = MongoStore(f"mongodb://parley:s3cret@127.0.0.1:{silent_server}/", "parley", operation_timeout_seconds=0.3)
    for call in (store.ping(), store.open(SPEC)):
        with pytest.raises(StoreUnavailableError, match=f"MongoDB at 127.0.0.1:{silent_server} does not answer") as raised:
            await asyncio.wait_for(call, timeout=10)
        assert "s3cret" not in str(raised.value)
    await store.close()


@pytest.mark.parametrize(
    ("error", "unavailable", "told"),
    [
        (ServerSelectionTimeoutError("no primary, Timeout: 5s, Topology Description: …"), True, "no primary\\); what was being saved"),
        (AutoReconnect("reset by peer"), True, "AutoReconnect: reset by peer"),
        (ExecutionTimeout("took too long", 50), True, "does not answer"),
        (WTimeoutError("waiting for replication", 64, {}), True, "could not do it now \\(code 64\\)"),
        (OperationFailure("stepped down", 189, {"errorLabels": ["RetryableWriteError"]}), True, "could not do it now \\(code 189\\)"),
        (OperationFailure("not authorized on x to y +371…", 13), False, "refuses this user \\(code 13\\)"),
        (OperationFailure("dup key: +371…", 99), False, "refused \\(code 99\\)"),
        (PyMongoError("+371…"), False, "the driver refused \\(PyMongoError\\)"),
    ],
)
def test_an_error_says_whether_to_try_again(error: PyMongoError, told: str, *, unavailable: bool) -> None:
    """A cluster that recovers is waited for; a refusal is told; a server's own words about documents are kept from the log."""
    result = translated(error, "one.example")
    assert isinstance(result, StoreUnavailableError) is unavailable
    assert re.search(told, str(result))
    assert "+371" not in str(result)


CHANGES = [StoredDocument("a", 1, b""), StoredDocument("b", 0, b""), StoredDocument("c", 0, b"")]
ID_TAKEN = {"index": 1, "code": 11000, "errmsg": 'E11000 duplicate key error collection: p.t index: _id_ dup key: { _id: "b" }'}
VALUE_TAKEN = {"index": 2, "code": 11000, "errmsg": "E11000 … index: unique_phone dup key", "keyPattern": {"unique_phone": 1}}


@ON_MONGO
async def test_what_a_bulk_says_is_read_exactly(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken key is stale, a taken value a duplicate, an unconfirmed majority unknown, anything else an error."""
    store = backend.store()
    collection = await store.open(SPEC)
    outcome: dict[str, Any] = {}

    async def fail(*_arguments: Any, **_options: Any) -> None:
        raise BulkWriteError(outcome)

    monkeypatch.setattr(collection._collection, "bulk_write", fail)  # type: ignore[attr-defined] # outcomes that the stand-in does not produce
    outcome["writeErrors"] = [ID_TAKEN, VALUE_TAKEN]
    assert await collection.save(CHANGES) == SaveResult(stale=frozenset({"a", "b"}), duplicate=frozenset({"c"}))
    outcome["writeConcernErrors"] = [{"code": 64, "errmsg": "waiting for replication timed out"}]
    with pytest.raises(StoreUnavailableError, match="could not have the majority"):
        await collection.save(CHANGES)
    outcome.clear()
    outcome["writeErrors"] = [{"index": 0, "code": 121, "errmsg": "Document failed validation"}]
    with pytest.raises(StoreError, match="refused \\(code 121\\)"):
        await collection.save(CHANGES)
    await store.close()
