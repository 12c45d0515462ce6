"""Mends JSON that is none because of single values, so that one spoilt item does not take the others of its POST with it.

What is replaced: half of a surrogate pair (a text that was cut inside an emoji), control characters and unknown escapes in texts, bytes
that are no UTF-8, NaN and Infinity, numbers beyond a double, values nested deeper than DEPTH_MAX. What is wrong between the values (a
bracket or a quote too few) is left, and the body stays unreadable. One pass, whose time grows with the length and no faster.
"""

from __future__ import annotations

import math
import re

DEPTH_MAX = 64
"""Deepest nesting that is kept; the vendor's own is about ten. What lies deeper is read as null."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]|-?+(?:[0-9][-+.0-9eE]*+|NaN|Infinity)', re.DOTALL)
"""A text (to its end, or to the end of everything), a bracket, or what stands for a number. Possessive: it never goes back."""
_GOOD = (
    rb'[^\\\x00-\x1f]++|\\["\\/bfnrt]|\\u(?:[0-9a-cA-Ce-fE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_GOOD_TEXT = re.compile(rb"(?:" + _GOOD + rb")*+")
_LONE = rb"\\u[dD](?:[c-fC-F][0-9a-fA-F]{2}|[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
_BAD = _LONE + rb'|\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})|[\x00-\x1f]'
_PART = re.compile(rb"((?:" + _GOOD + rb")++)|(?:" + _BAD + rb")++")
"""What may stand in a text, as much of it as there is; or what may not, likewise."""
SPOILT_TEXT_BYTES_MAX = 64 * 1024
"""A longer text with something wrong in it is read as null: the vendor's longest (4,096 characters) has 48 kB when all are escaped."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = rb"\ufffd"


def mended(body: bytes) -> bytes:
    """Return `body` with a harmless value in the place of each that no reader of JSON takes."""
    body = body.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "replace").encode()
    pieces: list[bytes] = []
    kept_to = depth = 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token in {b"[", b"{"}:
            depth += 1
            if depth == DEPTH_MAX + 1:
                pieces += (body[kept_to : match.start()], b"null")
        elif token in {b"]", b"}"}:
            if depth == DEPTH_MAX + 1:
                kept_to = match.end()
            depth -= 1
        elif depth <= DEPTH_MAX:
            good = _text(token) if token[:1] == b'"' else _number(token)
            if good is not token:
                pieces += (body[kept_to : match.start()], good)
                kept_to = match.end()
    if depth <= DEPTH_MAX:
        pieces.append(body[kept_to:])
    return b"".join(pieces)


def _number(token: bytes) -> bytes:
    """Return the number, or null where it is none or larger than a double can be."""
    try:
        value = float(token)
    except ValueError:
        return token
    return token if math.isfinite(value) else b"null"


def _text(token: bytes) -> bytes:
    """Return the text with its quotes, without what may not stand in one."""
    if _GOOD_TEXT.fullmatch(token):
        return token
    if len(token) > SPOILT_TEXT_BYTES_MAX:
        return b"null"
    return _PART.sub(lambda match: match[1] or _REPLACEMENT, token)
