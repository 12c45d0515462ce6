"""What every contender is given, and how it says what it took."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

KIBIBYTES_PER_MEGABYTE = 1024
FIRST_BATCH_SHARE_MAX = 0.25
"""A first batch up to this share of the events is left out of the measurement, with what starting up costs."""


@dataclass(frozen=True, slots=True)
class Contest:
    """One run: the topics at `bootstrap` under `prefix`, `events` of the backlog, and a directory for what is to be kept.

    `outputs_per_event` is what the rules made of an event on average: what a pass-through has to write.
    """

    bootstrap: str
    prefix: str
    partitions: int
    directory: str
    events: int
    outputs_per_event: float = 1.0

    @property
    def path(self) -> Path:
        """Return the directory for what is to be kept."""
        return Path(self.directory)

    def to_json(self) -> str:
        """Return the contest for a process's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Contest:
        """Return the contest that a command line carries."""
        return cls(**json.loads(text))


class Stopwatch:
    """Wall clock and CPU of this process, from its making on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._cpu = time.process_time()

    def tell(self, events: float) -> None:
        """Print what `events` have taken since the beginning, as the process's last line."""
        seconds, cpu = time.perf_counter() - self._started, time.process_time() - self._cpu
        line = {
            "events_per_second": events / seconds,
            "cpu_microseconds": cpu / events * 1e6,
            "memory_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_PER_MEGABYTE,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
