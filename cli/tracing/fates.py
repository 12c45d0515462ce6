"""What became of every answer on a thread: asked, approved, on its way, with the customer; or why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.events.commands import Reply, SendTemplate
from shared.events.conversations import ReplyApproved, ReplyRejected
from shared.events.deliveries import (
    MessageDelivered,
    MessageFailed,
    MessagePlayed,
    MessageRead,
    MessageSent,
    SendAccepted,
    SendRefused,
    SendUnknown,
)
from shared.events.envelope import Event
from shared.events.sends import SendRequested, SendWithheld

_RANKS = (
    "asked", "rejected", "approved", "withheld", "requested", "unknown", "refused", "accepted", "sent", "delivered", "read", "failed",
)  # fmt: skip
"""How far an answer has come; a later word of a lower rank (statuses overtake each other) changes nothing."""


@dataclass(slots=True)
class Fate:
    """One answer, and how far it has come: `state` is one of the ranks."""

    reply_id: str
    author: str = ""
    permission: str = ""
    sends: list[str] = field(default_factory=list)
    state: str = "asked"
    why: str = ""

    def reached(self, state: str, why: str = "") -> None:
        """Take note of a state, unless a later one is known."""
        if _RANKS.index(state) >= _RANKS.index(self.state):
            self.state, self.why = state, why


def fates(events: Iterable[Event[Any]]) -> list[Fate]:
    """Return the fate of every answer that `events` (of one thread, in order) speak of."""
    by_reply: dict[str, Fate] = {}
    by_send: dict[str, Fate] = {}
    by_message: dict[str, Fate] = {}
    for event in events:
        data = event.data
        match data:
            case Reply() | SendTemplate() | ReplyApproved() | ReplyRejected() | SendRequested() | SendWithheld():
                fate = by_reply.setdefault(data.reply_id, Fate(data.reply_id))
                _of_reply(fate, data)
                if isinstance(data, SendRequested):
                    by_send[data.send_id] = fate
            case SendAccepted() | SendRefused() | SendUnknown() if data.send_id in by_send:
                _of_send(by_send[data.send_id], data)
                if isinstance(data, SendAccepted):
                    by_message[data.message_id] = by_send[data.send_id]
            case MessageSent() | MessageDelivered() | MessageRead() | MessagePlayed() | MessageFailed():
                found = by_send.get(data.send_id or "") or by_message.get(data.message_id)
                if found is not None:
                    _of_status(found, data)
            case _:
                continue
    return list(by_reply.values())


def _of_reply(fate: Fate, data: Any) -> None:
    author = getattr(data, "author", None)
    if author is not None:
        fate.author = f"{author.kind}:{author.id}"
    match data:
        case ReplyApproved():
            fate.reached("approved")
        case ReplyRejected():
            fate.reached("rejected", data.reason)
        case SendRequested():
            fate.permission = str(data.permission)
            fate.sends.append(data.send_id)
            fate.state, fate.why = "requested", ""
        case SendWithheld():
            fate.state, fate.why = "withheld", data.reason
        case _:
            fate.reached("asked")


def _of_send(fate: Fate, data: Any) -> None:
    match data:
        case SendAccepted():
            fate.reached("accepted")
        case SendUnknown():
            fate.reached("unknown", "until the channel tells")
        case _:
            fate.reached("refused", f"{data.failure.code} {data.failure.class_}{'' if data.final else ', is tried again'}")


def _of_status(fate: Fate, data: Any) -> None:
    match data:
        case MessageSent():
            fate.reached("sent")
        case MessageDelivered():
            fate.reached("delivered")
        case MessageFailed():
            fate.reached("failed", f"{data.failure.code} {data.failure.class_}")
        case _:
            fate.reached("read")
