"""The vendor's state and everything that changes it: customers act, the business sends, statuses follow.

All methods are synchronous, so each of them is one step; what takes time (delivery of webhooks) is only started here.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import datetime

from devstack.emulator.clock import EmulatorClock
from devstack.emulator.journal import Journal
from devstack.emulator.webhooks import Delivery, WebhookSender
from devstack.emulator.whatsapp.behaviour import SendPlan, Step, plan_send, plan_webhook
from devstack.emulator.whatsapp.directory import Directory
from devstack.emulator.whatsapp.envelope import Item
from devstack.emulator.whatsapp.faults import FaultQueue
from devstack.emulator.whatsapp.inbound import MEDIA_KINDS, Draft, compose, contact_of, generated_bytes
from devstack.emulator.whatsapp.media import WEBHOOK_MEDIA_LIFE, MediaStore
from devstack.emulator.whatsapp.phones import Phones
from devstack.emulator.whatsapp.postman import Posting, Postman
from devstack.emulator.whatsapp.rules import window_end
from devstack.emulator.whatsapp.settings import Behaviour, PhoneNumber, Template, WhatsAppSettings
from devstack.emulator.whatsapp.state import Bubble, Bucket, Customer, Pacing, Send
from devstack.emulator.whatsapp.statuses import status_contact, status_item

SENDS_REMEMBERED_MAX = 100_000
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Written:
    """What a customer's act made: the item to post, and how the seed says it goes out."""

    item: Item
    wamid: str
    posting: Posting


class World:
    """One emulated app: its numbers, its customers, and the day they have."""

    def __init__(self, settings: WhatsAppSettings, clock: EmulatorClock, journal: Journal, sender: WebhookSender) -> None:
        self.settings = settings
        self.behaviour: Behaviour = settings.behaviour
        self.clock = clock
        self.journal = journal
        self.postman = Postman(settings, sender)
        self.directory = Directory(settings.prefix_country_code)
        self.phones = Phones()
        self.media = MediaStore()
        self.faults = FaultQueue()
        self.base_url = ""
        self.numbers: dict[str, PhoneNumber] = {number.phone_number_id: number for number in settings.phone_numbers}
        self.templates: dict[tuple[str, str], Template] = {(t.name, t.language): t for t in settings.templates}
        self.windows: dict[Pair, datetime] = {}
        self.pairs: dict[Pair, Pacing] = {}
        self.throughput: dict[str, Bucket] = {}
        self.sends: OrderedDict[str, Send] = OrderedDict()
        self.referred_at: dict[Pair, datetime] = {}
        self.entry_points: dict[Pair, datetime] = {}
        self.delivered_service: Counter[str] = Counter()
        self.scheduled = 0
        self._run = settings.run or secrets.token_hex(4)
        self._ids = 0
        self._turns: Counter[str] = Counter()

    def new_wamid(self, direction: str) -> str:
        """Return a native message id: `wamid.` and Base64, padding and all."""
        self._ids += 1
        return "wamid." + base64.b64encode(f"{self._run}:{direction}:{self._ids:08d}".encode()).decode()

    def trace_id(self) -> str:
        """Return an `fbtrace_id`."""
        self._ids += 1
        return "A" + base64.urlsafe_b64encode(f"{self._run}{self._ids:08d}".encode()).decode().rstrip("=")

    def number_of(self, phone_number_id: str) -> PhoneNumber:
        """Return a number, also one that is not configured: scripts may write to numbers the receiver does not know."""
        known = self.numbers.get(phone_number_id)
        return known or PhoneNumber(phone_number_id=phone_number_id, waba_id="299999999999999", display_phone_number="15550009999")

    def turn(self, what: str, number: PhoneNumber, customer_id: str) -> str:
        """Return the key of the next `what` between the two: the same script gives the same keys."""
        pair = f"{what}/{number.phone_number_id}/{customer_id}"
        self._turns[pair] += 1
        return f"{pair}/{self._turns[pair]}"

    # Customers act.

    def customer_writes(self, customer: Customer, number: PhoneNumber, draft: Draft, at: datetime) -> Written:
        """Let a customer send something; returns the webhook's item without posting it.

        Raises:
            ContentError: The draft does not fit its kind.
        """
        if draft.kind in MEDIA_KINDS:
            draft = self._with_media(draft, at)
        wamid = self.new_wamid("in")
        composed = compose(draft, customer=customer, number=number, wamid=wamid, at=at)
        pair = (number.phone_number_id, customer.id)
        if draft.kind in self.settings.opening_kinds and draft.group_id is None:
            # The window counts from the second that the webhook names.
            self.windows[pair] = window_end(self.windows.get(pair), at.replace(microsecond=0), self.settings.limits)
        if draft.referral is not None:
            self.referred_at[pair] = at
        self.count_throughput(number)
        contact = None if draft.kind == "system" else contact_of(customer)
        self._apply(
            draft, customer, number, Bubble(wamid, "in", pair[0], draft.kind, composed.text, composed.message, at, _reply_to(draft))
        )
        self.journal.count("messages.created", f"messages.created.{draft.kind}")
        summary = {"item": "message", "id": wamid, "kind": draft.kind, "customer": customer.id, "phone_number_id": pair[0]}
        self.journal.append("message", **{name: value for name, value in summary.items() if name != "kind"}, message_kind=draft.kind)
        plan = plan_webhook(self.behaviour, self.turn("message", number, customer.id))
        posting = Posting(delay_seconds=plan.delay_seconds, copies=plan.copies)
        return Written(Item(number, composed.message, summary, "messages", contact), wamid, posting)

    def _with_media(self, draft: Draft, at: datetime) -> Draft:
        content = draft.content or {}
        media = self.media.put(content.get("mime_type", MEDIA_KINDS[draft.kind]), generated_bytes(content), now=at, life=WEBHOOK_MEDIA_LIFE)
        return Draft(draft.kind, content, draft.context, draft.referral, draft.group_id, self.media.resolve(media, self.base_url, at))

    def _apply(self, draft: Draft, customer: Customer, number: PhoneNumber, bubble: Bubble) -> None:
        """Show the customer's act on their phone, and take over new ids."""
        content = draft.content
        if draft.kind == "reaction":
            self.phones.react(content["message_id"], number.phone_number_id, who=customer.id, emoji=content.get("emoji", ""))
        elif draft.kind in {"edit", "revoke"}:
            original = self.phones.find(content["original_message_id"], number.phone_number_id)
            if original is not None and draft.kind == "edit":
                original.edited, original.text = True, bubble.text
            elif original is not None:
                original.revoked = True
        elif draft.kind == "system":
            self.directory.change_ids(customer, phone=content.get("wa_id"), bsuid=content.get("user_id"))
        elif draft.kind != "request_welcome":
            self.phones.show(customer, bubble)

    def customer_reads(self, customer: Customer, phone_number_id: str | None, up_to: str | None) -> list[str]:
        """Let a customer open the chat: every unread message up to `up_to` (or all) gets its read status."""
        read = []
        for bubble in self.phones.chat(customer, phone_number_id):
            send = self.sends.get(bubble.wamid)
            if send is not None and not {"read", "failed"} & set(send.statuses):
                self.emit_status(send, Step("read", 0.0))
                read.append(bubble.wamid)
            if bubble.wamid == up_to:
                break
        return read

    # Statuses follow.

    def count_throughput(self, number: PhoneNumber) -> None:
        """Count an incoming message against the number's throughput (in and out together)."""
        bucket = self.throughput.get(number.phone_number_id, Bucket())
        self.throughput[number.phone_number_id] = bucket.take(self.clock.now(), self.settings.limits.throughput_per_second)

    def remember(self, send: Send) -> None:
        """Keep an accepted send, forgetting the oldest beyond the bound."""
        self.sends[send.wamid] = send
        if len(self.sends) > SENDS_REMEMBERED_MAX:
            self.sends.popitem(last=False)

    def plan(self, number: PhoneNumber, customer: Customer | None) -> SendPlan:
        """Return what the seed has in store for the next send of this pair."""
        return plan_send(self.behaviour, self.turn("send", number, customer.id if customer else "nobody"))

    def schedule(self, send: Send, step: Step, error_code: int | None = None) -> None:
        """Let a status happen after its delay."""
        self.scheduled += 1
        asyncio.get_running_loop().call_later(step.after_seconds, self._happen, send, step, error_code)

    def _happen(self, send: Send, step: Step, error_code: int | None) -> None:
        self.scheduled -= 1
        # The customer may have opened the chat before by script.
        if step.status not in send.statuses:
            self.emit_status(send, step, error_code)
        self.journal.wake()

    def emit_status(self, send: Send, step: Step, error_code: int | None = None) -> list[Delivery]:
        """Make one status happen now and post it."""
        now = self.clock.now()
        number = self.number_of(send.phone_number_id)
        payload = status_item(send, step.status, now, error_code=error_code)
        self._note_status(send, step.status, now)
        summary = {"item": "status", "id": send.wamid, "status": step.status, "send_id": send.callback_data, "code": error_code}
        self.journal.count("statuses.created", f"statuses.created.{step.status}")
        self.journal.append("status", **summary, phone_number_id=send.phone_number_id, customer=send.customer.id if send.customer else None)
        contact = status_contact(send.customer, step.status) if send.customer else None
        posting = Posting(delay_seconds=step.hold_seconds, copies=step.copies)
        return self.postman.queue(Item(number, payload, summary, "statuses", contact), posting)

    def _note_status(self, send: Send, status: str, now: datetime) -> None:
        first_delivery = status in {"delivered", "read"} and not {"delivered", "read"} & set(send.statuses)
        if first_delivery and send.pricing.get("category") == "service":
            self.delivered_service[self.month_of(send.phone_number_id, now)] += 1
        send.statuses.append(status)
        bubble = self.phones.find(send.wamid, send.phone_number_id)
        if bubble is not None:
            bubble.statuses[status] = now

    def month_of(self, phone_number_id: str, now: datetime) -> str:
        """Return the key under which a number's free messages are counted."""
        return f"{phone_number_id}/{now:%Y-%m}"

    @property
    def pending(self) -> int:
        """Return how many webhooks and statuses are still to come."""
        return self.scheduled + self.postman.pending + self.postman.sender.pending


def _reply_to(draft: Draft) -> str | None:
    context = draft.context or {}
    return context.get("message_id") or context.get("id")
