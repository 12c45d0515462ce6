"""The store for production: MongoDB through PyMongo's AsyncMongoClient.

Writes wait for the majority of the replica set and are retried by the driver under a transaction number, so a lost answer is no
second write. Reads are of the majority too: what is published from a loaded outbox must not be rolled back afterwards.
Documents are saved one by one, each atomic; see `mongo_document` for their form.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from bson import ObjectId
from pymongo import AsyncMongoClient, timeout
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.errors import ConfigurationError
from shared.store.mongo_document import (
    Document,
    index_filter,
    index_keys,
    insert_of,
    scan_filter,
    stored_document,
    update_of,
    was_written,
)
from shared.store.mongo_errors import translated, translating
from shared.store.port import (
    Collection,
    CollectionSpec,
    Index,
    SaveResult,
    Scalar,
    Store,
    StoredDocument,
    StoreError,
    StoreUnavailableError,
)
from shared.store.rules import RESERVED_PREFIX, check_changes, check_limit, check_spec, distinct_keys, fields_of, index_of, key_range

OPERATION_TIMEOUT_SECONDS = 10.0
"""How long a call may take, retries of the driver included: under half of the 45 s session that a worker has with the broker."""
PING_TIMEOUT_SECONDS = 2.0
KEYS_PER_QUERY_MAX = 5_000
DUPLICATE_KEY_CODE = 11000
SCHEMES = ("mongodb://", "mongodb+srv://")


class MongoStore(Store):
    """A store in the `database` of the servers at `uri`; connects when first used."""

    def __init__(self, uri: str, database: str, *, operation_timeout_seconds: float = OPERATION_TIMEOUT_SECONDS) -> None:
        self.servers = servers_of(uri)
        self._operation_timeout_seconds = operation_timeout_seconds
        self._uri = uri
        self.database = database
        self._client: AsyncMongoClient[Document] | None = None
        self._closed = False

    async def open(self, spec: CollectionSpec) -> MongoCollection:
        """Return the collection, making its indexes where missing. Safe to call from several processes at once."""
        check_spec(spec)
        collection = self._connected()[self.database].get_collection(
            spec.name, read_concern=ReadConcern("majority"), write_concern=WriteConcern("majority")
        )
        with translating(self.servers):
            present = await collection.index_information()
            for index in spec.indexes:
                await _create_index(collection, present, index.name, index_keys(index), {"partialFilterExpression": index_filter(index)})
                if index.unique:
                    await _create_unique_index(collection, present, index)
        return MongoCollection(self, spec, collection)

    async def ping(self) -> None:
        """Return when the primary answers; raise StoreUnavailableError when that takes longer than PING_TIMEOUT_SECONDS."""
        client = self._connected()
        with translating(self.servers), timeout(PING_TIMEOUT_SECONDS):
            await client.admin.command("ping")

    async def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None

    def check_open(self) -> None:
        """Raise StoreError if the store was closed."""
        if self._closed:
            raise StoreError(f"the store at {self.servers} was closed; open a new one")

    def _connected(self) -> AsyncMongoClient[Document]:
        """Return the client, made at its first use because it belongs to the running event loop."""
        self.check_open()
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> AsyncMongoClient[Document]:
        """Return a client of the address; raise ConfigurationError, which does not repeat it, if it is none."""
        if not self._uri.startswith(SCHEMES):
            raise ConfigurationError(f"MONGODB_URI must begin with {' or '.join(SCHEMES)}; the driver would take anything else for a host")
        milliseconds = int(self._operation_timeout_seconds * 1000)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # with which the driver passes over options that it does not understand
                return AsyncMongoClient(
                    self._uri,
                    timeoutMS=milliseconds,
                    serverSelectionTimeoutMS=milliseconds,
                    connectTimeoutMS=milliseconds,
                    retryWrites=True,
                    appname="parley",
                )
        except (PyMongoError, ValueError, UserWarning) as error:
            raise ConfigurationError(
                f"MONGODB_URI is no address of MongoDB, or has an option that the driver does not know ({type(error).__name__}); "
                "write it as the manual of MongoDB says under connection strings"
            ) from None


class MongoCollection(Collection):
    """A collection of a MongoStore."""

    def __init__(self, store: MongoStore, spec: CollectionSpec, collection: AsyncCollection[Document]) -> None:
        self._store = store
        self._spec = spec
        self._collection = collection
        self._fields = fields_of(spec)
        self._unique = tuple(index for index in spec.indexes if index.unique)
        self._projection = {"write_ids": 0, **{f"{RESERVED_PREFIX}{index.name}": 0 for index in self._unique}}

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys`; absent ones are absent from the answer."""
        documents = await self._find(distinct_keys(keys), self._projection)
        return {document["_id"]: stored_document(document, self._fields) for document in documents}

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save each change whose version is still the stored one, each document atomic by itself; see the port."""
        self._store.check_open()
        check_changes(self._spec, frozenset(self._fields), changes)
        if not changes:
            return SaveResult()
        write_id = ObjectId()
        ordered = sorted(changes, key=lambda change: change.key)
        operations = [
            update_of(change, self._fields, self._unique, write_id) if change.version else insert_of(change, self._unique, write_id)
            for change in ordered
        ]
        updates = [change for change in ordered if change.version]
        with translating(self._store.servers):
            try:
                result = await self._collection.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                refused = self._refused(error, ordered)
            else:
                if result.matched_count == len(updates):
                    return SaveResult()
                refused = SaveResult()
        told = refused.stale | refused.duplicate
        stale = await self._not_written([change for change in updates if change.key not in told], write_id)
        return SaveResult(refused.stale | stale, refused.duplicate)

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget `keys`; absent ones are no error."""
        self._store.check_open()
        distinct = distinct_keys(keys)
        with translating(self._store.servers):
            for start in range(0, len(distinct), KEYS_PER_QUERY_MAX):
                await self._collection.delete_many({"_id": {"$in": distinct[start : start + KEYS_PER_QUERY_MAX]}})

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
        query = scan_filter(declared, key_range(declared, lower, upper))
        if limit == 0:  # to MongoDB it would mean no limit
            return []
        order = [(name, -direction if reverse else direction) for name, direction in index_keys(declared)]
        with translating(self._store.servers):
            documents = await self._collection.find(query, self._projection, batch_size=limit).sort(order).limit(limit).to_list()
        return [stored_document(document, self._fields) for document in documents]

    async def _find(self, keys: Sequence[str], projection: dict[str, int]) -> list[Document]:
        """Return what is stored under `keys`, in no order."""
        self._store.check_open()
        documents: list[Document] = []
        with translating(self._store.servers):
            for start in range(0, len(keys), KEYS_PER_QUERY_MAX):
                chunk = list(keys[start : start + KEYS_PER_QUERY_MAX])
                documents += await self._collection.find({"_id": {"$in": chunk}}, projection, batch_size=len(chunk)).to_list()
        return documents

    async def _not_written(self, changes: Sequence[StoredDocument], write_id: ObjectId) -> frozenset[str]:
        """Return the keys of `changes` that the save `write_id` did not update.

        A bulk tells how many updates matched, not which. The documents do: each bears the stamps of its last writes.
        """
        found = await self._find([change.key for change in changes], {"version": 1, "write_ids": 1})
        stored = {document["_id"]: document for document in found}
        return frozenset(change.key for change in changes if not was_written(stored.get(change.key), change.version + 1, write_id))

    def _refused(self, error: BulkWriteError, changes: Sequence[StoredDocument]) -> SaveResult:
        """Return which of `changes` (in the order of the operations) `error` says were refused, and raise if it says anything else.

        Counts beside errors are not read: a server was seen to tell them wrong.
        """
        details: Mapping[str, Any] = error.details or {}
        if details.get("writeConcernErrors"):
            raise StoreUnavailableError(
                f"MongoDB at {self._store.servers} could not have the majority of its servers confirm a save; it may or may not last"
            ) from error
        stale: set[str] = set()
        duplicate: set[str] = set()
        for write_error in details.get("writeErrors", []):
            if write_error["code"] != DUPLICATE_KEY_CODE:
                failure = OperationFailure("a write of a bulk failed", write_error["code"], {"errorLabels": details.get("errorLabels", [])})
                raise translated(failure, self._store.servers) from error
            key = changes[write_error["index"]].key
            (stale if _is_primary_key(write_error) else duplicate).add(key)
        return SaveResult(frozenset(stale), frozenset(duplicate))


def servers_of(uri: str) -> str:
    """Return the host names and ports of `uri`: what may be told, as credentials stand before the last @."""
    return uri.partition("://")[2].rpartition("@")[2].partition("/")[0].partition("?")[0] or "an address that could not be read"


def database_of(uri: str) -> str:
    """Return the database that `uri` names, or an empty text."""
    return unquote(uri.partition("://")[2].rpartition("@")[2].partition("?")[0].partition("/")[2])


async def _create_unique_index(collection: AsyncCollection[Document], present: Mapping[str, Any], index: Index) -> None:
    """Make the index under which only one document may hold the values of `index`."""
    name = f"{RESERVED_PREFIX}{index.name}"
    try:
        await _create_index(collection, present, name, [(name, 1)], {"unique": True, "sparse": True})
    except OperationFailure as error:
        if error.code != DUPLICATE_KEY_CODE:
            raise
        raise StoreError(
            f"collection {collection.name}: the unique index {index.name} cannot be made, "
            f"because two documents hold the same {index.fields}; change one first"
        ) from None


async def _create_index(
    collection: AsyncCollection[Document], present: Mapping[str, Any], name: str, keys: list[tuple[str, int]], options: Document
) -> None:
    """Make the index called `name`, in place of one of that name that was declared otherwise."""
    found = present.get(name)
    if found is not None and ([tuple(key) for key in found["key"]] != keys or any(found.get(o) != v for o, v in options.items())):
        await collection.drop_index(name)
    await collection.create_index(keys, name=name, **options)


def _is_primary_key(write_error: dict[str, Any]) -> bool:
    """Return whether a duplicate key error is about `_id`. Servers before 4.4 tell the index in their message only."""
    pattern = write_error.get("keyPattern")
    return list(pattern) == ["_id"] if pattern else "index: _id_ " in write_error["errmsg"]
