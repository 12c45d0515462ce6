"""Shapes that several events share: customers, authors, origins, failures, message content."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from shared.events.envelope import Frozen


class Customer(Frozen):
    """A customer on one channel. `id` is the thread's customer part; the others are aliases as far as known.

    `phone` is E.164 with +; `username` is for display only (it can change hands).
    """

    id: str
    phone: str | None = None
    business_scoped_id: str | None = None
    parent_id: str | None = None
    username: str | None = None
    display_name: str | None = None
    email: str | None = None
    locale: str | None = None


class AuthorKind(StrEnum):
    """Who writes: some permissions are for people only."""

    AGENT = "agent"
    BOT = "bot"
    INTEGRATION = "integration"
    SYSTEM = "system"


class Author(Frozen):
    """Who wrote a reply, a note or a command."""

    kind: AuthorKind
    id: str
    name: str | None = None


class Origin(Frozen):
    """Where the customer came from: an ad, a post, a link."""

    kind: Literal["ad", "post", "story", "comment", "link", "qr", "page_button", "other"]
    id: str | None = None
    url: str | None = None
    title: str | None = None
    body: str | None = None
    payload: str | None = None
    media_url: str | None = None
    click_id: str | None = None


class FailureClass(StrEnum):
    """What outbound does about a refused send."""

    RETRY = "retry"
    SLOW_LANE = "slow_lane"
    WAIT = "wait"
    TEMPLATE_NEEDED = "template_needed"
    OTHER_CHANNEL = "other_channel"
    STOP_ACCOUNT = "stop_account"
    DEAD_LETTER = "dead_letter"
    SUPPRESS = "suppress"


class Failure(Frozen):
    """Why a channel refused. `code` and `subcode` are the vendor's; `explanation` is a sentence for an agent."""

    code: str
    subcode: str | None = None
    title: str | None = None
    class_: FailureClass = Field(alias="class")
    explanation: str


class Text(Frozen):
    """Plain text."""

    kind: Literal["text"] = "text"
    text: str


class Media(Frozen):
    """A file: by the channel's id, or by an address. The caption is the text."""

    kind: Literal["media"] = "media"
    media_kind: Literal["image", "video", "audio", "voice", "document", "sticker"]
    media_id: str | None = None
    url: str | None = None
    mime_type: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    caption: str | None = None
    filename: str | None = None
    animated: bool | None = None


class Location(Frozen):
    """A place, in degrees (WGS 84)."""

    kind: Literal["location"] = "location"
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: str | None = None
    address: str | None = None
    url: str | None = None


class ContactCard(Frozen):
    """A shared contact; it is not the sender."""

    name: str | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    vcard: str | None = None


class Contacts(Frozen):
    """Shared contacts."""

    kind: Literal["contacts"] = "contacts"
    contacts: tuple[ContactCard, ...]


class Choice(Frozen):
    """The customer tapped something that we offered."""

    kind: Literal["choice"] = "choice"
    choice_id: str
    title: str | None = None
    description: str | None = None
    via: Literal["button", "list", "quick_reply", "template", "flow", "ice_breaker"]


class Form(Frozen):
    """The customer filled in a form; `values` as the form names them."""

    kind: Literal["form"] = "form"
    values: dict[str, Any]
    form_id: str | None = None


class OrderItem(Frozen):
    """One line of an order; `unit_price` in the major unit of `currency`, as the channel wrote it."""

    product_id: str
    quantity: int | None = None
    unit_price: str | None = None
    currency: str | None = None


class Order(Frozen):
    """A cart that the customer sent."""

    kind: Literal["order"] = "order"
    catalog_id: str
    items: tuple[OrderItem, ...]
    text: str | None = None


class MenuOption(Frozen):
    """One option of a menu."""

    choice_id: str
    title: str
    description: str | None = None


class Menu(Frozen):
    """Options to tap (outbound only)."""

    kind: Literal["menu"] = "menu"
    text: str
    options: tuple[MenuOption, ...] = Field(min_length=1)
    style: Literal["buttons", "list", "quick_replies"] = "buttons"


class TemplateHeaderText(Frozen):
    """What fills the one placeholder of a template's text header; `name` where the template names its placeholders."""

    kind: Literal["text"] = "text"
    text: str
    name: str | None = None


TemplateHeader = Annotated[TemplateHeaderText | Media | Location, Field(discriminator="kind")]
"""What goes above a template's body, told apart by `kind`: words, a file (image, video, document) or a place."""


class TemplateButton(Frozen):
    """What fills a button of a template. `index` is its place among the template's buttons, counted from 0.

    `value`: what a quick reply answers with, the end of a web address, the code to copy, or the token of a form (`flow`); `values`:
    what a form's first screen is filled with.
    """

    index: int = Field(ge=0)
    kind: Literal["quick_reply", "url", "copy_code", "flow"]
    value: str
    values: dict[str, Any] = Field(default_factory=dict)


class Template(Frozen):
    """A template approved by the channel (outbound only). `language` is the tag under which the channel approved it.

    The body is filled by `parameters` in their order, or by `named_parameters` where the template names its placeholders.
    """

    kind: Literal["template"] = "template"
    name: str
    language: str
    parameters: tuple[str, ...] = ()
    named_parameters: dict[str, str] = Field(default_factory=dict)
    header: TemplateHeader | None = None
    buttons: tuple[TemplateButton, ...] = ()


class Reaction(Frozen):
    """Our reaction to a message (outbound only); an empty `emoji` takes it back."""

    kind: Literal["reaction"] = "reaction"
    message_id: str
    emoji: str = ""


class Unsupported(Frozen):
    """The customer sent something that the channel does not hand on."""

    kind: Literal["unsupported"] = "unsupported"
    raw_kind: str
    code: str | None = None


Content = Annotated[
    Text | Media | Location | Contacts | Choice | Form | Order | Menu | Template | Reaction | Unsupported, Field(discriminator="kind")
]
"""What a message holds, told apart by `kind`."""


def text_of(content: Content) -> str | None:
    """Return the words a person would read in `content`, or None where there are none."""
    match content:
        case Text(text=text) | Menu(text=text):
            return text
        case Media(caption=caption):
            return caption
        case Choice(title=title):
            return title
        case Order(text=text):
            return text
        case _:
            return None
