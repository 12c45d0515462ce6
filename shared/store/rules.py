"""What every adapter checks and computes in the same way, so that a mistake fails alike on all of them.

Mistakes of the caller (a name that cannot be a column, a key twice in a call) are ValueErrors, raised before the store is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from shared.store.port import DOCUMENT_BYTES_MAX, CollectionSpec, DocumentTooLargeError, Index, Scalar, StoredDocument

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*")
RESERVED_NAMES = frozenset({"key", "version", "body", "write_ids", "rowid"})
"""Columns and members that the adapters use themselves."""
RESERVED_PREFIX = "unique_"
"""Members and indexes that the MongoDB adapter derives from unique indexes begin so."""
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""The integers that SQLite and BSON can index."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A range of an index: the leading fields are `equal`, the ones after them lie between `lower` and `upper`.

    Fields are compared one after the other like the letters of a word; both ends are included and may be shorter than the rest
    of the index. No value is in both `equal` and the ends.
    """

    equal: tuple[Scalar, ...]
    lower: tuple[Scalar, ...]
    upper: tuple[Scalar, ...]


def check_spec(spec: CollectionSpec) -> None:
    """Raise ValueError if `spec` has a name that no adapter could use, or says something twice."""
    check_name("collection", spec.name)
    if len({index.name for index in spec.indexes}) != len(spec.indexes):
        raise ValueError(f"collection {spec.name}: two indexes have the same name")
    for index in spec.indexes:
        check_name(f"index of {spec.name}", index.name)
        if not index.fields or len(set(index.fields)) != len(index.fields):
            raise ValueError(f"index {spec.name}.{index.name}: name at least one field and none of them twice")
        for name in index.fields:
            check_name(f"field of {spec.name}.{index.name}", name)


def check_name(what: str, name: str) -> None:
    """Raise ValueError if `name` cannot be a column of SQLite and a member of a MongoDB document."""
    if not NAME_PATTERN.fullmatch(name) or name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX):
        raise ValueError(
            f"{what}: {name!r} is no usable name; take lower case letters, digits and underscores, "
            f"none of {sorted(RESERVED_NAMES)} and no {RESERVED_PREFIX}…"
        )


def fields_of(spec: CollectionSpec) -> tuple[str, ...]:
    """Return the indexed fields of `spec`, each once, in the order in which they are first named."""
    return tuple(dict.fromkeys(name for index in spec.indexes for name in index.fields))


def index_of(spec: CollectionSpec, name: str) -> Index:
    """Return the index called `name`; raise ValueError if `spec` declares none."""
    for index in spec.indexes:
        if index.name == name:
            return index
    raise ValueError(f"collection {spec.name} declares no index {name!r}, only {[index.name for index in spec.indexes]}")


def distinct_keys(keys: Iterable[str]) -> list[str]:
    """Return `keys` without repetition and sorted, which is the order in which the stores keep them."""
    distinct = sorted(set(keys))
    for key in distinct:
        _check_text("key", key)
    return distinct


def check_changes(spec: CollectionSpec, fields: frozenset[str], changes: Sequence[StoredDocument]) -> None:
    """Raise before anything is saved if one of `changes` cannot be; `fields` are the indexed fields of `spec`.

    Raises:
        ValueError: A key twice in the call, a negative version, a field without an index, or a value that no store can index.
        DocumentTooLargeError: A body above DOCUMENT_BYTES_MAX.
    """
    if len({change.key for change in changes}) != len(changes):
        raise ValueError(f"collection {spec.name}: a key occurs twice in one save; merge its changes first")
    for change in changes:
        _check_text("key", change.key)
        if change.version < 0:
            raise ValueError(f"collection {spec.name}: a version is {change.version}, but counts from 0 (must not exist yet)")
        if len(change.body) > DOCUMENT_BYTES_MAX:
            raise DocumentTooLargeError(
                f"collection {spec.name}: a body has {len(change.body)} bytes, {DOCUMENT_BYTES_MAX} is the most; nothing was saved"
            )
        if not change.fields.keys() <= fields:
            unknown = sorted(change.fields.keys() - fields)
            raise ValueError(f"collection {spec.name}: no index is declared over {unknown}; declare one or keep them in the body")
        for value in change.fields.values():
            _check_scalar(value)


def key_range(index: Index, lower: Sequence[Scalar], upper: Sequence[Scalar]) -> KeyRange:
    """Return the range of `index` between `lower` and `upper` (prefixes of its fields, both ends included).

    Raises:
        ValueError: An end is longer than the index or holds None, which is in no index.
    """
    for end in (lower, upper):
        if len(end) > len(index.fields):
            raise ValueError(f"index {index.name}: an end of the range has {len(end)} values for the fields {index.fields}")
        for value in end:
            if value is None:
                raise ValueError(f"index {index.name}: an end of the range holds None, but such documents are in no index")
            _check_scalar(value)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(lower, upper, strict=False)))
    return KeyRange(_stored(lower[:shared]), _stored(lower[shared:]), _stored(upper[shared:]))


def check_limit(limit: int) -> None:
    """Raise ValueError if `limit` is negative: SQLite and MongoDB would read that as no limit at all."""
    if limit < 0:
        raise ValueError(f"a scan's limit is {limit}, but cannot be below 0")


def stored_fields(document: StoredDocument) -> dict[str, Scalar]:
    """Return the fields of `document` as every store keeps them: without None, booleans as 0 and 1."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in document.fields.items() if value is not None}


def _stored(values: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """Return `values` as fields are kept: MongoDB would not find a 1 between booleans."""
    return tuple(int(value) if isinstance(value, bool) else value for value in values)


def _check_scalar(value: Scalar) -> None:
    """Raise ValueError if `value` has no place in an order that all stores share."""
    if isinstance(value, str):
        _check_text("field", value)
    elif isinstance(value, float):
        if math.isnan(value):
            raise ValueError("a field is not a number (NaN), which has no place in an index; use None")
    elif isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise ValueError(f"a field is {value}, but an indexed integer has 64 bits")
    elif value is not None:
        raise ValueError(f"a field is a {type(value).__name__}; an index holds text, numbers and booleans")


def _check_text(what: str, text: str) -> None:
    """Raise ValueError if `text` has no UTF-8 form. The text itself is not told: it may be a phone number."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a {what} holds half of a surrogate pair at position {error.start}; it has no UTF-8 form") from None
