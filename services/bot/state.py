"""What the bot remembers of one thread."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.events.envelope import Frozen, Timestamp
from shared.events.shapes import Content


class Message(Frozen):
    """A customer's message as the bot sees it. `position` is its place in the thread."""

    position: int
    content: Content
    sent_at: Timestamp
    late: bool = False


class BotState(Frozen):
    """The state of one thread: the open conversation if there is one, and what must outlive it.

    `owner` and `epoch` are as the last owner_changed said; None until there was one. `step` is where the flow waits; None:
    the bot listens. `leaving` is what it asked of the router and has not seen done: it is silent meanwhile. `pending` came
    before the owner was known. Messages at or below `settled_position` are never looked at again.
    """

    conversation_id: str | None = None
    channel: str | None = None
    account: str | None = None
    language: str | None = None
    department: str | None = None
    owner: str | None = None
    epoch: int | None = None
    greeted: bool = False
    started: bool = False
    step: str | None = None
    misses: int = 0
    attributes: dict[str, str] = Field(default_factory=dict)
    leaving: Literal["hand_off", "close"] | None = None
    pending: Message | None = None
    answered_sent_at: Timestamp | None = None
    settled_position: int = 0
    rejected_replies: int = 0
    rejected_commands: int = 0
