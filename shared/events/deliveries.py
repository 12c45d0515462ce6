"""`deliveries` (key: thread): what became of our messages. Written by ingest (the channel's word) and outbound (the answer to a send)."""

from __future__ import annotations

from typing import ClassVar

from shared.events.envelope import EventData, Frozen, Timestamp
from shared.events.shapes import Failure


class Price(Frozen):
    """What the channel says about the price; it decides, we never count ourselves."""

    billable: bool | None = None
    category: str | None = None
    type: str | None = None


class _Status(EventData):
    """A channel's status of one message of ours. `send_id` is there when our opaque data came back."""

    message_id: str
    send_id: str | None = None
    at: Timestamp
    price: Price | None = None


class MessageSent(_Status):
    """The channel sent the message on."""

    NAME: ClassVar[str] = "message.sent"


class MessageDelivered(_Status):
    """The message reached the customer's device."""

    NAME: ClassVar[str] = "message.delivered"


class MessageRead(_Status):
    """The customer read it; implies delivered."""

    NAME: ClassVar[str] = "message.read"


class MessagePlayed(_Status):
    """The customer played a voice message."""

    NAME: ClassVar[str] = "message.played"


class MessageFailed(_Status):
    """The channel gave the message up after it had accepted it."""

    NAME: ClassVar[str] = "message.failed"
    failure: Failure


class SendAccepted(EventData):
    """The channel accepted the send; accepted is not delivered."""

    NAME: ClassVar[str] = "send.accepted"
    send_id: str
    message_id: str
    at: Timestamp


class SendRefused(EventData):
    """The channel refused the send. `final`: it will not be tried again."""

    NAME: ClassVar[str] = "send.refused"
    send_id: str
    failure: Failure
    at: Timestamp
    final: bool


class SendUnknown(EventData):
    """The request left and its answer was lost: sent or not, nobody can say until a status with our id comes."""

    NAME: ClassVar[str] = "send.unknown"
    send_id: str
    at: Timestamp
    explanation: str


DeliveriesData = MessageSent | MessageDelivered | MessageRead | MessagePlayed | MessageFailed | SendAccepted | SendRefused | SendUnknown
