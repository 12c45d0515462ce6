"""`commands` (key: thread): what bots, agents and integrators ask of a conversation. Read by the router.

`epoch` is the owner's epoch that the author saw; a command that needs ownership and carries an old epoch is rejected.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.events.envelope import EventData, Timestamp
from shared.events.shapes import Author, Content, TemplateButton, TemplateHeader


class Command(EventData):
    """What all commands carry."""

    author: Author
    epoch: int | None = None


class Reply(Command):
    """Answer the customer. `reply_id` is the author's own and makes a repeated command harmless."""

    NAME: ClassVar[str] = "reply"
    reply_id: str = Field(min_length=1, max_length=256)
    content: Content
    language: str | None = None
    keep_if_closed: bool = False


class AddNote(Command):
    """Leave a note for colleagues; the customer never sees it."""

    NAME: ClassVar[str] = "add_note"
    text: str


class HandOff(Command):
    """Give the conversation to people: it goes to the queue."""

    NAME: ClassVar[str] = "hand_off"
    department: str | None = None
    language: str | None = None
    skill: str | None = None
    priority: int | None = None
    summary: str | None = None


class Assign(Command):
    """Give the conversation to this agent."""

    NAME: ClassVar[str] = "assign"
    agent: str


class Transfer(Command):
    """Pass the conversation on: to an agent, a department or a pool."""

    NAME: ClassVar[str] = "transfer"
    agent: str | None = None
    department: str | None = None
    pool: str | None = None
    note: str | None = None


class Close(Command):
    """End the conversation."""

    NAME: ClassVar[str] = "close"
    reason: str | None = None
    resolved: bool = True


class Reopen(Command):
    """Open the conversation again."""

    NAME: ClassVar[str] = "reopen"


class Snooze(Command):
    """Put the conversation away until a moment, or until the customer writes."""

    NAME: ClassVar[str] = "snooze"
    until: Timestamp | None = None
    until_reply: bool = False


class SetAttribute(Command):
    """Remember something about the conversation; null forgets it."""

    NAME: ClassVar[str] = "set_attribute"
    name: str
    value: str | None = None


class SetLanguage(Command):
    """The conversation is in this language (BCP 47)."""

    NAME: ClassVar[str] = "set_language"
    language: str


class SetPriority(Command):
    """0 is normal, greater is more urgent."""

    NAME: ClassVar[str] = "set_priority"
    priority: int


class Tag(Command):
    """Mark the conversation."""

    NAME: ClassVar[str] = "tag"
    tag: str


class Untag(Command):
    """Take a mark away."""

    NAME: ClassVar[str] = "untag"
    tag: str


class SendTemplate(Command):
    """Send an approved template: by its name, or by what it is for. `reply_id` as in reply; what fills it as in the template."""

    NAME: ClassVar[str] = "send_template"
    reply_id: str = Field(min_length=1, max_length=256)
    purpose: str | None = None
    name: str | None = None
    language: str | None = None
    parameters: tuple[str, ...] = ()
    named_parameters: dict[str, str] = Field(default_factory=dict)
    header: TemplateHeader | None = None
    buttons: tuple[TemplateButton, ...] = ()


class PrivateReply(Command):
    """Answer a public comment in private."""

    NAME: ClassVar[str] = "private_reply"
    comment_id: str
    content: Content


class AskCsat(Command):
    """Ask the customer how it was."""

    NAME: ClassVar[str] = "ask_csat"


CommandsData = (
    Reply
    | AddNote
    | HandOff
    | Assign
    | Transfer
    | Close
    | Reopen
    | Snooze
    | SetAttribute
    | SetLanguage
    | SetPriority
    | Tag
    | Untag
    | SendTemplate
    | PrivateReply
    | AskCsat
)
