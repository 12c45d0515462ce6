"""Every store behaves like a plain dictionary with versions, whatever is done in whichever order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.store.port import Collection, SaveResult, Scalar, StoredDocument
from tests.shared.store.backends import SPEC

KEYS = ["", "a", "a:b", "B", "ķ", "客:1", "🙂"]
TEXTS = st.sampled_from(["", "a", "A", "ā", "一"])
SMALL = st.integers(-2, 2)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "shard": st.none() | SMALL,
        "due_at": st.none() | SMALL | st.sampled_from([-0.5, 2**62]),
        "country": st.none() | TEXTS,
        "city": st.none() | TEXTS,
        "street": st.none() | SMALL,
        "pool": st.none() | TEXTS,
        "number": st.none() | SMALL,
        "phone": st.none() | TEXTS,
    },
)


@dataclass(frozen=True)
class Save:
    """Save what `wanted` says of each key: how far the version is off the stored one, the body, the fields."""

    wanted: Mapping[str, tuple[int, bytes, dict[str, Scalar]]]


@dataclass(frozen=True)
class Delete:
    """Delete `keys`."""

    keys: Sequence[str]


@dataclass(frozen=True)
class Scan:
    """Scan `index` between `lower` and `upper`."""

    index: str
    lower: tuple[Scalar, ...]
    upper: tuple[Scalar, ...]
    limit: int
    reverse: bool


def ends(index: str) -> st.SearchStrategy[tuple[Scalar, ...]]:
    """Return ends of a range of `index`: prefixes of its fields."""
    kinds: dict[str, list[st.SearchStrategy[Scalar]]] = {
        "due": [SMALL, SMALL],
        "place": [TEXTS, TEXTS, SMALL],
        "number": [TEXTS, SMALL],
        "phone": [TEXTS],
    }
    return st.integers(0, len(kinds[index])).flatmap(lambda length: st.tuples(*kinds[index][:length]))


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """Return a scan of some index."""
    index = draw(st.sampled_from(["due", "place", "number", "phone"]))
    return Scan(index, draw(ends(index)), draw(ends(index)), draw(st.integers(0, 5)), draw(st.booleans()))


SAVES = st.builds(
    Save,
    st.dictionaries(
        st.sampled_from(KEYS), st.tuples(st.sampled_from([0, 0, 0, 0, 1, -1]), st.sampled_from([b"{}", b"1" * 99]), FIELDS), max_size=5
    ),
)
OPERATIONS = st.lists(SAVES | st.builds(Delete, st.lists(st.sampled_from(KEYS), max_size=2)) | scans(), min_size=1, max_size=12)


@dataclass
class Model:
    """What the port says, in the plainest form."""

    documents: dict[str, StoredDocument] = field(default_factory=dict)

    def changes(self, save: Save) -> list[StoredDocument]:
        """Return the changes of `save`, less those of which the port does not promise who wins: claims on a value of this same call."""
        changes: list[StoredDocument] = []
        touched = {claim for key in save.wanted if key in self.documents for claim in claims(self.documents[key])}
        for key, (off, body, fields) in save.wanted.items():
            version = max(0, (self.documents[key].version if key in self.documents else 0) + off)
            change = StoredDocument(key, version, body, fields)
            own = claims(self.documents[key]) if key in self.documents else set()
            if not claims(change) & (touched - own):
                changes.append(change)
                touched |= claims(change)
        return changes

    def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save `changes` and return what came of it."""
        stale = {one.key for one in changes if one.version != (self.documents[one.key].version if one.key in self.documents else 0)}
        fresh = [one for one in changes if one.key not in stale]
        held = {(claim, key) for key, one in self.documents.items() for claim in claims(one)}
        duplicate = {one.key for one in fresh if any(claim in claims(one) and key != one.key for claim, key in held)}
        for one in fresh:
            if one.key not in duplicate:
                present = {name: value for name, value in one.fields.items() if value is not None}
                self.documents[one.key] = replace(one, version=one.version + 1, fields=present)
        return SaveResult(frozenset(stale), frozenset(duplicate))

    def scan(self, scan: Scan) -> list[StoredDocument]:
        """Return what `scan` finds."""
        names = next(index.fields for index in SPEC.indexes if index.name == scan.index)
        entries = [
            ([one.fields[name] for name in names], one) for one in self.documents.values() if all(name in one.fields for name in names)
        ]
        found = [
            (values, one.key, one)
            for values, one in entries
            if tuple(values[: len(scan.lower)]) >= scan.lower and tuple(values[: len(scan.upper)]) <= scan.upper
        ]
        return [one for _, _, one in sorted(found, key=lambda entry: entry[:2], reverse=scan.reverse)][: scan.limit]


def claims(document: StoredDocument) -> set[tuple[Scalar, ...]]:
    """Return the unique values that `document` holds, each with its index."""
    found: set[tuple[Scalar, ...]] = set()
    for index in SPEC.indexes:
        values = [document.fields.get(name) for name in index.fields]
        if index.unique and None not in values:
            found.add((index.name, *values))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
async def test_a_store_is_a_dictionary_with_versions(collection: Collection, operations: list[Save | Delete | Scan]) -> None:
    """Saves, deletes and scans in any order answer as the model does, and leave the same documents."""
    await collection.delete(KEYS)
    model = Model()
    for operation in operations:
        match operation:
            case Save():
                changes = model.changes(operation)
                assert await collection.save(changes) == model.save(changes)
            case Delete():
                await collection.delete(operation.keys)
                for key in operation.keys:
                    model.documents.pop(key, None)
            case Scan():
                found = await collection.scan(
                    operation.index, lower=operation.lower, upper=operation.upper, limit=operation.limit, reverse=operation.reverse
                )
                assert found == model.scan(operation)
    assert await collection.load(KEYS) == model.documents
