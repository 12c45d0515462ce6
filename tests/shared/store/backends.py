"""The stores that the contract is held against, and the processes that share one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.store.port import CollectionSpec, Index, Store, StoredDocument

PROCESS = Path(__file__).with_name("store_process.py")
STAND_IN_TIMEOUT_SECONDS = 120.0
"""The wire stand-in reads a whole collection for each guarded update, so big batches take long on it."""

SPEC = CollectionSpec(
    "threads",
    (
        Index("due", ("shard", "due_at")),
        Index("dirty", ("dirty",)),
        Index("place", ("country", "city", "street")),
        Index("number", ("pool", "number"), unique=True),
        Index("phone", ("phone",), unique=True),
    ),
)


@dataclass(frozen=True)
class Backend:
    """One adapter over data of its own. `store` makes a new store over that same data, as a second process would."""

    name: str
    store: Callable[[], Store]
    process_arguments: tuple[str, ...] = ()

    def process(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a process that runs `command` of store_process.py on this backend's data."""
        return subprocess.Popen(  # noqa: S603 - our own interpreter on our own file
            [sys.executable, str(PROCESS), *self.process_arguments, command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROCESS.parents[3])},
        )


def document(key: str, version: int = 0, body: bytes = b"{}", **fields: str | float | bool | None) -> StoredDocument:
    """Return a document, its fields as keyword arguments."""
    return StoredDocument(key, version, body, fields)


def keys_of(documents: Sequence[StoredDocument]) -> list[str]:
    """Return the keys of `documents` in order."""
    return [one.key for one in documents]
