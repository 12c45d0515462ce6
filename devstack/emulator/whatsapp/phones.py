"""The customers' phones: what each of them sees in the chat with each business number."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from devstack.emulator.whatsapp.settings import Template
from devstack.emulator.whatsapp.state import Bubble, Customer
from devstack.emulator.whatsapp.templates import render

CONVERSATION_BUBBLES_MAX = 500
BUBBLES_MAX = 100_000
READ_RECEIPT_WITHIN = timedelta(days=30)


@dataclass
class Phones:
    """All chats. Bounded: per customer and in all, the oldest bubbles are forgotten."""

    _chats: dict[str, deque[Bubble]] = field(default_factory=dict)
    _bubbles: OrderedDict[str, tuple[str, Bubble]] = field(default_factory=OrderedDict)

    def show(self, customer: Customer, bubble: Bubble) -> None:
        """Add a message to the customer's chat."""
        self._chats.setdefault(customer.id, deque(maxlen=CONVERSATION_BUBBLES_MAX)).append(bubble)
        self._bubbles[bubble.wamid] = (customer.id, bubble)
        if len(self._bubbles) > BUBBLES_MAX:
            self._bubbles.popitem(last=False)

    def chat(self, customer: Customer, phone_number_id: str | None = None) -> list[Bubble]:
        """Return what the customer sees, oldest first, with one number or with all."""
        bubbles = self._chats.get(customer.id, ())
        return [bubble for bubble in bubbles if phone_number_id in {None, bubble.phone_number_id}]

    def find(self, wamid: str, phone_number_id: str) -> Bubble | None:
        """Return a message of one number's chats."""
        bubble = self._bubbles.get(wamid, (None, None))[1]
        return bubble if bubble is not None and bubble.phone_number_id == phone_number_id else None

    def react(self, wamid: str, phone_number_id: str, *, who: str, emoji: str) -> None:
        """Put `who`'s reaction on a message, or take it back with an empty emoji."""
        bubble = self.find(wamid, phone_number_id)
        if bubble is not None and emoji:
            bubble.reactions[who] = emoji
        elif bubble is not None:
            bubble.reactions.pop(who, None)

    def mark_read(self, wamid: str, phone_number_id: str, at: datetime) -> list[Bubble] | None:
        """Mark a customer's message and all earlier ones of that chat as read by the business.

        Returns:
            The newly read ones, or None when there is no such message or it is older than 30 days.
        """
        customer_id, target = self._bubbles.get(wamid, (None, None))
        if target is None or customer_id is None or target.direction != "in" or target.phone_number_id != phone_number_id:
            return None
        if at - target.at > READ_RECEIPT_WITHIN:
            return None
        read = [b for b in self._chats[customer_id] if b.direction == "in" and b.phone_number_id == phone_number_id and b.at <= target.at]
        newly = [bubble for bubble in read if "read" not in bubble.statuses]
        for bubble in newly:
            bubble.statuses["read"] = at
        return newly


def outgoing_text(message_type: str, content: Any, template: Template | None) -> str:
    """Return what the customer reads of a business's message."""
    if message_type == "template" and template is not None:
        return render(content, template)
    if message_type == "text":
        return str(content["body"])
    if message_type == "interactive":
        return str(content["body"]["text"])
    if message_type == "contacts":
        return f"[{len(content)} contacts]"
    if message_type == "location":
        return str(content.get("name") or "[location]")
    return str(content.get("caption") or f"[{message_type}]")
