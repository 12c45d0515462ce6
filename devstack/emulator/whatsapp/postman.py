"""From items to POSTs: batching, copies, signature, raw bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from devstack.emulator.webhooks import Delivery, Webhook, WebhookSender
from devstack.emulator.whatsapp.envelope import Item, Signature, encode, envelope, headers
from devstack.emulator.whatsapp.settings import WhatsAppSettings


@dataclass(frozen=True, slots=True)
class Posting:
    """How one POST goes out: after `delay_seconds`, `copies` times with `copy_interval_seconds` between, signed as said.

    `raw_body` replaces the envelope with exactly these bytes.
    """

    delay_seconds: float = 0.0
    copies: int = 1
    copy_interval_seconds: float = 0.0
    signature: Signature = "good"
    raw_body: bytes | None = None


@dataclass
class Postman:
    """Makes webhooks of items. Queued items wait up to the batch's linger for company; posted ones go out as given."""

    settings: WhatsAppSettings
    sender: WebhookSender
    _number: int = 0
    _waiting: list[Item] = field(default_factory=list)
    _flush: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """Return how many items wait for their batch."""
        return len(self._waiting)

    def post(self, items: list[Item], posting: Posting | None = None) -> list[Delivery]:
        """Send `items` in one POST (each copy is a delivery of its own)."""
        posting = posting or Posting()
        self._number += 1
        body = posting.raw_body if posting.raw_body is not None else encode(envelope(items))
        signed = headers(body, self.settings.app_secret, posting.signature)
        summaries = [item.summary for item in items]
        return [
            self.sender.submit(
                Webhook(f"webhook-{self._number}", self.settings.webhook_url, body, signed, summaries, copy),
                delay_seconds=posting.delay_seconds + (copy - 1) * posting.copy_interval_seconds,
            )
            for copy in range(1, posting.copies + 1)
        ]

    def queue(self, item: Item, posting: Posting) -> list[Delivery]:
        """Send `item` soon, with others where batching is on; one with a way of its own (delay, copies) goes alone."""
        if self.settings.batch_items_max == 1 or posting != Posting():
            return self.post([item], posting)
        self._waiting.append(item)
        if len(self._waiting) >= self.settings.batch_items_max:
            return self.flush()
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(self.settings.batch_linger_seconds, self.flush)
        return []

    def flush(self) -> list[Delivery]:
        """Post what waits."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        waiting, self._waiting = self._waiting, []
        return self.post(waiting) if waiting else []


def outcome_as_json(delivery: Delivery) -> dict[str, Any]:
    """Return what is known of a delivery now."""
    webhook = delivery.webhook
    result: dict[str, Any] = {"webhook_id": webhook.id, "copy": webhook.copy, "http_status": None, "attempts": 0, "error": None}
    latest = delivery.settled if delivery.settled.done() else delivery.first
    if latest.done() and not latest.cancelled():
        attempt = latest.result()
        result |= {"http_status": attempt.http_status, "attempts": attempt.attempt, "error": attempt.error}
    return result
