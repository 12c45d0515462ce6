"""Changes good documents a little: one value, one name, one byte. Most of the document stays good, so that it gets far."""

from __future__ import annotations

import copy
import random
from typing import Any

from tests.fuzz.canaries import planted_phone, planted_text
from tests.fuzz.nasties import OVERLONG, any_value
from tests.fuzz.wire import Twice

REPEATS_MAX = 40


def mutated(tree: Any, chance: random.Random, others: list[Any]) -> Any:
    """Return `tree` (plain data, not changed further by others) with one to four changes; `others` are values to put into it."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        tree = _changed_somewhere(tree, chance, others)
    return tree


def _changed_somewhere(tree: Any, chance: random.Random, others: list[Any]) -> Any:
    """Return the tree with one value changed, wherever chance leads."""
    places: list[tuple[Any, Any]] = [(None, None)]
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            places += [(node, name) for name in node]
            waiting += node.values()
        elif isinstance(node, list):
            places += [(node, index) for index in range(len(node))]
            waiting += node
    parent, name = chance.choice(places)
    if parent is None:
        return _changed(tree, chance, others)
    _change_inside(parent, name, chance, others)
    return tree


def _change_inside(parent: Any, name: Any, chance: random.Random, others: list[Any]) -> None:
    """Change the value `name` of `parent`, or its place."""
    kind = chance.randrange(10)
    if isinstance(parent, dict) and kind == 0:
        del parent[name]
    elif isinstance(parent, dict) and kind == 1:
        parent[chance.choice(("", name.upper(), f"{name}s", "unknown_field", planted_text(chance), "\ud800"))] = parent.pop(name)
    elif isinstance(parent, dict) and kind == 2:  # the number of a kind of change
        parent[chance.choice(("errors", "id", "type", "from", "timestamp", "unknown_field"))] = any_value(chance)
    elif isinstance(parent, list) and kind == 0:
        parent.insert(name, any_value(chance))
    elif isinstance(parent, list) and kind == 1:
        parent[name:name] = [parent[name]] * chance.randrange(1, REPEATS_MAX)
    elif isinstance(parent, list) and kind == 2:  # likewise
        del parent[name]
    else:
        parent[name] = _changed(parent[name], chance, others)


def _changed(value: Any, chance: random.Random, others: list[Any]) -> Any:  # noqa: PLR0911 # one return per kind of change: it reads as a table
    """Return something in the place of `value`."""
    kind = chance.randrange(12)
    if kind == 0:
        return [value]
    if kind == 1:
        return {chance.choice(("body", "text", "id", planted_text(chance))): value}
    if kind == 2 and isinstance(value, dict):  # the number of a kind of change
        return Twice(value, {name: any_value(chance) for name in list(value)[: chance.randrange(1, 4)]})
    if kind == 3 and isinstance(value, str):  # likewise
        return chance.choice(
            (value + planted_text(chance), value[: len(value) // 2], value * 20, value.upper(), f" {value} ", value + "\x00")
        )
    if kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):  # likewise
        return chance.choice((-value, value * 1000, value + 0.5, str(value), value * 2**40))
    if kind == 5 and others:  # likewise
        return copy.deepcopy(chance.choice(others))
    if kind == 6:  # likewise
        return planted_text(chance)
    if kind == 7:  # likewise
        return planted_phone(chance)
    return any_value(chance)


def mutated_bytes(body: bytes, chance: random.Random) -> bytes:
    """Return `body` with some bytes changed, cut out, put in or repeated."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(8):
            case 0:
                body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
            case 1:
                body = body[:at]
            case 2:
                body = body[:at] + chance.choice((*OVERLONG, b"\x00", b"\\", b'"', b"{", b"]", b",", b"\xef\xbb\xbf", b"\r\n")) + body[at:]
            case 3:
                body = body[:at] + body[at + chance.randrange(1, 40) :]
            case 4:
                body = body[:at] + body[at : at + chance.randrange(1, 200)] * chance.randrange(2, 20) + body[at:]
            case 5:
                body = body[at:] + body[:at]
            case 6:
                body = body[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 12))) + body[at:]
            case _:
                body = chance.choice((b"\xef\xbb\xbf", b" ", b"\x00", b"//\n")) + body
    return body
