"""What every store promises about scans: order, ends, limits, and what is not in an index."""

from __future__ import annotations

import pytest

from shared.store.port import Collection, Scalar
from tests.shared.store.backends import document, keys_of

STREETS = [
    document(f"{country}{city}{street}", country=country, city=city, street=street)
    for country in "ab"
    for city in "xyz"
    for street in (1, 2, 3)
]


async def test_documents_come_in_the_order_of_the_index_and_ties_in_the_order_of_keys(collection: Collection) -> None:
    """Field after field, then key; reversed, the exact opposite."""
    await collection.save(
        [document(key, shard=shard, due_at=due) for key, shard, due in [("c", 1, 5), ("a", 1, 5), ("b", 1, -5), ("d", 0, 9)]]
    )
    assert keys_of(await collection.scan("due", limit=9)) == ["d", "b", "a", "c"]
    assert keys_of(await collection.scan("due", limit=9, reverse=True)) == ["c", "a", "b", "d"]


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ((), (), "ax1 ax2 ax3 ay1 ay2 ay3 az1 az2 az3 bx1 bx2 bx3 by1 by2 by3 bz1 bz2 bz3"),
        (("b",), (), "bx1 bx2 bx3 by1 by2 by3 bz1 bz2 bz3"),
        ((), ("a",), "ax1 ax2 ax3 ay1 ay2 ay3 az1 az2 az3"),
        (("a", "y"), ("a", "y"), "ay1 ay2 ay3"),
        (("a", "y", 2), ("a", "y", 2), "ay2"),
        (("a", "z", 2), ("b",), "az2 az3 bx1 bx2 bx3 by1 by2 by3 bz1 bz2 bz3"),
        (("a", "z", 3), ("b", "x", 1), "az3 bx1"),
        (("a", "y", 3), ("b", "x"), "ay3 az1 az2 az3 bx1 bx2 bx3"),
        (("a", "x", 2), ("a", "y", 1), "ax2 ax3 ay1"),
        (("a",), ("a", "x", 2), "ax1 ax2"),
        (("a", "m"), ("a", "yy"), "ax1 ax2 ax3 ay1 ay2 ay3"),
        (("b",), ("a",), ""),
        (("a", "x", 3), ("a", "x", 1), ""),
        (("c",), (), ""),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
async def test_both_ends_are_included_and_may_be_prefixes(
    collection: Collection, lower: tuple[Scalar, ...], upper: tuple[Scalar, ...], expected: str, *, reverse: bool
) -> None:
    """An end covers every value of the fields that it leaves out; an empty one is open."""
    await collection.save(STREETS)
    found = keys_of(await collection.scan("place", lower=lower, upper=upper, limit=99, reverse=reverse))
    assert found == (expected.split()[::-1] if reverse else expected.split())


async def test_the_limit_cuts_after_the_order(collection: Collection) -> None:
    """The first ones of the order are returned, from either side; none for a limit of 0."""
    await collection.save(STREETS)
    assert keys_of(await collection.scan("place", limit=2)) == ["ax1", "ax2"]
    assert keys_of(await collection.scan("place", upper=("a",), limit=2, reverse=True)) == ["az3", "az2"]
    assert await collection.scan("place", limit=0) == []


async def test_a_document_without_one_of_the_fields_is_not_in_the_index(collection: Collection) -> None:
    """None and absent are the same, and neither is found even by an open scan."""
    await collection.save(
        [
            document("none", shard=1, due_at=None),
            document("absent", shard=1),
            document("other", due_at=1),
            document("in", shard=1, due_at=0),
        ]
    )
    assert keys_of(await collection.scan("due", limit=9)) == ["in"]
    assert keys_of(await collection.scan("due", lower=(1,), upper=(1,), limit=9)) == ["in"]


async def test_a_changed_field_moves_the_document_in_the_index(collection: Collection) -> None:
    """An index shows the stored values only: a moved document is at its new place and nowhere else, None takes it out."""
    await collection.save([document("a", shard=1, due_at=1), document("b", shard=1, due_at=2)])
    await collection.save([document("a", 1, shard=1, due_at=3)])
    assert keys_of(await collection.scan("due", limit=9)) == ["b", "a"]
    await collection.save([document("a", 2, shard=1, due_at=None)])
    assert keys_of(await collection.scan("due", limit=9)) == ["b"]
    await collection.save([document("a", 3, shard=1, due_at=0)])
    assert keys_of(await collection.scan("due", limit=9)) == ["a", "b"]


async def test_a_refused_change_leaves_the_index_as_it_was(collection: Collection) -> None:
    """A stale document's fields are not seen by any scan."""
    await collection.save([document("a", shard=1, due_at=1)])
    await collection.save([document("a", 7, shard=9, due_at=9)])
    assert [one.fields for one in await collection.scan("due", limit=9)] == [{"shard": 1, "due_at": 1}]


async def test_text_is_ordered_by_code_point(collection: Collection) -> None:
    """Upper case before lower case, no language's rules: the same order on every store."""
    countries = ["Z", "a", "é", "z", "ā", "一", "😀"]
    await collection.save([document(country, country=country, city="", street="") for country in countries])
    found = [one.fields["country"] for one in await collection.scan("place", limit=9)]
    assert found == sorted(countries)


async def test_numbers_are_ordered_by_value(collection: Collection) -> None:
    """Negative, fractional and 64-bit integers have their place, and a boolean is 0 or 1."""
    values = [-(2**63), -1.5, False, 0.5, True, 2, 10, 2**53 + 1, 2**63 - 1]
    await collection.save([document(f"{len(values) - place}", dirty=value) for place, value in enumerate(values)])
    assert [one.fields["dirty"] for one in await collection.scan("dirty", limit=99)] == values
    assert len(await collection.scan("dirty", lower=(True,), upper=(2,), limit=9)) == 2


@pytest.mark.parametrize(
    ("index", "ends", "limit", "told"),
    [
        ("absent", ((), ()), 1, "no index 'absent'"),
        ("due", ((1, 2, 3), ()), 1, "3 values"),
        ("due", ((None,), ()), 1, "None"),
        ("due", ((), (1, None)), 1, "None"),
        ("due", ((), ()), -1, "limit is -1"),
    ],
)
async def test_a_scan_that_means_nothing_is_a_programming_error(
    collection: Collection, index: str, ends: tuple[tuple[Scalar, ...], tuple[Scalar, ...]], limit: int, told: str
) -> None:
    """An index that was not declared, an end that is too long or holds None, a negative limit."""
    with pytest.raises(ValueError, match=told):
        await collection.scan(index, lower=ends[0], upper=ends[1], limit=limit)
