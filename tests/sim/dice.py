"""Chance, from one seed: a stream of random numbers per purpose, so that one purpose more or less leaves the others as they were."""

from __future__ import annotations

import random


def stream(seed: int, *purpose: object) -> random.Random:
    """Return the numbers of `seed` for `purpose`: the same in every run."""
    return random.Random(f"{seed}/{'/'.join(map(str, purpose))}")
