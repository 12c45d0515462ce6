"""JSON that is none because of single values is mended; what is JSON is left as it is."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.whatsapp.mending import DEPTH_MAX, mended

MEBIBYTE = 1024 * 1024
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_good_json_is_left_as_it_is(value: Any, escaped: bool) -> None:  # noqa: FBT001 # hypothesis draws it
    """To the byte, with its characters escaped or not."""
    body = json.dumps(value, ensure_ascii=escaped).encode()
    assert mended(body) == body


@pytest.mark.parametrize(
    ("spoilt", "read"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"9" * 5_000, None),
        (b'"a\\ud83d"', "a\ufffd"),
        (b'"\\ude00\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"a\x00\nb"', "a\ufffdb"),
        (b'"\xc0\x80"', "\ufffd\ufffd"),
        (b'"\\x41\\n"', "\ufffdx41\n"),
        (b'"\\u12"', "\ufffdu12"),
        (b'"\\\\ud83d"', "\\ud83d"),
        (b'"' + b"\\ud83d" * 20_000 + b'"', None),
    ],
)
def test_one_spoilt_value_is_replaced(spoilt: bytes, read: Any) -> None:
    """And what stands beside it is as it was."""
    assert orjson.loads(mended(b'{"a":[1,' + spoilt + b'],"b":"c"}')) == {"a": [1, read], "b": "c"}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_too_deeply_is_null_and_its_neighbours_stay(opening: bytes, closing: bytes) -> None:
    """However deep, and whatever follows inside."""
    body = b'{"deep":' + opening * 5_000 + b"1" + closing * 5_000 + b',"beside":[1,{"a":"b"}]}'
    found = orjson.loads(mended(body))
    assert found["beside"] == [1, {"a": "b"}]
    depth, value = 1, found["deep"]
    while isinstance(value, dict | list):
        depth, value = depth + 1, value["a"] if isinstance(value, dict) else value[0]
    assert (depth, value) == (DEPTH_MAX, None)


def test_a_byte_order_mark_is_no_part_of_the_document() -> None:
    """Some programs write one, though JSON has none (RFC 8259, section 8.1)."""
    assert mended(b"\xef\xbb\xbf{}") == b"{}"


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0d8Na1e-\x00 ', max_size=100).map(str.encode))
def test_no_bytes_raise(body: bytes) -> None:
    """What stays unreadable is for the reader to refuse."""
    assert isinstance(mended(body), bytes)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b'\\"' * (MEBIBYTE // 2),
        b'"' + b"\\" * MEBIBYTE,
        b'"' + b"\\u" * (MEBIBYTE // 2),
        b"9" * MEBIBYTE,
        b"-" * MEBIBYTE,
        b"1e" * (MEBIBYTE // 2),
        b'"' + b"\x00" * MEBIBYTE,
        b"\xff" * MEBIBYTE,
    ],
)
def test_the_time_grows_with_the_length_and_no_faster(body: bytes) -> None:
    """A megabyte of what makes expressions go back again and again, in well under a second of the processor."""
    started = time.process_time()
    mended(body)
    assert time.process_time() - started < 1.0
