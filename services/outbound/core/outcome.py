"""What the others are told of a settled send."""

from __future__ import annotations

from typing import Any

from services.outbound.state import LedgerEntry, Phase
from shared.events.deliveries import SendAccepted, SendRefused, SendUnknown
from shared.events.envelope import Event, new_event
from shared.events.sends import SendRequested
from shared.events.shapes import Failure, FailureClass
from shared.ids import send_outcome_id

SOURCE = "parley/outbound"
_NO_REASON = Failure.model_validate(
    {"code": "unexplained", "class": FailureClass.DEAD_LETTER, "explanation": "The channel gave no reason."}
)


def outcome_of(entry: LedgerEntry, request: Event[SendRequested]) -> Event[Any]:
    """Return the event that tells what became of `request`: the same, to the byte, however often it is asked for.

    Raises ValueError for an entry that is not settled.
    """
    return new_event(
        _data(entry),
        event_id=send_outcome_id(entry.send_id, entry.phase.value),
        source=SOURCE,
        subject=request.subject,
        time=entry.since,
        causationid=request.id,
        traceparent=request.traceparent,
    )


def _data(entry: LedgerEntry) -> SendAccepted | SendRefused | SendUnknown:
    """Return the event's data."""
    match entry.phase:
        case Phase.ACCEPTED:
            return SendAccepted(send_id=entry.send_id, message_id=entry.message_id or "", at=entry.since)
        case Phase.REFUSED:
            return SendRefused(send_id=entry.send_id, failure=entry.failure or _NO_REASON, at=entry.since, final=True)
        case Phase.UNKNOWN:
            return SendUnknown(send_id=entry.send_id, at=entry.since, explanation=entry.explanation or "")
        case _:
            raise ValueError(f"a send that is {entry.phase.value} has no outcome yet")
