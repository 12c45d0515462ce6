"""What sla remembers of a thread: its windows, its clocks, and the replies whose fate is not known yet.

Everything is bounded: a window per permission, two clocks, PENDING_MAX sends, REPLIES_REMEMBERED_MAX ids.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from shared.events.envelope import Frozen
from shared.events.sends import Permission
from shared.events.shapes import AuthorKind, Content, Customer

PENDING_MAX = 16
"""Sends per thread whose outcome is awaited; of more, the oldest is forgotten: it can no longer be sent in another form."""
PENDING_CONTENT_BYTES_MAX = 16 * 1024
"""A larger content is not kept with its pending send (no channel takes such a text): should it be refused, no other form is tried."""
REPLIES_REMEMBERED_MAX = 32
"""Replies whose outcome is remembered, so that a repeated reply.approved is not sent twice."""

ClockKind = Literal["first_response", "next_response", "resolution"]


class Window(Frozen):
    """One permission that the customer gave by an act at `acted_at`; it holds until `ends_at` (exclusive).

    `next_at` is the next moment at which something is to be said of it (a mark, or its end); None: its end was said.
    """

    permission: str
    acted_at: datetime
    ends_at: datetime
    next_at: datetime | None = None


class Clock(Frozen):
    """A promise that runs since `started_at`.

    Business time is counted as `used_milliseconds` (until the last pause, at `paused_at`) and what the calendar counts from
    `counting_since` on; None there: the clock is paused. `rests`: a bot has answered, so nobody waits for a person just now.
    `due_at` is the moment of the breach, as far as is known; `next_at` the next moment at which something is to be said (None:
    paused, or breached). `warned` counts the warnings that were given.
    """

    kind: ClockKind
    policy: str
    target_seconds: int
    started_at: datetime
    counting_since: datetime | None = None
    paused_at: datetime | None = None
    used_milliseconds: int = 0
    rests: bool = False
    due_at: datetime
    next_at: datetime | None = None
    warned: int = 0
    breached: bool = False


class Pending(Frozen):
    """A send that was requested. It is kept until the channel has sent the message on: until then it may come back.

    `inbound_position` is the customer's last message that the author could have seen. `message_id` is there once the channel
    accepted. `met` is the clock that the acceptance stopped; it runs again should the channel give the message back.
    `content` is None where it was too large to keep.
    """

    send_id: str
    reply_id: str
    conversation_id: str
    attempt: int
    permission: Permission
    marketing: bool
    author: AuthorKind
    content: Content | None = None
    language: str | None = None
    reply_to: str | None = None
    requested_at: datetime
    inbound_position: int
    message_id: str | None = None
    met: Clock | None = None


class SlaState(Frozen):
    """A thread as sla sees it.

    `owner` is as on the topic (`bot`, `queue`, `agent:<id>`, `nobody`). `waiting_since`: the customer's first message that nobody
    has answered yet. `responded`: the first response was given. `inbound_position` is that of the customer's last message,
    `inbound_at` when it was sent. `opted_out` are the scopes (`all`, `marketing`) that the customer does not want;
    `blocked_since` is when the customer left us, or when the channel told us that this customer takes nothing from us: it ends
    when the customer writes again. `asked_back_at` is when the template that asks the customer to come back went out in the place of an
    answer, `asked_back_position` the place of the customer's last message then. `replies` are digests of the replies that were decided on
    (shared.ids.remember_digest).
    """

    channel: str
    account: str
    customer: Customer
    conversation_id: str | None = None
    open: bool = False
    opened_at: datetime | None = None
    language: str | None = None
    department: str | None = None
    priority: int = 0
    owner: str = "nobody"
    snoozed: bool = False
    opted_out: tuple[str, ...] = ()
    blocked_since: datetime | None = None
    inbound_position: int = 0
    inbound_at: datetime | None = None
    waiting_since: datetime | None = None
    responded: bool = False
    windows: tuple[Window, ...] = ()
    response: Clock | None = None
    resolution: Clock | None = None
    asked_back_at: datetime | None = None
    asked_back_position: int = 0
    pending: tuple[Pending, ...] = ()
    replies: str = ""
