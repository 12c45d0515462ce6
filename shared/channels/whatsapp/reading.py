"""Reading the vendor's JSON without trusting it: each value is taken out with the type that it must have.

Numbers stand where texts are expected and the other way round (`timestamp` is a string in messages and an integer in preferences),
so identifiers and times are taken in either form. An explanation names fields and types, never values: they may be private.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from pydantic_core import from_json

from shared.channels.whatsapp.mending import mended

Json = dict[str, Any]

TIMESTAMP_SECONDS_MIN = 1_230_768_000
"""2009-01-01: the vendor did not exist before."""
TIMESTAMP_SECONDS_MAX = 4_102_444_800
"""2100-01-01. A time in milliseconds, taken for seconds, is beyond it too."""
LARGE_BYTES = 256 * 1024
VALUES_MAX = 100_000
NESTS_MAX = 50_000
"""Commas, and opening brackets, of a large body: the vendor's thousand items have a tenth of that. An empty object of two bytes is one
of a hundred in memory, so the length alone does not bound what a body costs."""
DEEP_BYTES_MAX = 1024 * 1024
"""Up to this length a body with too much in it is looked at for nesting, which takes a quarter of a second."""
_QUOTES_PER_VALUE = 4
_INTEGER_MAX = 10**18
_DIGITS_MAX = 18


class UnreadableItemError(Exception):
    """An item of a webhook cannot be read; `explanation` holds no value of the item."""

    def __init__(self, explanation: str, reason: Literal["unparseable", "unknown_kind"] = "unparseable") -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.reason: Literal["unparseable", "unknown_kind"] = reason


def decode(body: bytes) -> Any:
    """Return the JSON in `body`. Raises UnreadableItemError.

    What the reader refuses (half of a surrogate pair, where a text was cut inside an emoji; a number that is none) is mended and read
    again: one spoilt value must not lose the other messages of the POST.
    """
    if len(body) > LARGE_BYTES and _is_too_dense(body):
        body = mended(body) if len(body) <= DEEP_BYTES_MAX else body  # what is nested too deep is read as null, and then it may be few
        if _is_too_dense(body):
            raise UnreadableItemError(f"the body holds more than {VALUES_MAX} values or {NESTS_MAX} objects and lists")
    try:
        return _read(body)
    except ValueError:
        pass
    try:
        return _read(mended(body))
    except ValueError:
        raise UnreadableItemError("the body is no JSON") from None


def _is_too_dense(body: bytes) -> bool:
    """Return whether the body may hold more values than are read; what stands in texts counts too, of which there is little."""
    nests = body.count(b"{") + body.count(b"[")
    return nests > NESTS_MAX or body.count(b",") > VALUES_MAX or body.count(b'"') > VALUES_MAX * _QUOTES_PER_VALUE


def _read(body: bytes) -> Any:
    """Return the JSON in `body`; raises ValueError. The fast reader sets twelve times the body aside: not for large ones."""
    return orjson.loads(body) if len(body) <= LARGE_BYTES else from_json(body, allow_inf_nan=False)


def as_object(value: Any, name: str) -> Json:
    """Return `value`, which is called `name`, as a JSON object."""
    if isinstance(value, dict):
        return value
    raise UnreadableItemError(f"{name} is no object")


def object_in(parent: Json, name: str) -> Json:
    """Return the object `name`, which must be there."""
    return as_object(parent.get(name), name)


def optional_object(parent: Json, name: str) -> Json:
    """Return the object `name`; empty where it is absent or null."""
    value = parent.get(name)
    return {} if value is None else as_object(value, name)


def list_in(parent: Json, name: str) -> list[Any]:
    """Return the list `name`; empty where it is absent or null."""
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableItemError(f"{name} is no list")
    return value


def optional_text(parent: Json, name: str) -> str | None:
    """Return the text `name`, or None where it is absent or null; an integer is written as text."""
    value = parent.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INTEGER_MAX:
        return str(value)
    raise UnreadableItemError(f"{name} is no text")


def text_in(parent: Json, name: str) -> str:
    """Return the text `name`, which must be there and not be empty."""
    value = parent.get(name)
    text = value if isinstance(value, str) else optional_text(parent, name)
    if not text:
        raise UnreadableItemError(f"{name} is missing")
    return text


def caption_in(parent: Json, name: str) -> str | None:
    """Return the text `name` as an optional decoration: None also where it is empty, or something else than a text."""
    value = parent.get(name)
    return value if isinstance(value, str) and value else None


def integer_in(parent: Json, name: str) -> int:
    """Return the integer `name`, which may be written as a text."""
    value = parent.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INTEGER_MAX:
        return value
    raise UnreadableItemError(f"{name} is no integer")


def number_in(parent: Json, name: str) -> float:
    """Return the number `name`, which may be written as a text."""
    value = parent.get(name)
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UnreadableItemError(f"{name} is no number")
    return number


def moment_in(parent: Json, name: str = "timestamp") -> datetime:
    """Return the moment `name`, given in seconds since 1970; refuses what cannot be a time of this vendor."""
    seconds = integer_in(parent, name)
    if not TIMESTAMP_SECONDS_MIN <= seconds < TIMESTAMP_SECONDS_MAX:
        raise UnreadableItemError(f"{name} is no time between 2009 and 2100")
    return datetime.fromtimestamp(seconds, tz=UTC)
