"""The kept seeds: runs that once broke a promise, with what they found."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tests.sim.world import Run

SEEDS = Path(__file__).with_name("seeds.json")


class Kept(BaseModel):
    """One kept run; `found` says in a sentence what it found."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    hours: float
    muted: tuple[int, ...] = ()
    factors: dict[str, float] = {}
    favourites: dict[str, tuple[str, float]] = {}
    found: str

    @property
    def run(self) -> Run:
        """Return the run."""
        return Run(self.seed, hours=self.hours, muted=frozenset(self.muted), factors=self.factors, favourites=self.favourites)


def kept_seeds() -> list[Kept]:
    """Return every kept run."""
    return [Kept.model_validate(entry) for entry in json.loads(SEEDS.read_text(encoding="utf-8"))]
