"""The form of a document in MongoDB, and the queries over it. Pure.

    {_id: key, version, body: "<JSON, readable>", <field>: value …, unique_<index>: value(s), write_ids: [the last writes]}

*None is in no index*: a field that is None is absent, and indexes are partial over the presence of their fields. Uniqueness has a
member of its own, present only when all fields of the index are, under a sparse unique index: the same on every server, those
without partial indexes included.
*Write ids*: each save stamps its documents with an id that no other save has, and a document keeps the last ones, newest last. As a
version is made by one save only, a document of version v bears the stamp of version w at the place v - w from the end. So a writer
that re-reads a document can tell whether a version was its own even after others have gone on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, InsertOne, UpdateOne

from shared.store.port import Index, Scalar, StoredDocument
from shared.store.rules import RESERVED_PREFIX, KeyRange, stored_fields

WRITE_IDS_MAX = 8
"""Stamps that a document keeps, 13 bytes each."""

Document = dict[str, Any]


def insert_of(change: StoredDocument, unique: tuple[Index, ...], write_id: ObjectId) -> InsertOne[Document]:
    """Return the operation that stores `change`, whose key must not exist."""
    return InsertOne({"_id": change.key, "version": 1, **_members(change, unique), "write_ids": [write_id]})


def update_of(change: StoredDocument, fields: tuple[str, ...], unique: tuple[Index, ...], write_id: ObjectId) -> UpdateOne:
    """Return the operation that replaces the version of `change`, and matches nothing if that is gone."""
    members = _members(change, unique)
    absent = {name: "" for name in (*fields, *(f"{RESERVED_PREFIX}{index.name}" for index in unique)) if name not in members}
    update: Document = {
        "$set": {"version": change.version + 1, **members},
        "$push": {"write_ids": {"$each": [write_id], "$slice": -WRITE_IDS_MAX}},
    }
    if absent:
        update["$unset"] = absent
    return UpdateOne({"_id": change.key, "version": change.version}, update)


def stored_document(document: Mapping[str, Any], fields: tuple[str, ...]) -> StoredDocument:
    """Return `document` as the port shows it."""
    body = document["body"]
    present = {name: _plain(document[name]) for name in fields if name in document}
    return StoredDocument(document["_id"], int(document["version"]), body.encode() if isinstance(body, str) else bytes(body), present)


def was_written(document: Mapping[str, Any] | None, version: int, write_id: ObjectId) -> bool:
    """Return whether the save `write_id` made `version` of `document` (as it is stored now, with version and write_ids).

    A version that lies further back than the stamps reach counts as another's. The caller then reloads, and loses nothing: the
    document has since been taken over by writers who saw what it held.
    """
    if document is None or document["version"] < version:
        return False
    place = document["version"] - version + 1
    write_ids = document["write_ids"]
    return place <= len(write_ids) and bool(write_ids[-place] == write_id)


def index_keys(index: Index) -> list[tuple[str, int]]:
    """Return the members of the MongoDB index that serves the scans of `index`; the key breaks ties."""
    return [(name, ASCENDING) for name in (*index.fields, "_id")]


def index_filter(index: Index) -> Document:
    """Return which documents are in `index`: those that have all its fields."""
    return {name: {"$exists": True} for name in index.fields}


def scan_filter(index: Index, within: KeyRange) -> Document:
    """Return the query for the documents of `index` in the range `within`.

    The first field after the equal ones is bounded as such, for the index to be walked between the ends only; where an end has more
    fields, the alternatives decide among the documents at its edge.
    """
    query: dict[str, Document] = index_filter(index)
    for name, value in zip(index.fields, within.equal, strict=False):
        query[name]["$eq"] = value
    rest = index.fields[len(within.equal) :]
    edges = []
    for end, inside, edge in ((within.lower, "$gt", "$gte"), (within.upper, "$lt", "$lte")):
        if end:
            query[rest[0]][edge] = end[0]
        if len(end) > 1:
            edges.append({"$or": _beyond(rest, end, inside, edge)})
    return {**query, "$and": edges} if edges else dict(query)


def _beyond(names: tuple[str, ...], end: tuple[Scalar, ...], inside: str, edge: str) -> list[Document]:
    """Return the alternatives of `names` being on the right side of `end`, compared field after field, the end included."""
    alternatives: list[Document] = []
    for last in range(len(end)):
        same: Document = dict(zip(names[:last], end[:last], strict=True))
        alternatives.append({**same, names[last]: {edge if last == len(end) - 1 else inside: end[last]}})
    return alternatives


def _members(change: StoredDocument, unique: tuple[Index, ...]) -> Document:
    """Return what `change` sets beside key and version: the body, as text if it is any, and the fields that are not None."""
    members: Document = {"body": _body(change.body), **stored_fields(change)}
    for index in unique:
        values = [members.get(name) for name in index.fields]
        if None not in values:
            members[f"{RESERVED_PREFIX}{index.name}"] = values[0] if len(values) == 1 else dict(zip(index.fields, values, strict=True))
    return members


def _plain(value: Scalar) -> Scalar:
    """Return `value` without the type by which the driver marks long integers."""
    return int(value) if isinstance(value, int) else value


def _body(body: bytes) -> str | bytes:
    """Return `body` as text, which people can read in the database; as it is if it is no UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
