"""Values that break readers, each under a name: in the place of any value, or of a whole body."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from typing import Any

from tests.fuzz.canaries import planted_phone, planted_text
from tests.fuzz.wire import Raw, Twice

MEBIBYTE = 1024 * 1024
BODY_BYTES_MAX = 3 * MEBIBYTE
"""The largest webhook of a vendor: what must be read, and where more begins."""

OVERLONG = (b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xff\xfe")
"""Bytes that are no UTF-8: overlong forms, a surrogate, beyond the last character, a byte-order mark of UTF-16."""

VALUES: tuple[Callable[[random.Random], Any], ...] = (
    lambda _: None,
    lambda _: True,
    lambda _: False,
    lambda _: 0,
    lambda _: -1,
    lambda _: 2**31,
    lambda _: 2**53 + 1,
    lambda _: 2**63,
    lambda _: -(2**63) - 1,
    lambda _: 2**64,
    lambda _: 10**19,
    lambda _: 1.5,
    lambda _: -0.0,
    lambda _: float("nan"),
    lambda _: float("inf"),
    lambda _: float("-inf"),
    lambda _: Raw(b"1e999"),
    lambda _: Raw(b"-1E+400"),
    lambda _: Raw(b"1e-999"),
    lambda _: Raw(b"9" * 400),
    lambda _: Raw(b"1" + b"0" * 5_000),
    lambda _: Raw(b"0." + b"3" * 2_000),
    lambda _: "",
    lambda _: " ",
    lambda _: "\x00",
    lambda _: "a\x00b",
    lambda _: Raw(b'"a raw \x00 and \n and \t"'),
    lambda _: Raw(b'"' + b"\xff\xfe" + b'"'),
    lambda chance: Raw(b'"x' + chance.choice(OVERLONG) + b'y"'),
    lambda _: "\ud800",
    lambda _: "x\udfff\ud83dy",
    lambda _: Raw(b'"\\ud83d\\ude00\\ud83d"'),
    lambda _: "\ufeff",
    lambda _: "\u202e\u2066",
    lambda _: "́" * 50,
    lambda _: "𒐫" * 20,
    lambda _: ":",
    lambda _: "a:b:c:d",
    lambda _: "../../etc/passwd",
    lambda _: "%00%0d%0aX: y",
    lambda _: "a\r\nX-Injected: yes",
    lambda _: "{{0.__class__}} ${jndi:x} %s %n",
    lambda _: "'; DROP TABLE inbound; --",
    lambda _: "null",
    lambda _: "NaN",
    lambda _: "1e999",
    lambda _: "0x10",
    lambda _: "١٢٣٤٥٦٧٨٩",
    lambda _: "²",
    lambda _: "9" * 30,
    lambda _: "-1",
    lambda _: "1763800000000",
    lambda _: "2026-13-45T99:99:99Z",
    lambda _: "0001-01-01T00:00:00Z",
    lambda _: "9999-12-31T23:59:59.999Z",
    lambda _: "x" * 600,
    lambda _: "x" * 5_000,
    lambda _: "no_such_kind",
    lambda _: [],
    lambda _: {},
    lambda _: [[]],
    lambda _: [None],
    lambda _: [{}, [], "", 0],
    lambda _: {"": ""},
    lambda _: {"id": {"id": {"id": []}}},
    lambda _: {"type": None},
    lambda _: {"__class__": "x", "constructor": {"prototype": 1}},
    lambda _: [0] * 300,
    lambda _: {str(number): number for number in range(200)},
    lambda _: nested(100),
    lambda _: nested(1_100),
    lambda _: nested(5_000, b'{"a":', b"}"),
    lambda _: Twice({"id": "a", "type": "text"}, {"id": "b", "type": 7}),
    planted_text,
    planted_text,
    planted_phone,
    planted_phone,
    lambda chance: {planted_text(chance): planted_text(chance)},
    lambda chance: [planted_phone(chance), planted_text(chance)],
    lambda chance: int(planted_phone(chance).lstrip("+0")),
)
"""Makes one value each; most do not look at chance."""


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> Raw:
    """Return `depth` brackets within each other."""
    return Raw(opening * depth + (b"0" if opening != b"[" else b"") + closing * depth)


def any_value(chance: random.Random) -> Any:
    """Return one of the nasty values."""
    return chance.choice(VALUES)(chance)


BODIES: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("empty", lambda: b""),
    ("one blank", lambda: b" "),
    ("a byte-order mark alone", lambda: b"\xef\xbb\xbf"),
    ("null", lambda: b"null"),
    ("a number", lambda: b"0"),
    ("a text", lambda: b'"x"'),
    ("an empty list", lambda: b"[]"),
    ("an empty object", lambda: b"{}"),
    ("NaN", lambda: b"NaN"),
    ("half an object", lambda: b'{"a":'),
    ("two documents", lambda: b"{}{}"),
    ("NULs", lambda: b"\x00" * 100),
    ("no UTF-8", lambda: b"".join(OVERLONG)),
    ("UTF-16", lambda: '{"a": 1}'.encode("utf-16")),
    ("UTF-32", lambda: '{"a": 1}'.encode("utf-32")),
    ("a form", lambda: b"a=1&b=2&a=3"),
    ("a page", lambda: b"<html><body>502</body></html>"),
    ("a picture", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ("comments", lambda: b'/* x */ {"a": 1} // y'),
    ("entities", lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
)
"""Whole bodies that are no webhook of anybody."""

LARGE_BODIES: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("3 MB of brackets", lambda: b"[" * BODY_BYTES_MAX),
    ("3 MB of pairs of brackets", lambda: b"[" + b"[]," * (BODY_BYTES_MAX // 3 - 1) + b"0]"),
    ("3 MB of objects", lambda: b"[" + b"{}," * (BODY_BYTES_MAX // 3 - 1) + b"0]"),
    ("3 MB of small objects", lambda: b"[" + b'{"a":0},' * (BODY_BYTES_MAX // 8 - 1) + b"0]"),
    ("3 MB of nested objects", lambda: b'{"a":' * (BODY_BYTES_MAX // 5)),
    ("3 MB of quotes", lambda: b'"' * BODY_BYTES_MAX),
    ("3 MB of backslashes", lambda: b'"' + b"\\" * (BODY_BYTES_MAX - 2) + b'"'),
    ("3 MB of one text", lambda: b'"' + b"x" * (BODY_BYTES_MAX - 2) + b'"'),
    ("3 MB of one number", lambda: b"9" * BODY_BYTES_MAX),
    ("3 MB of half surrogate pairs", lambda: b'"' + b"\\ud800" * (BODY_BYTES_MAX // 6 - 1) + b'"'),
    ("3 MB of names", lambda: b"{" + b",".join(b'"%d":0' % number for number in range(250_000)) + b"}"),
    ("3 MB of NULs", lambda: b"\x00" * BODY_BYTES_MAX),
    ("3 MB of blanks", lambda: b" " * BODY_BYTES_MAX),
    ("one byte too many", lambda: b" " * (BODY_BYTES_MAX + 1)),
    ("10 MB", lambda: b"x" * (10 * MEBIBYTE)),
)
"""Bodies at the bounds; each is tried once or a few times in a run."""


def squeezed(chance: random.Random, body: bytes) -> tuple[str, bytes]:  # noqa: PLR0911 # one return per kind: it reads as a table
    """Return a `Content-Encoding` and `body` in it: rightly, wrongly, twice, cut, with something behind it, or as a bomb."""
    match chance.randrange(9):
        case 0:
            return "gzip", gzip.compress(body, 1)
        case 1:
            return "deflate", zlib.compress(body, 1)
        case 2:
            return "deflate", zlib.compress(body, 1, wbits=-15)
        case 3:
            return "gzip", body
        case 4:
            return "gzip", gzip.compress(body, 1)[: chance.randrange(1, 30)]
        case 5:
            return "gzip", gzip.compress(body, 1) + chance.choice((b"\x00", gzip.compress(body, 1)))
        case 6:
            return chance.choice(("br", "zstd", "gzip, gzip", "GZIP ", "identity", "x", "\xff")), body
        case 7:
            return "gzip", gzip.compress(gzip.compress(body, 1), 1)
        case _:
            return "gzip", bomb(chance.choice((MEBIBYTE, BODY_BYTES_MAX, 4 * MEBIBYTE)))


def bomb(size: int) -> bytes:
    """Return some kilobytes that inflate to `size` bytes."""
    return gzip.compress(b"\x00" * size, 9)
