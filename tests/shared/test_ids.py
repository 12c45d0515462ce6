"""Identifiers: they can be taken apart again, and the same fact always gets the same one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ids import (
    ID_LENGTH_MAX,
    count_digests,
    dead_letter_id,
    digest,
    new_id,
    output_id,
    remember_digest,
    remembers_digest,
    send_outcome_id,
    split_thread,
    thread_id,
    webhook_item_id,
)

words = st.text(min_size=1)
names = words.filter(lambda word: ":" not in word)


@settings(deadline=None)
@given(names, names, words)
def test_a_thread_id_comes_apart_into_what_it_was_made_of(channel: str, account: str, customer: str) -> None:
    """Split at the first two colons: a customer's id may hold more."""
    assert split_thread(thread_id(channel, account, customer)) == (channel, account, customer)


@pytest.mark.parametrize("parts", [("", "a", "c"), ("w", "", "c"), ("w", "a", ""), ("w:x", "a", "c"), ("w", "a:b", "c")])
def test_parts_that_could_not_be_told_apart_again_make_no_thread(parts: tuple[str, str, str]) -> None:
    """An empty part, or a colon where the id is split, is refused at birth."""
    with pytest.raises(ValueError, match="a thread needs"):
        thread_id(*parts)


@pytest.mark.parametrize("thread", ["", "whatsapp", "whatsapp:1", "whatsapp::2", ":1:2", "whatsapp:1:"])
def test_what_is_no_thread_id_is_not_taken_apart(thread: str) -> None:
    """A record's key may be anything."""
    with pytest.raises(ValueError, match="a thread id is"):
        split_thread(thread)


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_a_redelivered_item_has_the_same_id(channel: str, account: str, kind: str, native_id: str) -> None:
    """The id follows from the item alone, and is never longer than an id may be."""
    first = webhook_item_id(channel, account, kind, native_id)
    assert webhook_item_id(channel, account, kind, native_id) == first
    assert len(first) <= ID_LENGTH_MAX


@settings(deadline=None)
@given(st.text(min_size=600), st.text(min_size=600))
def test_ids_that_are_too_long_stay_apart(one: str, other: str) -> None:
    """A digest stands for a long one."""
    ids = {webhook_item_id("c", "a", "k", one), webhook_item_id("c", "a", "k", other)}
    assert len(ids) == len({one, other})


@settings(deadline=None)
@given(st.tuples(names, st.integers(1)), st.tuples(names, st.integers(1)))
def test_two_outputs_never_share_an_id(one: tuple[str, int], other: tuple[str, int]) -> None:
    """Key and seq are both in it."""
    assert (output_id("r", *one) == output_id("r", *other)) == (one == other)


def test_an_id_says_what_it_is_of() -> None:
    """People read them in `parley trace`."""
    assert webhook_item_id("whatsapp", "1", "message", "wamid.A") == "whatsapp/1/message/wamid.A"
    assert output_id("conversation", "whatsapp:1:2", 7) == "conversation/whatsapp:1:2/7"
    assert send_outcome_id("sla/whatsapp:1:2/7", "accepted") == "outbound/sla/whatsapp:1:2/7/accepted"
    assert dead_letter_id("bot", "conversations", 3, 41) == "bot/conversations/3/41"


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_digest_stands_for_one_value(one: str, other: str) -> None:
    """Sixteen characters, half an emoji included."""
    assert len(digest(one)) == 16
    assert (digest(one) == digest(other)) == (one == other)


def test_half_an_emoji_has_a_digest_and_an_id() -> None:
    """A vendor cuts texts where it likes; ids must not fail on it."""
    assert digest("\ud83d") != digest("\ud83e")
    assert webhook_item_id("c", "a", "k", "\ud83d" * 600).startswith("sha256:")


def test_a_drawn_id_is_nobody_elses() -> None:
    """What has no name yet gets one of its own."""
    assert len({new_id() for _ in range(1_000)}) == 1_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_a_memory_of_digests_holds_the_youngest_once_each(numbers: list[int], digests_max: int) -> None:
    """The same as a list without repetitions that forgets its oldest, and nothing that was not put in."""
    memory, wanted = "", list[int]()
    for number in numbers:
        memory = remember_digest(memory, digest(str(number)), digests_max)
        if number not in wanted:
            wanted = [*wanted, number][-digests_max:]
    assert [number for number in range(10) if remembers_digest(memory, digest(str(number)))] == sorted(wanted)
    assert count_digests(memory) == len(wanted)


@settings(deadline=None)
@given(st.text(alphabet="0123456789abcdef "))
def test_a_memory_of_digests_knows_no_part_of_its_entries(text: str) -> None:
    """What somebody else wrote is looked up too: neither nothing, nor a space, nor the end of one and the beginning of the next."""
    entries = [digest("one"), digest("two")]
    memory = remember_digest(remember_digest("", entries[0], 2), entries[1], 2)
    parts = {text, *(memory[start:end] for start in range(len(memory)) for end in range(start, len(memory) + 1))} - set(entries)
    assert not any(remembers_digest(memory, part) for part in parts)
