"""Statuses of our own messages ("Status messages webhook reference", 2025-11-20).

A status names the message; the thread it belongs to stands in the opaque data that we sent along, else in the recipient's ids.
Other senders may share the number: their opaque data is handed on as it is in `send_id`, where no send of ours has it.
`delivered` is left out where the chat was open: `read` implies it. The time is when the webhook was made.
"""

from __future__ import annotations

from shared.channels.contract import ItemIgnored
from shared.channels.whatsapp import opaque
from shared.channels.whatsapp.errors import failure_of
from shared.channels.whatsapp.facts import Fact, Found, Scope
from shared.channels.whatsapp.identity import customer_of
from shared.channels.whatsapp.reading import (
    Json,
    UnreadableItemError,
    as_object,
    caption_in,
    list_in,
    moment_in,
    object_in,
    optional_text,
    text_in,
)
from shared.events.deliveries import MessageDelivered, MessageFailed, MessagePlayed, MessageRead, MessageSent, Price
from shared.events.envelope import EventData
from shared.events.shapes import Failure
from shared.topics import DELIVERIES

_MODELS = {"sent": MessageSent, "delivered": MessageDelivered, "read": MessageRead, "played": MessagePlayed}


def read_status(status: Json, scope: Scope) -> Found:
    """Return what one entry of `statuses` says. Contacts beside it never make a message."""
    if status.get("recipient_type") == "group":
        return (ItemIgnored(scope.account, "group_status"),)
    ours = opaque.decode(status.get("biz_opaque_callback_data"))
    customer = ours.customer if ours else _recipient(status, scope)
    send_id = ours.send_id if ours else caption_in(status, "biz_opaque_callback_data")
    name, message_id, at = text_in(status, "status"), text_in(status, "id"), moment_in(status)
    price = _price(status)
    data: EventData
    if name == "failed":
        data = MessageFailed(message_id=message_id, send_id=send_id, at=at, price=price, failure=_failure(status))
    elif name in _MODELS:
        data = _MODELS[name](message_id=message_id, send_id=send_id, at=at, price=price)
    else:
        raise UnreadableItemError("a kind of status that is not known", "unknown_kind")
    return (Fact(DELIVERIES, customer, f"status.{name}", message_id, data, at),)


def _recipient(status: Json, scope: Scope) -> str:
    """Return the customer's part of the thread as the vendor names the recipient."""
    return customer_of(status, scope.profiles, phone="recipient_id", scoped="recipient_user_id").id


def _price(status: Json) -> Price | None:
    """Return what the vendor says about the price; it is on `sent` and on one of `delivered` and `read`."""
    if status.get("pricing") is None:
        return None
    pricing = object_in(status, "pricing")
    billable = pricing.get("billable")
    return Price(
        billable=billable if isinstance(billable, bool) else None,
        category=optional_text(pricing, "category"),
        type=optional_text(pricing, "type"),
    )


def _failure(status: Json) -> Failure:
    """Return why the vendor gave the message up: its first error."""
    errors = list_in(status, "errors")
    return failure_of(as_object(errors[0], "errors[]") if errors else {})
