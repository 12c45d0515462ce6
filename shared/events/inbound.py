"""`inbound` (key: thread): what customers did. Written by ingest and integrators, read by the router."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from shared.events.envelope import EventData, Timestamp
from shared.events.shapes import Content, Customer, Media, Origin


class MessageReceived(EventData):
    """A customer wrote. `message_id` is the channel's own; `sent_at` is the provider's time, `received_at` ours."""

    NAME: ClassVar[str] = "message.received"
    channel: str
    account: str
    message_id: str
    customer: Customer
    content: Content
    sent_at: Timestamp
    received_at: Timestamp
    reply_to: str | None = None
    forwarded: bool = False
    origin: Origin | None = None
    group_id: str | None = None
    referred_product: str | None = None


class MessageEdited(EventData):
    """A customer changed an earlier message; `message_id` is the original's."""

    NAME: ClassVar[str] = "message.edited"
    message_id: str
    content: Content
    sent_at: Timestamp


class MessageDeleted(EventData):
    """A customer took back an earlier message; `message_id` is the original's."""

    NAME: ClassVar[str] = "message.deleted"
    message_id: str
    sent_at: Timestamp


class ReactionChanged(EventData):
    """A customer reacted to `message_id`, or took the reaction back (`emoji` null)."""

    NAME: ClassVar[str] = "reaction.changed"
    message_id: str
    emoji: str | None
    sent_at: Timestamp

    @model_serializer(mode="wrap")
    def _keep_null(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `emoji` even when it is null: here null means that the reaction is gone."""
        return {"emoji": None, **handler(self)}


class CommentReceived(EventData):
    """Someone commented on a post of ours."""

    NAME: ClassVar[str] = "comment.received"
    comment_id: str
    post_id: str
    parent_id: str | None = None
    text: str | None = None
    media: Media | None = None
    by_account_itself: bool = False
    customer: Customer
    sent_at: Timestamp


class StoryMentioned(EventData):
    """A customer mentioned us in a story, visible until `expires_at`."""

    NAME: ClassVar[str] = "story.mentioned"
    message_id: str
    url: str | None = None
    expires_at: Timestamp | None = None
    customer: Customer
    sent_at: Timestamp


class ThreadReferred(EventData):
    """A customer came in through a link or an ad without writing yet."""

    NAME: ClassVar[str] = "thread.referred"
    origin: Origin
    customer: Customer
    sent_at: Timestamp


class CustomerIdentified(EventData):
    """We learned more about who a customer is. `aliases` are now known, `previous` ended.

    The customer's `id` in both is the thread's own; a number that changed keeps its thread until the customer writes from the new one.
    """

    NAME: ClassVar[str] = "customer.identified"
    channel: str
    account: str
    aliases: Customer
    previous: Customer | None = None
    reason: Literal["number_changed", "id_changed", "contact_shared", "signed_in"]
    sent_at: Timestamp


class CustomerLeft(EventData):
    """A customer closed the thread for good (blocked us, left the channel)."""

    NAME: ClassVar[str] = "customer.left"
    sent_at: Timestamp
    reason: str | None = None


class CustomerOptedOut(EventData):
    """A customer does not want `scope` any more."""

    NAME: ClassVar[str] = "customer.opted_out"
    scope: Literal["all", "marketing"]
    sent_at: Timestamp
    reason: str | None = None


class CustomerOptedIn(EventData):
    """A customer wants `scope` again."""

    NAME: ClassVar[str] = "customer.opted_in"
    scope: Literal["all", "marketing"]
    sent_at: Timestamp
    reason: str | None = None


InboundData = (
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | ReactionChanged
    | CommentReceived
    | StoryMentioned
    | ThreadReferred
    | CustomerIdentified
    | CustomerLeft
    | CustomerOptedOut
    | CustomerOptedIn
)
