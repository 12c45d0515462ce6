"""Bounded memories: rings and small maps that forget the oldest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

V = TypeVar("V")


def remember(ring: tuple[str, ...], entry: str, entries_max: int) -> tuple[str, ...]:
    """Return `ring` with `entry` at its end; the oldest is forgotten beyond `entries_max`."""
    return (*ring[-(entries_max - 1) :], entry) if len(ring) >= entries_max else (*ring, entry)


def remember_by_name(known: Mapping[str, V], name: str, value: V, entries_max: int) -> dict[str, V]:
    """Return `known` with `name` as its youngest entry; the oldest is forgotten beyond `entries_max`."""
    changed = {key: entry for key, entry in known.items() if key != name}
    changed[name] = value
    if len(changed) > entries_max:
        del changed[next(iter(changed))]
    return changed


def without(known: Mapping[str, V], name: str) -> dict[str, V]:
    """Return `known` without `name`."""
    return {key: entry for key, entry in known.items() if key != name}
