"""Values that the tests of outbound share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.outbound.state import LedgerEntry, Phase
from shared.events.envelope import Event, new_event
from shared.events.sends import Lane, Permission, SendRequested
from shared.events.shapes import Customer, Failure, FailureClass, Text

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OWNER = "outbound-0"


def send(send_id: str = "s1", **changes: Any) -> SendRequested:
    """Return a send on the channel `paper`."""
    values: dict[str, Any] = {
        "send_id": send_id,
        "reply_id": f"reply-{send_id}",
        "channel": "paper",
        "account": "sales",
        "to": Customer(id="customer-1"),
        "permission": Permission.FREE_FORM,
        "content": Text(text="Hello"),
        "lane": Lane.ANSWER,
        **changes,
    }
    return SendRequested(**values)


def requested(data: SendRequested, thread: str = "paper:sales:customer-1") -> Event[SendRequested]:
    """Return `data` as the event that sla publishes."""
    return new_event(
        data, event_id=f"sla/{data.send_id}", source="parley/sla/sla", subject=thread, time=NOON, seq=1, traceparent="00-ab-cd-01"
    )


def failure_of(class_: FailureClass, code: str = "131000") -> Failure:
    """Return a channel's refusal of this class."""
    return Failure.model_validate({"code": code, "class": class_, "explanation": "The channel said no."})


def entry(phase: Phase, **changes: Any) -> LedgerEntry:
    """Return an entry of send `s1` in `phase`."""
    values: dict[str, Any] = {"send_id": "s1", "phase": phase, "attempts": 1, "owner": OWNER, "since": NOON, **changes}
    return LedgerEntry(**values)
