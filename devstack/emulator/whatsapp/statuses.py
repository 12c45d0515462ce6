"""Status items in Meta's shape (WA/webhooks/reference/messages/status, 2025-11-20; WA/pricing, 2026-09-10)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from devstack.emulator.whatsapp.errors import status_error
from devstack.emulator.whatsapp.settings import Template
from devstack.emulator.whatsapp.state import Customer, Send

ENTRY_POINT_LENGTH = timedelta(hours=72)
ENTRY_POINT_ANSWER_WITHIN = timedelta(hours=24)


def status_item(send: Send, status: str, at: datetime, *, error_code: int | None = None) -> dict[str, Any]:
    """Return one item of `value.statuses[]`; `at` is when the webhook is triggered and stays on retries."""
    failed = status == "failed"
    item: dict[str, Any] = {"id": send.wamid, "status": status, "timestamp": str(int(at.timestamp()))}
    # A failed status of a send to a phone names no user id; one sent to a user id names no phone.
    if send.recipient_id is not None:
        item["recipient_id"] = send.recipient_id
    user_id = send.customer.bsuid if send.customer and not failed else send.recipient_user_id
    if user_id is not None:
        item["recipient_user_id"] = user_id
        if send.customer and send.customer.parent_bsuid:
            item["parent_recipient_user_id"] = send.customer.parent_bsuid
    if send.callback_data is not None:
        item["biz_opaque_callback_data"] = send.callback_data
    if failed and error_code is not None:
        item["errors"] = [status_error(error_code)]
    elif _priced(send, status):
        item |= ({"conversation": send.conversation} if send.conversation else {}) | {"pricing": send.pricing}
    return item


def _priced(send: Send, status: str) -> bool:
    """Pricing stands on `sent` and on the first of delivered and read."""
    return send.type != "reaction" and (status == "sent" or (status in {"delivered", "read"} and "delivered" not in send.statuses))


def status_contact(customer: Customer, status: str) -> dict[str, Any] | None:
    """Return the `contacts[]` item beside a status: none for failed, no username on sent."""
    if status == "failed":
        return None
    profile = {"name": customer.name} | ({"username": customer.username} if customer.username and status != "sent" else {})
    ids = {"wa_id": customer.visible_phone, "user_id": customer.bsuid, "parent_user_id": customer.parent_bsuid}
    return {"profile": profile, **{name: value for name, value in ids.items() if value is not None}}


def pricing_of(template: Template | None, *, entry_point: bool, free_left: bool) -> dict[str, Any]:
    """Return the pricing object of a send.

    Since 2026-10-01 service messages are charged after the month's free ones, and utility templates in the window as well.
    """
    if entry_point:
        return {"billable": False, "pricing_model": "PMP", "type": "free_entry_point", "category": "referral_conversion"}
    category = template.category if template else "service"
    free = template is None and free_left
    return {
        "billable": not free,
        "pricing_model": "PMP",
        "type": "free_customer_service" if free else "regular",
        "category": category,
    }


def entry_point_conversation(wamid: str, ends_at: datetime) -> dict[str, Any]:
    """Return the `conversation` object, which since v24.0 only free entry points carry."""
    expiration = str(int(ends_at.timestamp()))
    return {"id": f"entry-{wamid[6:]}", "expiration_timestamp": expiration, "origin": {"type": "referral_conversion"}}
