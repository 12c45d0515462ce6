"""`rejected` (key: account) and `dead.<reducer>` (key as the source): what could not be used, kept for people to look at and replay."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import EventData, Timestamp


class WebhookRejected(EventData):
    """A webhook, or an item of one, that could not be used. `body` is base64; `headers` are without secrets."""

    NAME: ClassVar[str] = "webhook.rejected"
    channel: str
    account: str
    reason: Literal["unknown_account", "unparseable", "unknown_kind"]
    explanation: str
    body: str
    headers: dict[str, str] = Field(default_factory=dict)
    received_at: Timestamp


class DeadLetter(EventData):
    """A record that a reducer could not take. `key` and `value` are base64 of the record's own."""

    NAME: ClassVar[str] = "dead_letter"
    topic: str
    partition: int
    offset: int
    key: str | None = None
    value: str | None = None
    reason: Literal["invalid", "decide_failed", "parked"]
    error: str
    attempts: int
    version: str
    first_failed_at: Timestamp


RejectedData = WebhookRejected
DeadData = DeadLetter
