"""Dead letters hold what is needed to understand and to replay; a burst of them is noticed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.dead_letters import KEY_BYTES_MAX, VALUE_BYTES_MAX, DeadLetterLimit, dead_letter
from shared.engine.records import Record
from shared.events.rejected import DeadLetter
from shared.topics import COMMANDS, RECORD_BYTES_MAX, dead_letters_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPIC = dead_letters_of("counter")


def letter_of(key: bytes | None, value: bytes | None) -> tuple[DeadLetter, int]:
    """Return the letter of a record with this key and value, and how large its record is."""
    publication = dead_letter(Record(COMMANDS, 3, 41, key, value), reducer="counter", reason="invalid", error="key", version="1", now=NOON)
    event = TOPIC.decode(publication.value)
    assert publication.topic == TOPIC
    assert (event.subject, event.id) == (publication.key, "counter/commands/3/41")
    assert isinstance(event.data, DeadLetter)
    return event.data, len(publication.value)


@settings(deadline=None)
@given(st.none() | st.binary(max_size=700), st.none() | st.binary(max_size=100))
def test_a_letter_holds_the_record_byte_by_byte(key: bytes | None, value: bytes | None) -> None:
    """Whatever the bytes are; absent is not empty."""
    letter, _ = letter_of(key, value)
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("commands", 3, 41, "invalid")
    assert (None if letter.key is None else base64.b64decode(letter.key)) == key
    assert (None if letter.value is None else base64.b64decode(letter.value)) == value


@pytest.mark.parametrize("key", [b"k" * 1_000_000, b"\x00" * 1_000_000, b"\xff" * 1_000_000, "é".encode() * 1_000_000])
def test_a_letter_of_the_largest_record_still_fits_into_one(key: bytes) -> None:
    """Base64 grows by a third and a key may be as large as a value: both are cut; the original is at its offset."""
    letter, size = letter_of(key, b"v" * 1_000_000)
    assert size <= RECORD_BYTES_MAX
    assert letter.key is not None
    assert letter.value is not None
    assert base64.b64decode(letter.key) == key[:KEY_BYTES_MAX]
    assert len(base64.b64decode(letter.value)) == VALUE_BYTES_MAX


def test_the_limit_counts_a_sliding_minute() -> None:
    """What was written longer ago does not count."""
    limit = DeadLetterLimit(10)
    limit.written(6, NOON)
    assert not limit.would_exceed(4, NOON + timedelta(seconds=59))
    assert limit.would_exceed(5, NOON + timedelta(seconds=60))
    assert not limit.would_exceed(10, NOON + timedelta(seconds=61))


def test_asking_counts_nothing() -> None:
    """A batch that is tried again because the broker is down has written no letter yet."""
    limit = DeadLetterLimit(10)
    assert not any(limit.would_exceed(6, NOON) for _ in range(10))
    limit.written(6, NOON)
    assert limit.would_exceed(6, NOON)


def test_nothing_is_never_too_much() -> None:
    """A batch without a letter goes on although the minute is full."""
    limit = DeadLetterLimit(1)
    limit.written(1, NOON)
    assert not limit.would_exceed(0, NOON)


@settings(deadline=None)
@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=20))
def test_the_limit_is_what_a_minute_of_letters_says(per_minute_max: int, writes: list[tuple[int, int]]) -> None:
    """Against the plain sum over the last minute, however the letters come."""
    limit, now, history = DeadLetterLimit(per_minute_max), NOON, []
    for count, seconds in writes:
        now += timedelta(seconds=seconds)
        history.append((now, count))
        expected = sum(one for moment, one in history if now - moment <= DeadLetterLimit.WINDOW)
        assert limit.exceeded_by(count, now) == (expected > per_minute_max)
