"""May this send pass? The vendor's rules as pure functions of the request, the situation and the time.

Order of the checks: what is wrong with the request itself, then what the window forbids, then what the limits forbid; a
refused send uses up nothing. Pages: windows WA/messages/send-messages (2025-11-04); pair limit WA/about-the-platform;
throughput WA/throughput (2025-11-21); recipients WA/business-scoped-user-ids (2026-05-28); errors WA/support/error-codes (2025-12-12).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.requests import SendRequest
from devstack.emulator.whatsapp.settings import Limits, PhoneNumber, Template
from devstack.emulator.whatsapp.state import Bucket, Customer, Pacing
from devstack.emulator.whatsapp.templates import template_error


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a send reaches. `input` as given; `number` the digits it was taken for; `customer` None when nobody is there.

    `by` mangled: a business-scoped id was put into `to`, of which the vendor keeps the digits (failed 131026).
    """

    input: str
    by: Literal["phone", "bsuid", "mangled"]
    customer: Customer | None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a send arrives.

    `target_known`: the message that a reaction points at exists. `template`: what is on file for the name and language asked.
    """

    number: PhoneNumber
    limits: Limits
    recipient: Recipient
    window_ends_at: datetime | None
    pair: Pacing
    throughput: Bucket
    closed_window: Literal["answer", "status"]
    template: Template | None = None
    target_known: bool = True
    media_known: bool = True


@dataclass(frozen=True, slots=True)
class Accept:
    """The send passes; `pair` and `throughput` are the new states. `fails_with`: accepted, but a failed status will follow."""

    pair: Pacing
    throughput: Bucket
    fails_with: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The send is refused in the answer."""

    error: MetaError


def decide(request: SendRequest, situation: Situation, now: datetime) -> Accept | Refuse:
    """Decide on one send that is well-formed and came with a valid token."""
    error = (
        _sender_error(situation)
        or _reference_error(request, situation)
        or _template_error(request, situation)
        or _window_error(request, situation, now)
        or _rate_error(situation, now)
    )
    if error is not None:
        return Refuse(error)
    return Accept(
        situation.pair.take(now, situation.limits),
        situation.throughput.take(now, situation.limits.throughput_per_second),
        _later_failure(request, situation, now),
    )


def window_open(window_ends_at: datetime | None, now: datetime) -> bool:
    """Return whether free-form messages may be sent: the end itself is outside."""
    return window_ends_at is not None and now < window_ends_at


def window_end(current: datetime | None, message_at: datetime, limits: Limits) -> datetime:
    """Return the window's end after a customer's message of `message_at`; an older message never shortens it."""
    ends_at = message_at + timedelta(seconds=limits.window_seconds)
    return ends_at if current is None else max(current, ends_at)


def _sender_error(situation: Situation) -> MetaError | None:
    if situation.number.state == "deleted":
        return MetaError(33)
    if situation.number.state == "unregistered":
        return MetaError(133010)
    if situation.recipient.by == "phone" and situation.recipient.number == situation.number.display_phone_number:
        return MetaError(131021)
    return None


def _reference_error(request: SendRequest, situation: Situation) -> MetaError | None:
    if not situation.target_known:
        return MetaError(131009, "The message_id of the reaction is not known.")
    if not situation.media_known:
        return MetaError(131009, f"The media id of the {request.type} is not known or has expired.")
    return None


def _template_error(request: SendRequest, situation: Situation) -> MetaError | None:
    if not request.is_template:
        return None
    error = template_error(request.content, situation.template)
    if error is None and situation.recipient.by == "bsuid" and situation.template and situation.template.category == "authentication":
        return MetaError(131062)
    return error


def _window_error(request: SendRequest, situation: Situation, now: datetime) -> MetaError | None:
    # Nobody there: the vendor finds that out while delivering (131026), not while accepting.
    if request.is_template or situation.recipient.customer is None or situation.closed_window == "status":
        return None
    return None if window_open(situation.window_ends_at, now) else MetaError(131047)


def _rate_error(situation: Situation, now: datetime) -> MetaError | None:
    if not situation.throughput.has_room(now, situation.limits.throughput_per_second):
        return MetaError(130429)
    if not situation.pair.has_room(now, situation.limits):
        return MetaError(131056)
    return None


def _later_failure(request: SendRequest, situation: Situation, now: datetime) -> int | None:
    customer = situation.recipient.customer
    if customer is None or not customer.reachable:
        return 131026
    if not request.is_template and not window_open(situation.window_ends_at, now):
        return 131047
    if situation.template is not None and situation.template.category == "marketing" and customer.stopped_marketing:
        return 131050
    return None
