"""How a loop is doing, for the probes: written by the loop, read by the health server's thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class LoopStatus:
    """What the probes want to know.

    `ready`: it has an assignment. `stopped`: why it does no more work until somebody looks. `last_turn_at`: its last batch or wait.
    """

    ready: bool = False
    stopped: str | None = None
    last_turn_at: datetime | None = None

    def worked(self, now: datetime) -> None:
        """Take note of a turn of the loop."""
        self.last_turn_at = now
