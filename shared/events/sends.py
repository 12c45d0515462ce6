"""`sends` (key: thread): exactly what goes out, or why it does not. Written by sla, read by outbound and desks."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from shared.events.envelope import EventData, Frozen, Timestamp
from shared.events.shapes import Content, Customer


class Permission(StrEnum):
    """What lets a message go out, from the freest to the narrowest."""

    FREE_FORM = "free_form"
    HUMAN_AGENT = "human_agent"
    TEMPLATE = "template"
    PRIVATE_REPLY = "private_reply"


class Lane(StrEnum):
    """What goes first when an account is at its limit: answers of people, then automatic ones, then bulk."""

    ANSWER = "answer"
    AUTOMATIC = "automatic"
    BULK = "bulk"


class SendRequested(EventData):
    """Send exactly this. After `not_after` (UTC) it is no longer allowed."""

    NAME: ClassVar[str] = "send.requested"
    send_id: str
    reply_id: str
    channel: str
    account: str
    to: Customer
    permission: Permission
    content: Content
    lane: Lane
    not_after: Timestamp | None = None
    reply_to: str | None = None


class Allowed(Frozen):
    """A form that would be allowed, and until when (absent: no end)."""

    permission: Permission
    until: Timestamp | None = None
    note: str | None = None


class SendWithheld(EventData):
    """Nothing was sent; `explanation` says why in words an agent understands, `allowed` what would be possible."""

    NAME: ClassVar[str] = "send.withheld"
    reply_id: str
    reason: str
    explanation: str
    allowed: tuple[Allowed, ...] = ()


SendsData = SendRequested | SendWithheld
