"""What is neither a message nor a status: preferences of customers, and news for operators about the account.

News make no event: they are counted by kind, and carry a line for operators that names what happened.
"""

from __future__ import annotations

import re

from shared.channels.contract import ItemIgnored
from shared.channels.whatsapp.facts import Fact, Found, Scope
from shared.channels.whatsapp.identity import customer_of
from shared.channels.whatsapp.reading import Json, UnreadableItemError, moment_in, text_in
from shared.events.inbound import CustomerOptedIn, CustomerOptedOut
from shared.topics import INBOUND

IGNORED_FIELDS = frozenset(
    {
        "account_alerts",
        "account_review_update",
        "account_settings_update",
        "account_update",
        "business_capability_update",
        "business_status_update",
        "calls",
        "flows",
        "history",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "messaging_handovers",
        "partner_solutions",
        "payment_configuration_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "smb_app_state_sync",
        "standby",
        "template_category_update",
        "template_correct_category_detection",
        "tracking_events",
    }
)
"""Fields that are known and make no event. `history` is old news: it must never make work, open a window or start a clock."""

_QUIET_FIELDS = frozenset({"calls", "flows", "history", "smb_app_state_sync", "standby", "tracking_events"})
"""Ignored fields that come with the traffic: no news for an operator."""

_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")


def notice_of(field: str, value: Json) -> str | None:
    """Return the line for operators about a change of `field`: names of the vendor only, no texts, no numbers of phones."""
    if field in _QUIET_FIELDS:
        return None
    if field not in IGNORED_FIELDS:
        return f"the field {field} is not known" if _NAME.fullmatch(field) else "a field that is not known"
    event = value.get("event")
    return f"{field} {event}" if isinstance(event, str) and _NAME.fullmatch(event) else field


def read_account_error(error: Json, scope: Scope) -> Found:
    """Return a fault of the account as a whole, with no message beside it."""
    code = error.get("code")
    known = isinstance(code, int) and not isinstance(code, bool)
    return (ItemIgnored(scope.account, "account_error", notice=f"account_error {code}" if known else "account_error"),)


def read_user_action(_action: Json, scope: Scope) -> Found:
    """Return a click on a link in a marketing message ("Track click events", 2026-06-30)."""
    return (ItemIgnored(scope.account, "user_action"),)


def read_preference(preference: Json, scope: Scope) -> Found:
    """Return a customer's wish about marketing messages. It has no id of its own: who, when and what make one."""
    if text_in(preference, "category") != "marketing_messages":
        raise UnreadableItemError("a category of preferences that is not known", "unknown_kind")
    customer = customer_of(preference, scope.profiles, phone="wa_id", scoped="user_id", parent="parent_user_id")
    wish, sent_at = text_in(preference, "value"), moment_in(preference)
    if wish == "stop":
        data: CustomerOptedOut | CustomerOptedIn = CustomerOptedOut(scope="marketing", sent_at=sent_at)
    elif wish == "resume":
        data = CustomerOptedIn(scope="marketing", sent_at=sent_at)
    else:
        raise UnreadableItemError("a preference that is neither stop nor resume", "unknown_kind")
    native_id = f"{customer.id}/{int(sent_at.timestamp())}"
    return (Fact(INBOUND, customer.id, f"preference.{wish}", native_id, data, sent_at),)
