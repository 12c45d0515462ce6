"""`conversations` (key: thread): what the router decided. Read by bot, sla, desk, insights and integrators."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from shared.events.envelope import EventData, Timestamp
from shared.events.shapes import Author, Content, Customer, Origin


class _Opening(EventData):
    """What a conversation is when it begins (again)."""

    conversation_id: str
    channel: str
    account: str
    customer: Customer
    language: str | None = None
    department: str | None = None
    origin: Origin | None = None
    priority: int = 0


class ConversationOpened(_Opening):
    """A customer wrote and no conversation was open."""

    NAME: ClassVar[str] = "conversation.opened"


class ConversationReopened(_Opening):
    """A closed conversation goes on."""

    NAME: ClassVar[str] = "conversation.reopened"


class ConversationClosed(EventData):
    """A conversation ended."""

    NAME: ClassVar[str] = "conversation.closed"
    conversation_id: str
    reason: str | None = None
    by: Author
    resolved: bool = True


class OwnerChanged(EventData):
    """Someone else answers now. Owners are `bot`, `queue`, `agent:<id>`, `nobody`; `epoch` grows at each change."""

    NAME: ClassVar[str] = "conversation.owner_changed"
    conversation_id: str
    from_: str = Field(alias="from")
    to: str
    epoch: int
    reason: str
    summary: str | None = None


class ConversationUpdated(EventData):
    """Facts about the conversation changed: name → [old, new] (language, department, priority, tags, attributes, state, customer)."""

    NAME: ClassVar[str] = "conversation.updated"
    conversation_id: str
    changes: dict[str, tuple[Any, Any]]


class MessageAppended(EventData):
    """A message took its place in the thread. `position` counts per thread without a gap, from 1.

    `sent_at` is the provider's time for direction `in`, the moment of approval for `out`; `late`: it came after younger ones.
    """

    NAME: ClassVar[str] = "message.appended"
    conversation_id: str
    position: int = Field(ge=1)
    direction: Literal["in", "out"]
    message_id: str | None = None
    reply_id: str | None = None
    author: Author | None = None
    content: Content
    sent_at: Timestamp
    late: bool = False


class MessageChanged(EventData):
    """A message that was appended was edited, taken back or reacted to by the customer; `content` is there after an edit."""

    NAME: ClassVar[str] = "message.changed"
    conversation_id: str
    message_id: str
    change: Literal["edited", "deleted", "reaction"]
    content: Content | None = None
    emoji: str | None = None
    sent_at: Timestamp


class ReplyApproved(EventData):
    """A reply may go out, as far as ownership is concerned; whether the channel's window allows it, sla decides next."""

    NAME: ClassVar[str] = "reply.approved"
    conversation_id: str
    reply_id: str
    author: Author
    content: Content
    language: str | None = None
    epoch: int
    reply_to: str | None = None


class ReplyRejected(EventData):
    """A reply may not go out; `explanation` is for the person who wrote it."""

    NAME: ClassVar[str] = "reply.rejected"
    conversation_id: str | None = None
    reply_id: str
    author: Author
    reason: Literal["stale_epoch", "not_owner", "closed", "no_conversation", "invalid", "left"]
    explanation: str


class CommandRejected(EventData):
    """A command other than a reply could not be carried out."""

    NAME: ClassVar[str] = "command.rejected"
    conversation_id: str | None = None
    command: str
    author: Author
    reason: str
    explanation: str


class NoteAdded(EventData):
    """A colleague left a note."""

    NAME: ClassVar[str] = "note.added"
    conversation_id: str
    author: Author
    text: str


ConversationsData = (
    ConversationOpened
    | ConversationReopened
    | ConversationClosed
    | OwnerChanged
    | ConversationUpdated
    | MessageAppended
    | MessageChanged
    | ReplyApproved
    | ReplyRejected
    | CommandRejected
    | NoteAdded
)
