"""What every store promises about unique indexes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.store.port import Collection, SaveResult
from tests.shared.store.backends import document, keys_of

DUPLICATE_B = SaveResult(duplicate=frozenset({"b"}))


async def test_a_value_that_another_key_holds_is_refused_alone(collection: Collection) -> None:
    """The duplicate is told apart from the stale, and its neighbours are saved."""
    await collection.save([document("a", phone="1"), document("d")])
    result = await collection.save([document("b", phone="1"), document("c", phone="2"), document("d", 7)])
    assert result == SaveResult(stale=frozenset({"d"}), duplicate=frozenset({"b"}))
    assert set(await collection.load(["a", "b", "c"])) == {"a", "c"}


async def test_a_change_into_a_held_value_is_refused(collection: Collection) -> None:
    """The document keeps what it had."""
    await collection.save([document("a", phone="1"), document("b", phone="2")])
    assert await collection.save([document("b", 1, b"changed", phone="1")]) == DUPLICATE_B
    assert (await collection.load(["b"]))["b"] == document("b", 1, phone="2")


async def test_all_fields_together_are_unique(collection: Collection) -> None:
    """Two documents may share one field of a unique index as long as another differs."""
    await collection.save([document("a", pool="sales", number=1)])
    assert (await collection.save([document("c", pool="sales", number=2), document("d", pool="press", number=1)])).complete
    assert await collection.save([document("b", pool="sales", number=1)]) == DUPLICATE_B


async def test_documents_without_a_value_are_exempt(collection: Collection) -> None:
    """Any number of documents may lack a field of a unique index, whatever their other fields hold."""
    without = [
        document("a", pool="sales", number=None),
        document("b", pool="sales"),
        document("c", number=1),
        document("d"),
        document("e", number=1),
    ]
    assert (await collection.save(without)).complete
    assert await collection.scan("number", limit=9) == []


async def test_a_value_given_up_is_free(collection: Collection) -> None:
    """By a change, by None or by deleting; a document may keep its own value."""
    await collection.save([document("a", phone="1"), document("c", phone="3"), document("e", phone="5")])
    await collection.save([document("a", 1, phone="2"), document("c", 1, phone=None)])
    await collection.delete(["e"])
    assert (await collection.save([document("b", phone="1"), document("d", phone="3"), document("f", phone="5")])).complete
    assert (await collection.save([document("b", 1, b"again", phone="1")])).complete


async def test_of_two_claims_in_one_call_one_is_saved(collection: Collection) -> None:
    """Exactly one of them has the value afterwards, and the other is told."""
    result = await collection.save([document("a", phone="1"), document("b", phone="1")])
    assert len(result.duplicate) == 1
    saved = {"a", "b"} - result.duplicate
    assert set(await collection.load(["a", "b"])) == saved
    assert keys_of(await collection.scan("phone", limit=9)) == sorted(saved)


async def test_a_key_that_is_stale_and_duplicate_is_stale(collection: Collection) -> None:
    """Who was slower must read again before anything else matters."""
    await collection.save([document("a", phone="1"), document("b")])
    assert await collection.save([document("b", 5, phone="1")]) == SaveResult(stale=frozenset({"b"}))
    assert await collection.save([document("b", 0, phone="1")]) == SaveResult(stale=frozenset({"b"}))


async def test_a_unique_index_is_scanned_like_any_other(collection: Collection) -> None:
    """In order, with ends and reversed."""
    await collection.save([document(f"k{number}", pool="sales", number=number) for number in (3, 1, 2)])
    assert keys_of(await collection.scan("number", lower=("sales", 2), limit=9)) == ["k2", "k3"]
    assert keys_of(await collection.scan("number", limit=2, reverse=True)) == ["k3", "k2"]


async def test_uniqueness_holds_between_stores(open_collection: Callable[..., Awaitable[Collection]]) -> None:
    """Another process's value counts."""
    first, second = await open_collection(), await open_collection()
    await first.save([document("a", phone="1")])
    assert await second.save([document("b", phone="1")]) == DUPLICATE_B
