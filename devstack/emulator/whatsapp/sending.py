"""One call of POST /messages against the world: rules, faults, effects, answer."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from devstack.emulator.whatsapp.behaviour import SendPlan, Step
from devstack.emulator.whatsapp.errors import MetaError, answer_body, http_status
from devstack.emulator.whatsapp.faults import Fault
from devstack.emulator.whatsapp.phones import outgoing_text
from devstack.emulator.whatsapp.requests import ReadReceipt, SendRequest, parse
from devstack.emulator.whatsapp.rules import Accept, Recipient, Refuse, Situation, decide, window_open
from devstack.emulator.whatsapp.settings import PhoneNumber, Template
from devstack.emulator.whatsapp.state import Bubble, Bucket, Pacing, Send
from devstack.emulator.whatsapp.statuses import ENTRY_POINT_ANSWER_WITHIN, ENTRY_POINT_LENGTH, entry_point_conversation, pricing_of
from devstack.emulator.whatsapp.templates import header_media_id
from devstack.emulator.whatsapp.world import World

MEDIA_TYPES = frozenset({"image", "video", "audio", "document", "sticker"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: after `wait_seconds` and after `before` is done, a body or (cut) nothing at all."""

    http_status: int
    body: dict[str, Any] | str
    wait_seconds: float = 0.0
    cut: bool = False
    before: tuple[Awaitable[Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    """A well-formed send on its way through: who asked, whom it reaches, what is in store for it."""

    number: PhoneNumber
    request: SendRequest
    recipient: Recipient
    template: Template | None
    fault: Fault | None
    plan: SendPlan

    @property
    def pair(self) -> tuple[str, str]:
        reached = self.recipient.customer.id if self.recipient.customer else self.recipient.number or self.recipient.input
        return (self.number.phone_number_id, reached)

    def fault_is(self, *kinds: str) -> bool:
        return self.fault is not None and self.fault.kind in kinds


def handle(world: World, number: PhoneNumber, body: Any) -> Answer:
    """Answer one POST to /messages of a known number with a valid token."""
    parsed = parse(body)
    if isinstance(parsed, ReadReceipt):
        return _read(world, number, parsed)
    world.journal.count("sends.asked")
    if isinstance(parsed, MetaError):
        return refuse(world, number, body, parsed)
    recipient = world.directory.resolve(parsed.to, parsed.recipient, number)
    if isinstance(recipient, MetaError):
        return refuse(world, number, body, recipient)
    return _send(world, body, _call(world, number, parsed, recipient))


def refuse(world: World, number: PhoneNumber | None, body: Any, error: MetaError, *, fault: Fault | None = None) -> Answer:
    """Log and answer a refusal."""
    status = http_status(error, world.settings.rate_limit_http_status)
    answer: dict[str, Any] | str = answer_body(error, world.trace_id())
    if fault is not None and fault.body is not None:
        answer = fault.body
    world.journal.count("sends.refused", f"sends.refused.{error.code}")
    _log(world, number, body, http=status, code=error.code, outcome="refused", answer=answer, fault=fault.kind if fault else None)
    return Answer(status, answer)


def _call(world: World, number: PhoneNumber, request: SendRequest, recipient: Recipient) -> _Call:
    content = request.content
    template = world.templates.get((content["name"], content["language"]["code"])) if request.is_template else None
    customer_id = recipient.customer.id if recipient.customer else None
    fault = world.faults.take(number.phone_number_id, customer_id)
    return _Call(number, request, recipient, template, fault, world.plan(number, recipient.customer))


def _send(world: World, body: Any, call: _Call) -> Answer:
    now = world.clock.now()
    fault = call.fault
    if fault is not None and fault.kind == "error":
        return refuse(world, call.number, body, MetaError(fault.code, fault.details, http_status=fault.http_status), fault=fault)
    if fault is not None and fault.kind in {"hang", "drop"}:
        world.journal.count("sends.unanswered")
        _log(world, call.number, body, http=None, code=None, outcome="unanswered", answer=None, fault=fault.kind)
        return Answer(504, "", wait_seconds=fault.seconds if fault.kind == "hang" else 0.0, cut=True)
    if call.plan.refused_with is not None:
        return refuse(world, call.number, body, MetaError(call.plan.refused_with))
    decision = decide(call.request, _situation(world, call, now), now)
    if isinstance(decision, Refuse):
        return refuse(world, call.number, body, decision.error)
    return _accept(world, body, call, decision, now)


def _situation(world: World, call: _Call, now: datetime) -> Situation:
    request, number_id = call.request, call.number.phone_number_id
    media_id = request.content.get("id") if request.type in MEDIA_TYPES else None
    if request.is_template:
        media_id = header_media_id(request.content)
    return Situation(
        number=call.number,
        limits=world.settings.limits,
        recipient=call.recipient,
        window_ends_at=world.windows.get(call.pair),
        pair=world.pairs.get(call.pair, Pacing()),
        throughput=world.throughput.get(number_id, Bucket()),
        closed_window=world.settings.closed_window,
        template=call.template,
        target_known=request.type != "reaction" or world.phones.find(request.content["message_id"], number_id) is not None,
        media_known=media_id is None or world.media.find(media_id, now) is not None,
    )


def _accept(world: World, body: Any, call: _Call, decision: Accept, now: datetime) -> Answer:
    world.pairs[call.pair] = decision.pair
    world.throughput[call.number.phone_number_id] = decision.throughput
    send = _record(world, call, now)
    fails_with = decision.fails_with or call.plan.fails_with
    if call.fault is not None and call.fault.kind == "fail_later":
        fails_with = call.fault.code
    if fails_with is None:
        _show(world, call, send, now)
    lost = call.fault_is("lose_answer") or (call.fault is None and call.plan.answer_lost)
    early = call.fault_is("early_statuses") or (call.fault is None and call.plan.statuses_first)
    before = _statuses(world, send, call.plan, fails_with, early=early)
    answer = {"messaging_product": "whatsapp", "contacts": [_contact(call)], "messages": [{"id": send.wamid}]}
    world.journal.count("sends.accepted", *(["sends.answers_lost"] if lost else []))
    outcome: Literal["accepted", "answer_lost"] = "answer_lost" if lost else "accepted"
    _log(
        world,
        call.number,
        body,
        http=200,
        code=None,
        outcome=outcome,
        answer=answer,
        send=send,
        fault=call.fault.kind if call.fault else None,
    )
    return Answer(200, answer, wait_seconds=_slowness(call), cut=lost, before=tuple(before))


def _slowness(call: _Call) -> float:
    return call.fault.seconds if call.fault is not None and call.fault.kind == "slow_answer" else 0.0


def _record(world: World, call: _Call, now: datetime) -> Send:
    recipient, wamid = call.recipient, world.new_wamid("out")
    entry_ends_at = _entry_point(world, call, now)
    free_left = (
        world.delivered_service[world.month_of(call.number.phone_number_id, now)] < world.settings.limits.free_service_messages_per_month
    )
    send = Send(
        wamid=wamid,
        phone_number_id=call.number.phone_number_id,
        customer=recipient.customer,
        recipient_id=recipient.number or (recipient.customer.visible_phone if recipient.customer else None),
        recipient_user_id=recipient.input if recipient.by == "bsuid" else None,
        type=call.request.type,
        callback_data=call.request.callback_data,
        pricing=pricing_of(call.template, entry_point=entry_ends_at is not None, free_left=free_left),
        conversation=entry_point_conversation(wamid, entry_ends_at) if entry_ends_at else None,
    )
    world.remember(send)
    return send


def _entry_point(world: World, call: _Call, now: datetime) -> datetime | None:
    """Return until when sends to this pair are free: 72 h from the first answer, if it came within 24 h of the ad's message."""
    referred_at = world.referred_at.pop(call.pair, None)
    if referred_at is not None and now - referred_at < ENTRY_POINT_ANSWER_WITHIN:
        world.entry_points[call.pair] = now + ENTRY_POINT_LENGTH
    ends_at = world.entry_points.get(call.pair)
    return ends_at if window_open(ends_at, now) else None


def _show(world: World, call: _Call, send: Send, now: datetime) -> None:
    request, customer = call.request, call.recipient.customer
    if customer is None:
        return
    if request.type == "reaction":
        world.phones.react(request.content["message_id"], send.phone_number_id, who="business", emoji=request.content["emoji"])
        return
    text = outgoing_text(request.type, request.content, call.template)
    bubble = Bubble(send.wamid, "out", send.phone_number_id, request.kind, text, request.content, now, request.context_message_id)
    world.phones.show(customer, bubble)


def _statuses(world: World, send: Send, plan: SendPlan, fails_with: int | None, *, early: bool) -> list[Awaitable[Any]]:
    """Start what follows an acceptance; returns the deliveries that the answer must wait for."""
    steps = plan.steps
    if fails_with is not None:
        world.journal.count("sends.failed_later")
        steps = (replace(steps[0], status="failed"),) if steps else (Step("failed", 0.0),)
    elif send.type == "reaction":
        steps = steps[:1]  # A reaction only ever gets `sent`.
    before: list[Awaitable[Any]] = []
    for step in steps:
        if early and step.status != "read":
            before += [delivery.first for delivery in world.emit_status(send, replace(step, hold_seconds=0.0), fails_with)]
        else:
            world.schedule(send, step, fails_with)
    if early:
        before += [delivery.first for delivery in world.postman.flush()]
    return before


def _contact(call: _Call) -> dict[str, str]:
    """The answer's contact: a phone gives wa_id (as the vendor reads it), a business-scoped id user_id."""
    recipient, request = call.recipient, call.request
    contact = {"input": recipient.input}
    if recipient.number is not None:
        contact["wa_id"] = recipient.number
    if recipient.by == "bsuid":
        contact["user_id"] = recipient.input
    elif request.recipient is not None:
        contact["user_id"] = request.recipient
    return contact


def _read(world: World, number: PhoneNumber, receipt: ReadReceipt) -> Answer:
    newly = world.phones.mark_read(receipt.message_id, number.phone_number_id, world.clock.now())
    if newly is None:
        error = MetaError(131009, "The message_id is not known or is older than 30 days.")
        world.journal.count("receipts.refused")
        world.journal.append("read_receipt", phone_number_id=number.phone_number_id, id=receipt.message_id, code=error.code)
        return Answer(http_status(error), answer_body(error, world.trace_id()))
    world.journal.count("receipts.accepted", *(["typing.shown"] if receipt.typing else []))
    ids = [bubble.wamid for bubble in newly]
    world.journal.append(
        "read_receipt", phone_number_id=number.phone_number_id, id=receipt.message_id, newly_read=ids, typing=receipt.typing
    )
    return Answer(200, {"success": True})


def _log(
    world: World,
    number: PhoneNumber | None,
    body: Any,
    *,
    http: int | None,
    code: int | None,
    outcome: str,
    answer: Any,
    send: Send | None = None,
    fault: str | None = None,
) -> None:
    fields = body if isinstance(body, dict) else {}
    world.journal.append(
        "send",
        outcome=outcome,
        phone_number_id=number.phone_number_id if number else None,
        customer=send.customer.id if send and send.customer else None,
        to=fields.get("to"),
        recipient=fields.get("recipient"),
        type=fields.get("type"),
        send_id=fields.get("biz_opaque_callback_data"),
        wamid=send.wamid if send else None,
        http_status=http,
        code=code,
        fault=fault,
        request=body,
        answer=answer,
    )
