"""Fixtures of the store's contract: every test that asks for `backend` runs on each adapter."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from shared.store.memory import MemoryData, MemoryStore
from shared.store.mongo import MongoStore
from shared.store.port import Collection, CollectionSpec, Store
from shared.store.sqlite import SqliteStore
from tests.shared.store.backends import SPEC, STAND_IN_TIMEOUT_SECONDS, Backend

MONGO = pytest.param("mongo", marks=pytest.mark.mongo)
OpenStore = Callable[[], Store]
OpenCollection = Callable[..., Awaitable[Collection]]


@pytest.fixture(params=["memory", "sqlite", MONGO])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each adapter in turn, over data that only this test sees."""
    if request.param == "memory":
        data = MemoryData()
        yield Backend("memory", lambda: MemoryStore(data))
    elif request.param == "sqlite":
        path = tmp_path / "var" / "store.sqlite3"
        yield Backend("sqlite", lambda: SqliteStore(path), ("sqlite", str(path)))
    else:
        uri: str = request.getfixturevalue("mongodb_uri")
        database = f"parley_test_{uuid.uuid4().hex}"
        yield Backend(
            "mongo",
            lambda: MongoStore(uri, database, operation_timeout_seconds=STAND_IN_TIMEOUT_SECONDS),
            ("mongo", uri, database),
        )
        async with AsyncMongoClient[dict[str, object]](uri) as client:
            await client.drop_database(database)


@pytest.fixture
async def new_store(backend: Backend) -> AsyncIterator[OpenStore]:
    """A function that returns one more store over the backend's data; all are closed at the end."""
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(backend.store())
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
async def open_collection(new_store: OpenStore) -> OpenCollection:
    """A function that opens a collection in a store of its own."""

    async def open_one(spec: CollectionSpec = SPEC) -> Collection:
        return await new_store().open(spec)

    return open_one


@pytest.fixture
async def collection(open_collection: OpenCollection) -> Collection:
    """The collection `threads`, empty."""
    return await open_collection()
