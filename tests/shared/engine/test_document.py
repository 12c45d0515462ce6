"""What the engine remembers of a key survives the store, and stays within its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import to_epoch_milliseconds
from shared.engine.document import (
    DIRTY_INDEX,
    DUE_INDEX,
    RECENT_IDS_MAX,
    SEEN_EMITTERS_MAX,
    Document,
    DocumentCodec,
    Emitted,
    documents_of,
    index_fields,
)
from shared.events.envelope import Frozen
from shared.ids import count_digests, digest, remembers_digest
from shared.store.port import StoredDocument

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Memory(Frozen):
    """A state with words in it."""

    words: str = ""
    more: tuple[str, ...] = ()


CODEC: DocumentCodec[Memory] = DocumentCodec(Memory)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=15)
counts = st.integers(0, 2**63 - 1)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 # `timezones` adds the zone
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
documents: st.SearchStrategy[Document[Memory]] = st.builds(
    Document,
    key=texts,
    shard=st.integers(0, 1_000),
    version=counts,
    applied=st.dictionaries(texts, counts, max_size=3),
    emitted=counts,
    emitted_to=st.dictionaries(texts, counts, max_size=3),
    seen=st.dictionaries(texts, counts, max_size=3),
    recent_ids=st.lists(texts, max_size=5).map(lambda ids: "".join(f"{digest(one)} " for one in ids)),
    due_at=st.none() | moments,
    dirty=st.booleans(),
    parked=st.none(),
    state=st.none() | st.builds(Memory, words=texts, more=st.lists(texts, max_size=3).map(tuple)),
    outbox=st.lists(st.builds(Emitted, topic=texts, key=texts, value=texts.map(str.encode)), max_size=3),
)


@settings(deadline=None)
@given(documents)
def test_a_document_comes_back_from_the_store_as_it_went(document: Document[Memory]) -> None:
    """State, offsets, seqs, ids and the outbox's very bytes, in any language, in their order."""
    back = CODEC.from_stored(CODEC.to_stored(document))
    assert back == document
    assert list(back.seen) == list(document.seen)


@settings(deadline=None)
@given(documents)
def test_a_copy_is_changed_without_changing_the_original(document: Document[Memory]) -> None:
    """A step works on copies, so that a plan that fails leaves memory as it was."""
    before = CODEC.to_stored(document)
    copy = document.copy()
    assert copy == document
    copy.applied["x"] = 1
    copy.emitted_to["x"] = 1
    copy.remember_seq("x", 1)
    copy.remember_id(digest("x"))
    copy.outbox.append(Emitted("t", "k", b""))
    copy.parked = "x"
    assert CODEC.to_stored(document) == before


def test_indexes_hold_the_shard_the_moment_and_the_mark() -> None:
    """What is absent is not in the index at all."""
    document: Document[Memory] = Document("k", 3, due_at=NOON, dirty=True)
    assert index_fields(document) == {"shard": 3, "due_at": to_epoch_milliseconds(NOON), "dirty": 1}
    assert index_fields(Document("k", 3)) == {"shard": 3, "due_at": None, "dirty": None}
    assert documents_of("bot").indexes == (DUE_INDEX, DIRTY_INDEX)


def test_a_parked_key_has_no_timer() -> None:
    """It would ring, find the key parked, and ring again."""
    assert index_fields(Document("k", 0, due_at=NOON, parked="ValueError at x:1"))["due_at"] is None


@settings(deadline=None)
@given(st.lists(st.integers(0, RECENT_IDS_MAX * 2), max_size=50), st.integers(0, RECENT_IDS_MAX + 5))
def test_the_ring_of_ids_keeps_the_youngest(tail: list[int], filler: int) -> None:
    """Never more than its bound; the last ones are in it."""
    document: Document[Memory] = Document("k", 0)
    for number in range(filler):
        document.remember_id(digest(f"old{number}"))
    for number in tail:
        document.remember_id(digest(str(number)))
    assert count_digests(document.recent_ids) <= RECENT_IDS_MAX
    assert all(remembers_digest(document.recent_ids, digest(str(number))) for number in tail)


def test_an_emitter_that_speaks_again_is_young_again() -> None:
    """Who was silent longest is forgotten, not who came first."""
    document: Document[Memory] = Document("k", 0)
    for number in range(SEEN_EMITTERS_MAX):
        document.remember_seq(str(number), 1)
    document.remember_seq("0", 2)
    document.remember_seq("new", 1)
    assert len(document.seen) == SEEN_EMITTERS_MAX
    assert document.seen["0"] == 2
    assert "1" not in document.seen


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{}", ValidationError),
        (b"no json", ValidationError),
        (CODEC.to_stored(Document("k", 0)).body.replace(b"null", b"7"), ValidationError),
    ],
)
def test_a_row_that_was_not_written_by_us_is_refused(body: bytes, error: type[Exception]) -> None:
    """Better to stop than to take an unknown state for an empty one."""
    with pytest.raises(error):
        CODEC.from_stored(StoredDocument("k", 1, body, {"shard": 0}))


def test_a_row_without_its_shard_says_so() -> None:
    """It was not written by this version of the engine."""
    stored = CODEC.to_stored(Document("k", 0))
    with pytest.raises(TypeError, match="no shard"):
        CODEC.from_stored(StoredDocument("k", 1, stored.body, {}))


def test_a_newer_engines_fields_are_ignored() -> None:
    """During a rolling deployment both versions read the same rows."""
    stored = CODEC.to_stored(Document("k", 0, state=Memory(words="ç")))
    newer = StoredDocument("k", 1, stored.body.replace(b"{", b'{"novelty":1,', 1), stored.fields)
    assert CODEC.from_stored(newer).state == Memory(words="ç")


def test_a_timer_keeps_its_millisecond() -> None:
    """The row and the document agree on what is due."""
    document: Document[Any] = Document("k", 0, due_at=NOON + timedelta(milliseconds=1))
    assert CODEC.from_stored(CODEC.to_stored(document)).due_at == document.due_at
