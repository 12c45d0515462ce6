"""What becomes of the items of one webhook: records for the topics, and counts. Pure: no I/O and no clock.

Each item stands for itself. What is an event of an account of ours goes to its topic; what cannot be used goes to `rejected`,
where people look at it and replay it; what is known and not needed is counted.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from shared import ids
from shared.channels.contract import UNKNOWN_ACCOUNT, Item, ItemEvent, ItemIgnored, ItemRejected
from shared.events.envelope import Event, EventData, encode_event
from shared.events.rejected import WebhookRejected
from shared.topics import REJECTED, Topic

SOURCE = "parley/ingest"
EVENT_BYTES_MAX = 256 * 1024
"""Largest event of one item: it is carried inside other events and states further on, which must fit into a record too."""
REJECTED_BODY_BYTES_MAX = 512 * 1024
"""What is kept of an item that cannot be used; in base64 it fits into a record with room to spare."""
ACCOUNT_CHARACTERS_MAX = 200
"""An account in an address may be anything; as the key of a record it is cut."""
HEADERS_KEPT = frozenset({"content-type", "content-length", "content-encoding", "user-agent"})
"""Headers that go to `rejected`: none of them can hold a secret."""
HEADER_CHARACTERS_MAX = 500


class IntakeRecord(NamedTuple):
    """One event for `topic` under `key`: its id, what it says, and the event as it stands on the topic."""

    topic: Topic
    key: str
    event_id: str
    data: EventData
    value: bytes

    @property
    def event(self) -> Event[Any]:
        """Return the event as whoever reads the topic sees it."""
        return self.topic.decode(self.value)


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """What became of the items: accepted by the event's name, ignored by kind, rejected by reason. All from bounded sets."""

    accepted: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """News for operators about an account; without message text and phone numbers."""

    account: str
    text: str


@dataclass(frozen=True, slots=True)
class Intake:
    """Everything that follows from one webhook. `records` are in the order of the items."""

    records: tuple[IntakeRecord, ...]
    counts: IntakeCounts
    notices: tuple[Notice, ...] = ()


class IntakeMetrics(Protocol):
    """What ingest counts. `channel` is one of the installed ones or `unknown`."""

    def answered(self, channel: str, status: int, seconds: float) -> None:
        """Count one request by its HTTP status; `seconds` from its first byte to the answer."""
        ...

    def taken_in(self, channel: str, counts: IntakeCounts) -> None:
        """Count the items of a webhook whose records are acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """What all items of one webhook have in common. `account` is the one in the address, where it names one."""

    channel: str
    received_at: datetime
    account: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None


def accept(items: Iterable[Item], webhook: Webhook, known_accounts: Container[str]) -> Intake:
    """Return what is to be published for `items`.

    `known_accounts` holds `<channel>:<account>` for every account that is configured. An item that stands twice in one webhook
    counts once.
    """
    records: dict[str, IntakeRecord] = {}
    accepted: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    duplicates = 0
    notices: list[Notice] = []
    for item in items:
        if isinstance(item, ItemIgnored):
            ignored[item.kind] += 1
            if item.notice is not None:
                notices.append(Notice(item.account, item.notice))
            continue
        record = _record(item, webhook, known_accounts)
        if record.event_id in records:
            duplicates += 1
            continue
        records[record.event_id] = record
        data = record.data
        if isinstance(data, WebhookRejected):
            rejected[data.reason] += 1
        else:
            accepted[data.NAME] += 1
    return Intake(tuple(records.values()), IntakeCounts(accepted, ignored, rejected, duplicates), tuple(notices))


def _record(item: ItemEvent | ItemRejected, webhook: Webhook, known_accounts: Container[str]) -> IntakeRecord:
    """Return the record of an item: on its own topic where it can be used, else on `rejected`."""
    if isinstance(item, ItemRejected):
        return _rejected(webhook, item.account, item.reason, item.explanation, item.raw)
    if f"{webhook.channel}:{item.account}" not in known_accounts:
        explanation = f"no account {webhook.channel}:{item.account} is configured"
        return _rejected(webhook, item.account, "unknown_account", explanation, item.raw())
    if not (0 < len(item.event_id) <= ids.ID_LENGTH_MAX and 0 < len(item.thread) <= ids.ID_LENGTH_MAX):
        return _rejected(webhook, item.account, "unparseable", "the item's ids do not fit into an event", item.raw())
    try:
        value = encode_event(
            item.data,
            event_id=item.event_id,
            source=SOURCE,
            subject=item.thread,
            time=item.occurred_at,
            traceparent=webhook.traceparent,
        )
    except (ValueError, TypeError):
        # pydantic's errors are ValueErrors, orjson's TypeErrors; their messages repeat content, so they are not passed on.
        return _rejected(webhook, item.account, "unparseable", "the item cannot be written as an event", item.raw())
    if len(value) > EVENT_BYTES_MAX:
        return _rejected(webhook, item.account, "unparseable", f"the event is larger than {EVENT_BYTES_MAX} bytes", item.raw())
    return IntakeRecord(item.topic, item.thread, item.event_id, item.data, value)


def _rejected(
    webhook: Webhook, account: str, reason: Literal["unknown_account", "unparseable", "unknown_kind"], explanation: str, raw: bytes
) -> IntakeRecord:
    """Return the record that keeps what could not be used. Its id is the same for every redelivery."""
    filed_under = (account or webhook.account or UNKNOWN_ACCOUNT)[:ACCOUNT_CHARACTERS_MAX]
    kept = raw[:REJECTED_BODY_BYTES_MAX]
    if len(kept) < len(raw):
        explanation = f"{explanation} (the first {len(kept)} of {len(raw)} bytes are kept)"
    data = WebhookRejected(
        channel=webhook.channel,
        account=filed_under,
        reason=reason,
        explanation=explanation,
        body=base64.b64encode(kept).decode(),
        headers={name: text[:HEADER_CHARACTERS_MAX] for name, text in webhook.headers.items() if name in HEADERS_KEPT},
        received_at=webhook.received_at,
    )
    event_id = ids.webhook_item_id(webhook.channel, filed_under, f"rejected.{reason}", hashlib.sha256(raw).hexdigest())
    value = encode_event(
        data, event_id=event_id, source=SOURCE, subject=filed_under, time=webhook.received_at, traceparent=webhook.traceparent
    )
    return IntakeRecord(REJECTED, filed_under, event_id, data, value)
