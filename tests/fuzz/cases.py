"""One input of the fuzzer: everything that is needed to try exactly this again, in a form that fits into a file and a terminal."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT = Path(__file__).resolve().parent / "kept"
"""Inputs that once failed: each is tried again in every run."""
BASE64_SHOWN_MAX = 4_000
"""A larger input is not printed whole: seed and number make it again, and the kept file has it."""


@dataclass(frozen=True, slots=True)
class Case:
    """An input for `target`. `recipe` says how it was made; `parts` is what is not in `body` (headers, topics, expectations)."""

    target: str
    recipe: str
    body: bytes
    parts: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    number: int = 0

    @property
    def origin(self) -> str:
        """Return the command that makes it again."""
        return f"python -m tests.fuzz --only {self.target} --seed {self.seed} --number {self.number}"

    def to_json(self, why: str) -> str:
        """Return the case as a kept file holds it; `why` says what it once did."""
        document = {
            "target": self.target,
            "recipe": self.recipe,
            "why": why,
            "seed": self.seed,
            "number": self.number,
            "parts": dict(self.parts),
            "body": base64.b64encode(zlib.compress(self.body, 9)).decode(),
        }
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Case:
        """Return the case that `to_json` wrote."""
        document = json.loads(text)
        body = zlib.decompress(base64.b64decode(document["body"]))
        return cls(document["target"], document["recipe"], body, document["parts"], document["seed"], document["number"])

    def shown(self) -> str:
        """Return the input as a terminal takes it: base64 of the compressed body, or its size where that is too long."""
        packed = base64.b64encode(zlib.compress(self.body, 9)).decode()
        return packed if len(packed) <= BASE64_SHOWN_MAX else f"({len(self.body)} bytes)"


def chance_of(target: str, seed: int, number: int) -> random.Random:
    """Return the randomness of one input: the same for the same three, whatever was tried before."""
    return random.Random(f"{target}/{seed}/{number}")


def keep(case: Case, why: str, folder: Path = KEPT) -> Path:
    """Write `case` as a regression; the same case has the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = zlib.crc32(case.body + json.dumps(dict(case.parts), sort_keys=True).encode())
    path = folder / f"{case.target.replace(':', '-')}-{mark:08x}.json"
    path.write_text(case.to_json(why), encoding="utf-8")
    return path


def kept(folder: Path = KEPT) -> list[Case]:
    """Return every kept case, in the order of the files' names."""
    return [Case.from_json(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
