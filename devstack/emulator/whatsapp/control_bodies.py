"""The bodies of the control requests: what a script may ask of the WhatsApp world."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, PositiveInt

from devstack.emulator.whatsapp.directory import digits
from devstack.emulator.whatsapp.envelope import ITEMS_PER_POST_MAX, Signature
from devstack.emulator.whatsapp.postman import Posting

COPIES_MAX = 100
WAIT_SECONDS_MAX = 60.0


class _Strict(BaseModel):
    """A request body that refuses unknown names."""

    model_config = ConfigDict(extra="forbid")


class CustomerBody(_Strict):
    """A customer. Without `bsuid` one is derived from the phone; null means none (webhooks of before 2026-03-31)."""

    id: str | None = None
    name: str = "Customer"
    phone: Annotated[str, BeforeValidator(lambda phone: digits(str(phone)))] | None = None
    bsuid: str | None = None
    parent_bsuid: str | None = None
    username: str | None = None
    phone_hidden: bool = False
    reachable: bool = True
    stopped_marketing: bool = False


class PostingBody(_Strict):
    """How a POST goes out; None leaves it to the seed. `wait` says what the call waits for before it answers."""

    delay_seconds: NonNegativeFloat | None = None
    copies: Annotated[PositiveInt, Field(le=COPIES_MAX)] | None = None
    copy_interval_seconds: NonNegativeFloat = 0.0
    signature: Signature = "good"
    wait: Literal["none", "attempt", "acknowledged"] = "attempt"
    wait_seconds: Annotated[NonNegativeFloat, Field(le=WAIT_SECONDS_MAX)] = 15.0

    def posting(self, planned: Posting) -> Posting:
        """Return `planned` with what is said here."""
        return replace(
            planned,
            delay_seconds=planned.delay_seconds if self.delay_seconds is None else self.delay_seconds,
            copies=self.copies or planned.copies,
            copy_interval_seconds=self.copy_interval_seconds,
            signature=self.signature,
        )


class MessageFields(_Strict):
    """What a customer writes, and when (`timestamp`, or so many seconds before the rules' now; default now)."""

    phone_number_id: str
    kind: str = "text"
    content: Any = None
    timestamp: AwareDatetime | None = None
    ago_seconds: float | None = None
    context: dict[str, Any] | None = None
    referral: dict[str, Any] | None = None
    group_id: str | None = None
    omit_profile: bool = False


class SendBody(MessageFields, PostingBody):
    """POST /control/customers/{id}/send. With `batch` the item waits for company (the account's batching) instead of going alone."""

    batch: bool = False


class MessageItem(MessageFields):
    """A customer's message among the items of one POST."""

    type: Literal["message"] = "message"
    customer: str


class MessagesBody(PostingBody):
    """POST /control/messages: each message in a POST of its own, one every `interval_seconds`. Made for load."""

    messages: Annotated[list[MessageItem], Field(min_length=1, max_length=ITEMS_PER_POST_MAX)]
    interval_seconds: NonNegativeFloat = 0.0
    wait: Literal["none", "attempt", "acknowledged"] = "none"


class RawMessageItem(_Strict):
    """Any JSON value as an item of `messages` or `statuses`: a malformed neighbour, for instance."""

    type: Literal["raw"]
    phone_number_id: str
    part: Literal["messages", "statuses"] = "messages"
    payload: Any
    contact: dict[str, Any] | None = None


class ValueItem(_Strict):
    """A whole `value` of any field (account_update, history, user_preferences, smb_message_echoes, standby, value errors).

    With `metadata` true the number's metadata and messaging_product are put in front.
    """

    type: Literal["value"]
    phone_number_id: str
    field: str = "messages"
    value: dict[str, Any]
    metadata: bool = True


AnyItem = Annotated[MessageItem | RawMessageItem | ValueItem, Field(discriminator="type")]


class WebhookBody(PostingBody):
    """POST /control/webhooks: several items in one POST, or exactly `raw_body` (text) or `raw_body_base64` (bytes)."""

    items: Annotated[list[AnyItem], Field(max_length=ITEMS_PER_POST_MAX)] = []
    raw_body: str | None = None
    raw_body_base64: str | None = None


class ReadBody(_Strict):
    """POST /control/customers/{id}/read: open the chat with one number or all, up to one message or to the end."""

    phone_number_id: str | None = None
    up_to: str | None = None


class StatusBody(_Strict):
    """POST /control/statuses: one status of an accepted send, by script."""

    wamid: str
    status: Literal["sent", "delivered", "read", "played", "failed"]
    code: int | None = None
    copies: Annotated[PositiveInt, Field(le=COPIES_MAX)] = 1
    delay_seconds: NonNegativeFloat = 0.0


class HandshakeBody(_Strict):
    """POST /control/handshake: the verification GET, by default with the app's own token and a fresh challenge."""

    verify_token: str | None = None
    challenge: str | None = None
