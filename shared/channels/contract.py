"""What a channel is to the rest of Parley.

A channel is a folder `shared/channels/<name>/` whose package holds `CHANNEL`, a factory (ChannelFactory) of an object of the
protocol below. Ingest verifies and parses with it, outbound renders and interprets with it, sla reads its `policy.yaml`; no code
outside the folder names a channel. Apart from reading its own data files when it is made, a channel does no I/O; it reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from pydantic_settings import BaseSettings

from shared.events.envelope import EventData
from shared.events.sends import SendRequested
from shared.events.shapes import Failure
from shared.topics import Topic


class ChannelSettings(BaseSettings):
    """A channel's settings from the environment (`PARLEY_<CHANNEL>_…`); secrets are SecretStr, so that no log shows them."""


@dataclass(frozen=True, slots=True)
class ItemEvent:
    """One item of a webhook as the event it is. `event_id` is the same for every redelivery of the item.

    `raw` returns the JSON of the item in its envelope, as ItemRejected has it; it is made only when somebody asks (an account
    that is not configured, an event too large for the topic).
    """

    topic: Topic
    thread: str
    event_id: str
    account: str
    data: EventData
    occurred_at: datetime
    raw: Callable[[], bytes] = field(default=bytes, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ItemIgnored:
    """An item that we know and do not need: a success, counted by `kind` (a short name from a bounded set).

    `thread` says whose conversation it touches, where there is one. `notice` is a line for operators where the item is news to
    them (an account restricted, a template paused); it holds no message text and no phone number.
    """

    account: str
    kind: str
    thread: str | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRejected:
    """An item that cannot be the channel's, or that we do not understand: it goes to `rejected`, its neighbours pass.

    `raw` is the JSON of the item in its envelope (as much of it as is needed to parse it again by replay).
    """

    account: str
    reason: Literal["unknown_account", "unparseable", "unknown_kind"]
    explanation: str
    raw: bytes


Item = ItemEvent | ItemIgnored | ItemRejected


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer to a channel's GET: HTTP status and plain-text body."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What outbound sends: the whole address, headers (with the secret) and the body."""

    method: Literal["GET", "POST", "DELETE"]
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel took the send and calls it `message_id`."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel did not take the send; `retry_after_seconds` is its own word or its documented rule, where there is one.

    `maybe_sent`: nothing in the answer says so for certain (a success that names no message, a gateway that gave up waiting), so
    the send is `unknown` until a status with our id comes, and is never repeated blindly.
    """

    failure: Failure
    retry_after_seconds: float | None = None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may send: a token bucket, and a pace per customer with a burst that borrows from the future."""

    sends_per_second: float
    pair_interval_seconds: float = 0.0
    pair_burst: int = 1


@dataclass(frozen=True, slots=True)
class WindowRule:
    """One row of a channel's dated policy: `permission` opens by these kinds of act, for `length_seconds`, from `valid_from` on.

    `opened_by` are names of acts: `message`, `choice`, `reaction`, `comment`, `referral`. `authors` says whom the permission serves.
    """

    permission: str
    opened_by: tuple[str, ...]
    length_seconds: int
    authors: tuple[str, ...] = ("agent", "bot", "integration", "system")
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A channel's rules as dated data. `templates`: it knows approved templates that may go out outside every window.

    `template_languages`: the tags (BCP 47) under which it approves them; none: any.
    """

    channel: str
    channel_class: Literal["messaging", "social", "live"]
    windows: tuple[WindowRule, ...] = ()
    window_needed: bool = True
    templates: bool = False
    template_languages: tuple[str, ...] = ()


class Unrenderable(Exception):  # noqa: N818 # it reads as what it says about the send
    """A content cannot be put into the channel's form (too long, a kind it does not have); the message is for an agent."""


Role = Literal["ingest", "outbound"]
"""What a process does with a channel: it needs other secrets to receive than to send, and none to know the policy."""


class Channel(Protocol):
    """A channel as ingest, sla and outbound see it. One object per process; it holds its settings."""

    @property
    def name(self) -> str:
        """Return the channel's part of a thread id, for example `whatsapp`."""
        ...

    @property
    def policy(self) -> Policy:
        """Return the rules of windows and templates."""
        ...

    def limits(self, account: str) -> Limits:
        """Return what `account` may send."""
        ...

    def missing(self, role: Role) -> tuple[str, ...]:
        """Return the environment variables that `role` needs and that are not set: a service refuses to start without them."""
        ...

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Return the answer to the channel's GET that proves the address is ours."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, *, account: str | None = None) -> bool:
        """Return whether `body` (the raw bytes) was signed by the channel; in constant time. Header names are lower case.

        `account` is the one in the webhook's address, for channels with a secret per account.
        """
        ...

    def parse(self, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        """Return what stands in a verified webhook, item by item, in its order.

        `account` is the one in the webhook's address, for channels whose body does not name it. Never raises for any body: what
        cannot be read becomes an ItemRejected (of the account `unknown`, where nothing names one).
        """
        ...

    def render(self, send: SendRequested) -> HttpRequest:
        """Return the request that sends it. `send_id` travels as the channel's opaque data. Raises Unrenderable."""
        ...

    def interpret(self, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:
        """Return what the channel's answer to a send means; never raises."""
        ...


ChannelFactory = Callable[[], Channel]
"""What a channel's package calls `CHANNEL`: makes the channel with its settings from the environment. Importing makes nothing."""

UNKNOWN_ACCOUNT = "unknown"
"""The account of an item that names none."""


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels of this installation by name."""

    by_name: Mapping[str, Channel] = field(default_factory=dict)

    def get(self, name: str) -> Channel | None:
        """Return the channel called `name`, or None."""
        return self.by_name.get(name)
