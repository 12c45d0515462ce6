"""What every store promises about loading, saving and deleting documents."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.store.port import (
    DOCUMENT_BYTES_MAX,
    Collection,
    CollectionSpec,
    DocumentTooLargeError,
    Index,
    SaveResult,
    Scalar,
    Store,
    StoredDocument,
    StoreError,
)
from tests.shared.store.backends import SPEC, document

OpenCollection = Callable[..., Awaitable[Collection]]
MEBIBYTE = 1024 * 1024


async def test_what_was_saved_is_loaded_with_its_first_version(collection: Collection) -> None:
    """A new document has version 1, its body byte for byte, and the fields that are not None."""
    result = await collection.save([document("whatsapp:1:a", body=b'{"text":"hello"}', shard=3, due_at=None)])
    assert result.complete
    assert await collection.load(["whatsapp:1:a", "absent"]) == {
        "whatsapp:1:a": StoredDocument("whatsapp:1:a", 1, b'{"text":"hello"}', {"shard": 3})
    }


async def test_each_save_makes_the_next_version(collection: Collection) -> None:
    """A save names the version that it replaces and makes the one after it."""
    for version in range(3):
        assert (await collection.save([document("a", version, b"%d" % version)])).complete
    assert (await collection.load(["a"]))["a"] == document("a", 3, b"2")


async def test_a_document_is_inserted_once(collection: Collection) -> None:
    """Version 0 means that the key must not exist: a second insert is stale and changes nothing."""
    await collection.save([document("a", body=b"first")])
    assert await collection.save([document("a", body=b"second")]) == SaveResult(stale=frozenset({"a"}))
    assert (await collection.load(["a"]))["a"].body == b"first"


@pytest.mark.parametrize("version", [1, 3, 2**40])
async def test_a_stale_change_is_refused_alone(collection: Collection, version: int) -> None:
    """A version that is not the stored one, older or newer, stops its own document and no other."""
    await collection.save([document("a"), document("b")])
    await collection.save([document("a", 1)])
    result = await collection.save([document("a", version, b"late"), document("b", 1, b"in time"), document("c", body=b"new")])
    assert result == SaveResult(stale=frozenset({"a"}))
    loaded = await collection.load(["a", "b", "c"])
    assert {key: (one.version, one.body) for key, one in loaded.items()} == {"a": (2, b"{}"), "b": (2, b"in time"), "c": (1, b"new")}


async def test_a_change_of_an_absent_document_is_stale(collection: Collection) -> None:
    """A document that was deleted meanwhile does not come back."""
    assert await collection.save([document("gone", 4)]) == SaveResult(stale=frozenset({"gone"}))
    assert await collection.load(["gone"]) == {}


async def test_deleted_documents_are_gone_and_may_begin_again(collection: Collection) -> None:
    """Deleting twice is no error; afterwards the key is inserted as a new one and old versions of it are stale."""
    await collection.save([document("a", shard=1, due_at=1), document("b", shard=1, due_at=2)])
    await collection.delete(["a", "absent", "a"])
    await collection.delete(["a"])
    assert set(await collection.load(["a", "b"])) == {"b"}
    assert [one.key for one in await collection.scan("due", limit=9)] == ["b"]
    assert (await collection.save([document("a")])).complete


async def test_nothing_asked_is_nothing_done(collection: Collection) -> None:
    """Empty calls are allowed, as a batch may hold no change."""
    assert await collection.save([]) == SaveResult()
    assert await collection.load([]) == {}
    await collection.delete([])


async def test_any_iterable_of_keys_may_be_loaded_even_with_repetitions(collection: Collection) -> None:
    """A key that is asked for twice is answered once."""
    await collection.save([document("a")])
    assert list(await collection.load(key for key in ("a", "b", "a"))) == ["a"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([document("a"), document("a")], "twice"),
        ([document("a", -1)], "version is -1"),
        ([document("a", undeclared=1)], "undeclared"),
        ([document("a", shard=float("nan"))], "NaN"),
        ([document("a", shard=2**63)], "64 bits"),
        ([document("a", country="half \ud800")], "field holds half"),
        ([document("half \ud800")], "key holds half"),
        ([StoredDocument("a", 0, b"{}", {"shard": b"bytes"})], "field is a bytes"),  # type: ignore[dict-item] # the mistake under test
    ],
)
async def test_a_programming_error_is_told_before_anything_is_saved(
    collection: Collection, changes: list[StoredDocument], told: str
) -> None:
    """What no store could keep is a ValueError on every store, and the rest of the call is not saved either."""
    with pytest.raises(ValueError, match=told):
        await collection.save([document("innocent"), *changes])
    assert await collection.load(["innocent"]) == {}


async def test_a_body_above_the_limit_stops_the_whole_call(collection: Collection) -> None:
    """Nothing of the call is saved, and the message tells the size."""
    with pytest.raises(DocumentTooLargeError, match=str(DOCUMENT_BYTES_MAX + 1)):
        await collection.save([document("innocent"), document("a", body=b"x" * (DOCUMENT_BYTES_MAX + 1))])
    assert await collection.load(["innocent"]) == {}


@pytest.mark.parametrize("size", [MEBIBYTE, DOCUMENT_BYTES_MAX])
async def test_large_bodies_are_kept(collection: Collection, size: int) -> None:
    """A body may be as large as the limit says."""
    body = ("ā" * (size // 2)).encode()
    assert (await collection.save([document("a", body=body)])).complete
    assert (await collection.load(["a"]))["a"].body == body


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "whatsapp:1:+352:6",
        "ķēķis",
        "客户:一",
        "🙂:👩‍👩‍👧",
        "e\u0301",
        "nul\0inside",
        "quote'\"`",
        "new\nline",
        "$set.a",
        "%s ? {}",
        "\uffff",
    ],
)
async def test_any_text_is_a_key_a_body_and_a_field(collection: Collection, text: str) -> None:
    """Nothing in a text means anything to the store, in whichever language it is written."""
    saved = document(text, body=text.encode(), country=text, city=text, street=text, phone=text)
    neighbour = document(f"{text}x")
    assert (await collection.save([saved, neighbour])).complete
    assert (await collection.save([document(text, 1, saved.body, **saved.fields)])).complete
    expected = StoredDocument(text, 2, saved.body, saved.fields)
    assert await collection.load([text]) == {text: expected}
    assert await collection.scan("place", lower=(text, text), upper=(text, text, text), limit=9) == [expected]


async def test_a_body_that_is_no_text_comes_back_as_it_went_in(collection: Collection) -> None:
    """The store does not read bodies."""
    body = bytes(range(256))
    await collection.save([document("a", body=body)])
    assert (await collection.load(["a"]))["a"].body == body


@pytest.mark.parametrize("value", [0, -1, 2**31, -(2**63), 2**63 - 1, 1.5, float("inf"), "", "0", True, False])
async def test_a_field_comes_back_as_it_went_in(collection: Collection, value: Scalar) -> None:
    """Numbers stay numbers, text that looks like one stays text, and a boolean is 0 or 1."""
    await collection.save([document("a", dirty=value)])
    loaded = (await collection.load(["a"]))["a"].fields["dirty"]
    assert loaded == value
    assert type(loaded) is (int if isinstance(value, bool) else type(value))


async def test_a_batch_of_5000_documents_is_saved_and_its_stale_ones_are_found(collection: Collection) -> None:
    """Inserts, updates and a few stale changes in one large call, each with its own fate."""
    keys = [f"whatsapp:1:{number:05}" for number in range(5000)]
    assert (await collection.save([document(key, body=b"{}" * 100, shard=1, due_at=n) for n, key in enumerate(keys[:1000])])).complete
    await collection.save([document(key, 1) for key in keys[500:503]])
    changes = [document(key, 1 if n < 1000 else 0, b"second", shard=2, due_at=n) for n, key in enumerate(keys)]
    assert await collection.save(changes) == SaveResult(stale=frozenset(keys[500:503]))
    loaded = await collection.load(keys)
    assert len(loaded) == 5000
    assert sum(one.body == b"second" for one in loaded.values()) == 4997
    assert len(await collection.scan("due", lower=(2,), upper=(2,), limit=9999)) == 4997


async def test_more_keys_than_one_query_holds_are_loaded(collection: Collection) -> None:
    """Any number of keys may be asked for at once."""
    await collection.save([document(f"key:{number}") for number in range(0, 12_000, 1000)])
    assert len(await collection.load(f"key:{number}" for number in range(12_000))) == 12


async def test_a_reopened_store_finds_everything(open_collection: OpenCollection) -> None:
    """What was saved outlives the store object, indexes included."""
    first = await open_collection()
    await first.save([document("a", body=b"kept", shard=1, due_at=5)])
    second = await open_collection()
    assert await second.scan("due", limit=9) == list((await second.load(["a"])).values()) == [document("a", 1, b"kept", shard=1, due_at=5)]


async def test_collections_are_apart(new_store: Callable[[], Store]) -> None:
    """The same key in two collections is two documents, and indexes of the same name do not meet."""
    store = new_store()
    threads = await store.open(SPEC)
    sends = await store.open(CollectionSpec("sends", (Index("due", ("at",)), Index("phone", ("phone",), unique=True))))
    await threads.save([document("a", body=b"thread", phone="1")])
    assert (await sends.save([document("a", body=b"send", at=1, phone="1")])).complete
    assert (await threads.load(["a"]))["a"].body == b"thread"
    assert await threads.scan("due", limit=9) == []


async def test_a_collection_may_be_opened_by_many_at_once(new_store: Callable[[], Store]) -> None:
    """Stores that start together make the collection together, and all can use it."""
    stores = [new_store() for _ in range(6)]
    collections = await asyncio.gather(*(store.open(SPEC) for store in stores))
    results = await asyncio.gather(*(one.save([document(f"a{number}", shard=1, due_at=1)]) for number, one in enumerate(collections)))
    assert all(result.complete for result in results)
    assert len(await collections[0].scan("due", limit=9)) == 6


async def test_a_closed_store_refuses_every_call(new_store: Callable[[], Store]) -> None:
    """A use after the end is told as what it is; closing again is no error."""
    store = new_store()
    collection = await store.open(SPEC)
    await store.ping()
    await store.close()
    await store.close()
    calls: list[Callable[[], Awaitable[object]]] = [
        store.ping,
        lambda: store.open(SPEC),
        lambda: collection.load(["a"]),
        lambda: collection.save([document("a")]),
        lambda: collection.delete(["a"]),
        lambda: collection.scan("due", limit=1),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="closed"):
            await call()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (CollectionSpec("Threads"), "'Threads' is no usable name"),
        (CollectionSpec("drop table"), "no usable name"),
        (CollectionSpec("a", (Index("b", ()),)), "at least one field"),
        (CollectionSpec("a", (Index("b", ("c", "c")),)), "none of them twice"),
        (CollectionSpec("a", (Index("b", ("c",)), Index("b", ("d",)))), "same name"),
        (CollectionSpec("a", (Index("b", ("version",)),)), "'version' is no usable name"),
        (CollectionSpec("a", (Index("unique_b", ("c",)),)), "'unique_b' is no usable name"),
        (CollectionSpec("a", (Index("b", ("c.d",)),)), "'c.d' is no usable name"),
    ],
)
async def test_a_collection_is_declared_with_names_that_every_store_can_use(
    new_store: Callable[[], Store], spec: CollectionSpec, told: str
) -> None:
    """A declaration that one adapter could not follow is refused by all."""
    with pytest.raises(ValueError, match=told):
        await new_store().open(spec)
