"""What outbound remembers of a send: one entry of the ledger per send id."""

from __future__ import annotations

from enum import StrEnum

from shared.events.envelope import Frozen, Timestamp
from shared.events.shapes import Failure


class Phase(StrEnum):
    """How far a send has come."""

    IN_FLIGHT = "in_flight"
    """Claimed: a request may have left. Written before it does, so that nobody else makes it, and nobody makes it again."""
    WAITING = "waiting"
    """The channel did not take it, for certain, and it is to be tried again."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The request may have left and its answer is lost: never tried again, settled by a status of the channel."""


SETTLED = frozenset({Phase.ACCEPTED, Phase.REFUSED, Phase.UNKNOWN})


class LedgerEntry(Frozen):
    """One send. `since` is when its phase began; `owner` is the process that claimed it last; `attempts` counts the requests.

    `message_id` is set once accepted, `failure` while waiting and once refused, `explanation` once unknown.
    """

    send_id: str
    phase: Phase
    attempts: int
    owner: str
    since: Timestamp
    next_attempt_at: Timestamp | None = None
    message_id: str | None = None
    failure: Failure | None = None
    explanation: str | None = None

    @property
    def settled(self) -> bool:
        """Return whether nothing more will be done about it."""
        return self.phase in SETTLED
