"""JSON as nobody should write it: values and texts that a serializer would refuse, put into an otherwise good document.

A tree is plain Python data; `Raw` stands for bytes that go out as they are in the place of a value, `Twice` for an object that
says a name twice. Lone surrogates, NaN and Infinity need nothing of this: Python writes them without being asked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_PLACE = re.compile(rb'"@@raw ([0-9]+)@@"')


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes in the place of a value: a number of 5,000 digits, a text with a NUL in it, 100,000 brackets."""

    written: bytes


@dataclass(frozen=True, slots=True)
class Twice:
    """An object that says each name of `first` that is also in `second` twice."""

    first: dict[str, Any]
    second: dict[str, Any] = field(default_factory=dict)


def write(tree: Any) -> bytes:
    """Return the tree as bytes; what is not plain goes out as it asks for."""
    pieces: list[bytes] = []

    def plain(value: Any) -> str:
        if isinstance(value, Raw):
            pieces.append(value.written)
        elif isinstance(value, Twice):
            pieces.append(write(value.first)[:-1] + (b"," if value.first and value.second else b"") + write(value.second)[1:])
        else:
            message = f"no place in a tree for {type(value).__name__}"
            raise TypeError(message)
        return f"@@raw {len(pieces) - 1}@@"

    written = json.dumps(tree, default=plain, separators=(",", ":")).encode()
    return _PLACE.sub(lambda match: pieces[int(match[1])], written) if pieces else written
