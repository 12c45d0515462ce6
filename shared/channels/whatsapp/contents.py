"""What a message holds: each of the vendor's kinds as our content (table of kinds in README.md)."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from shared.channels.whatsapp.identity import phones_of
from shared.channels.whatsapp.reading import (
    Json,
    UnreadableItemError,
    as_object,
    integer_in,
    list_in,
    number_in,
    object_in,
    optional_object,
    optional_text,
    text_in,
)
from shared.events.shapes import Choice, ContactCard, Contacts, Content, Form, Location, Media, Order, OrderItem, Text, Unsupported


def read_content(message: Json) -> Content:
    """Return the content of `message`, which is told by its `type`. Raises UnreadableItemError.

    A known kind whose body the vendor did not hand on, with an error in its place (a file above 100 MB: 131052), is `unsupported`.
    """
    kind = text_in(message, "type")
    reader = _READERS.get(kind)
    if reader is None:
        raise UnreadableItemError("a kind of message that is not known", "unknown_kind")
    if kind not in message and list_in(message, "errors"):
        return _unsupported(message)
    return reader(message)


def _text(message: Json) -> Content:
    body = optional_text(object_in(message, "text"), "body")
    if body is None:
        raise UnreadableItemError("body is missing")
    return Text(text=body)


def _media(message: Json) -> Content:
    kind = text_in(message, "type")
    media = object_in(message, kind)
    media_id, url = optional_text(media, "id"), optional_text(media, "url")
    if not (media_id or url):
        raise UnreadableItemError("the file has neither id nor url")
    media_kind = "voice" if kind == "audio" and media.get("voice") is True else kind
    animated = media.get("animated")
    return Media.model_validate(
        {
            "media_kind": media_kind,
            "media_id": media_id,
            "url": url,
            "mime_type": optional_text(media, "mime_type"),
            "sha256": optional_text(media, "sha256"),
            "caption": optional_text(media, "caption"),
            "filename": optional_text(media, "filename"),
            "animated": animated if isinstance(animated, bool) else None,
        }
    )


def _location(message: Json) -> Content:
    place = object_in(message, "location")
    return Location(
        latitude=number_in(place, "latitude"),
        longitude=number_in(place, "longitude"),
        name=optional_text(place, "name"),
        address=optional_text(place, "address"),
        url=optional_text(place, "url"),
    )


def _contacts(message: Json) -> Content:
    cards = [as_object(card, "contacts[]") for card in list_in(message, "contacts")]
    if not cards:
        raise UnreadableItemError("contacts is empty")
    return Contacts(contacts=tuple(_card(card) for card in cards))


def _card(card: Json) -> ContactCard:
    emails = [as_object(entry, "emails[]") for entry in list_in(card, "emails")]
    return ContactCard(
        name=optional_text(optional_object(card, "name"), "formatted_name"),
        phones=phones_of(card),
        emails=tuple(email for entry in emails if (email := optional_text(entry, "email"))),
        vcard=optional_text(card, "vcard"),
    )


def _interactive(message: Json) -> Content:
    answer = object_in(message, "interactive")
    match text_in(answer, "type"):
        case "button_reply":
            button = object_in(answer, "button_reply")
            return Choice(choice_id=text_in(button, "id"), title=optional_text(button, "title"), via="button")
        case "list_reply":
            row = object_in(answer, "list_reply")
            return Choice(
                choice_id=text_in(row, "id"),
                title=optional_text(row, "title"),
                description=optional_text(row, "description"),
                via="list",
            )
        case "nfm_reply":
            form = object_in(answer, "nfm_reply")
            return Form(values=_form_values(text_in(form, "response_json")), form_id=optional_text(form, "name"))
        case _:
            raise UnreadableItemError("a kind of interactive answer that is not known", "unknown_kind")


def _form_values(response_json: str) -> Json:
    """Return the answers of a form, which travel as JSON inside a text."""
    try:
        values = orjson.loads(response_json)
    except orjson.JSONDecodeError:
        raise UnreadableItemError("response_json is no JSON") from None
    return as_object(values, "response_json")


def _template_button(message: Json) -> Content:
    button = object_in(message, "button")
    title = optional_text(button, "text")
    return Choice(choice_id=optional_text(button, "payload") or title or text_in(button, "payload"), title=title, via="template")


def _order(message: Json) -> Content:
    order = object_in(message, "order")
    items = [as_object(item, "product_items[]") for item in list_in(order, "product_items")]
    return Order(
        catalog_id=text_in(order, "catalog_id"), items=tuple(_order_item(item) for item in items), text=optional_text(order, "text")
    )


def _order_item(item: Json) -> OrderItem:
    price = item.get("item_price")
    return OrderItem(
        product_id=text_in(item, "product_retailer_id"),
        quantity=None if item.get("quantity") is None else integer_in(item, "quantity"),
        unit_price=str(number_in(item, "item_price")) if isinstance(price, float) else optional_text(item, "item_price"),
        currency=optional_text(item, "currency"),
    )


def _unsupported(message: Json) -> Content:
    """Return what the vendor does not hand on. The kind's name is new since 2025-11-03 and from an open set."""
    kind = text_in(message, "type")
    errors = list_in(message, "errors")
    code = optional_text(as_object(errors[0], "errors[]"), "code") if errors else None
    named = optional_text(optional_object(message, kind), "type") if kind in {"unsupported", "unknown"} else kind
    return Unsupported(raw_kind=named or kind, code=code)


_READERS: dict[str, Callable[[Json], Content]] = {
    "text": _text,
    "image": _media,
    "video": _media,
    "audio": _media,
    "document": _media,
    "sticker": _media,
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _template_button,
    "order": _order,
    "unsupported": _unsupported,
    "unknown": _unsupported,
}
