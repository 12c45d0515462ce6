"""What the vendor remembers: customers, how fast they were written to, messages on the customer's phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from devstack.emulator.whatsapp.settings import Limits

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Customer:
    """A person with a phone. `id` is the control interface's name for them.

    `phone` is digits without +. With `phone_hidden` webhooks leave the phone out (a username adopter without recent contact).
    Not `reachable`: everything fails with 131026. `stopped_marketing`: marketing templates fail with 131050.
    """

    id: str
    name: str
    phone: str | None
    bsuid: str | None
    parent_bsuid: str | None = None
    username: str | None = None
    phone_hidden: bool = False
    reachable: bool = True
    stopped_marketing: bool = False

    @property
    def visible_phone(self) -> str | None:
        """Return the phone as far as webhooks may show it."""
        return None if self.phone_hidden else self.phone


@dataclass(frozen=True, slots=True)
class Pacing:
    """The pair limit: one message per interval, bursts borrow from the future.

    `free_at` is when everything borrowed is paid back; a burst of n at once moves it n intervals ahead.
    """

    free_at: datetime = _LONG_AGO

    def has_room(self, now: datetime, limits: Limits) -> bool:
        """Return whether one more message fits at `now`."""
        borrowed_max = timedelta(seconds=limits.pair_interval_seconds * (limits.pair_burst - 1))
        return self.free_at - now <= borrowed_max

    def take(self, now: datetime, limits: Limits) -> Pacing:
        """Return the pacing after one message at `now`."""
        return Pacing(max(self.free_at, now) + timedelta(seconds=limits.pair_interval_seconds))


@dataclass(frozen=True, slots=True)
class Bucket:
    """The number's throughput: `used` of the second's allowance, draining at the allowed rate since `at`."""

    used: float = 0.0
    at: datetime = _LONG_AGO

    def _left(self, now: datetime, per_second: int) -> float:
        return max(0.0, self.used - max(0.0, (now - self.at).total_seconds()) * per_second)

    def has_room(self, now: datetime, per_second: int) -> bool:
        """Return whether one more message fits at `now`."""
        return self._left(now, per_second) + 1 <= per_second

    def take(self, now: datetime, per_second: int) -> Bucket:
        """Return the bucket after one message at `now`, in or out; incoming ones are never refused, so it may overflow by one second."""
        return Bucket(min(self._left(now, per_second) + 1, 2.0 * per_second), max(self.at, now))


@dataclass(slots=True)
class Bubble:
    """One message on the customer's phone, in either direction (`in`: the customer wrote it)."""

    wamid: str
    direction: Literal["in", "out"]
    phone_number_id: str
    kind: str
    text: str
    content: Any
    at: datetime
    reply_to: str | None = None
    statuses: dict[str, datetime] = field(default_factory=dict)
    reactions: dict[str, str] = field(default_factory=dict)
    edited: bool = False
    revoked: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form for the control interface."""
        return {
            "wamid": self.wamid,
            "direction": self.direction,
            "phone_number_id": self.phone_number_id,
            "kind": self.kind,
            "text": self.text,
            "content": self.content,
            "at": self.at.isoformat(),
            "reply_to": self.reply_to,
            "statuses": {status: at.isoformat() for status, at in self.statuses.items()},
            "reactions": self.reactions,
            "edited": self.edited,
            "revoked": self.revoked,
        }


@dataclass(slots=True)
class Send:
    """An accepted send and what became of it."""

    wamid: str
    phone_number_id: str
    customer: Customer | None
    recipient_id: str | None
    recipient_user_id: str | None
    type: str
    callback_data: str | None
    pricing: dict[str, Any]
    conversation: dict[str, Any] | None
    statuses: list[str] = field(default_factory=list)
