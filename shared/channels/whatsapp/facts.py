"""What the readers of a change share, and what they return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from shared import ids
from shared.channels.contract import ItemEvent, ItemIgnored
from shared.channels.whatsapp.identity import CHANNEL_NAME, Profiles, thread_of
from shared.channels.whatsapp.reading import Json
from shared.events.envelope import EventData
from shared.topics import Topic


@dataclass(frozen=True, slots=True)
class Scope:
    """What all items of one change have in common: our number, who is named beside them, and when the webhook came."""

    account: str
    profiles: Profiles
    received_at: datetime


class Fact(NamedTuple):
    """One fact of an item. `kind` and `native_id` make the event id: several facts share the vendor's id of one message."""

    topic: Topic
    customer: str
    kind: str
    native_id: str
    data: EventData
    occurred_at: datetime

    def item(self, account: str, raw: Callable[[], bytes]) -> ItemEvent:
        """Return the fact as ingest takes it."""
        return ItemEvent(
            topic=self.topic,
            thread=thread_of(account, self.customer),
            event_id=ids.webhook_item_id(CHANNEL_NAME, account, self.kind, self.native_id),
            account=account,
            data=self.data,
            occurred_at=self.occurred_at,
            raw=raw,
        )


Found = tuple[Fact | ItemIgnored, ...]
Reader = Callable[[Json, Scope], Found]
"""Reads one item. Raises UnreadableItemError, or pydantic's ValidationError."""
