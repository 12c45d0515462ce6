"""Our content as the vendor's: the type and its object ("Send messages", 2025-11-04). The bounds are in policy.yaml."""

from __future__ import annotations

from shared.channels.contract import Unrenderable
from shared.channels.whatsapp.policy import ContentLimits, Rules
from shared.channels.whatsapp.reading import Json
from shared.channels.whatsapp.render_menu import render_menu
from shared.channels.whatsapp.render_template import render_template
from shared.events.shapes import ContactCard, Contacts, Content, Location, Media, Menu, Reaction, Template, Text

_TYPE_OF_MEDIA = {"voice": "audio"}
"""Where our kind of file has another name there."""
_WITHOUT_CAPTION = frozenset({"audio", "voice", "sticker"})


def render_content(content: Content, rules: Rules, list_button: str) -> Json:
    """Return `{type: …, <type>: {…}}`. `list_button` stands on the button that opens a list. Raises Unrenderable."""
    limits = rules.content
    rendered: Json
    match content:
        case Text():
            rendered = _text(content, limits)
        case Media():
            rendered = _media(content, limits)
        case Menu():
            rendered = render_menu(content, limits, list_button)
        case Template():
            rendered = render_template(content, limits, rules.policy.template_languages)
        case Reaction():
            rendered = {"type": "reaction", "reaction": {"message_id": content.message_id, "emoji": content.emoji}}
        case Location():
            rendered = _location(content)
        case Contacts():
            rendered = _contacts(content, limits)
        case _:
            raise Unrenderable(f"A business cannot send content of the kind {content.kind} on WhatsApp.")
    return rendered


def _text(content: Text, limits: ContentLimits) -> Json:
    if not content.text.strip():
        raise Unrenderable("The message is empty.")
    if len(content.text) > limits.text_characters:
        raise Unrenderable(
            f"The text has {len(content.text)} characters; WhatsApp takes {limits.text_characters}. Send it in several messages."
        )
    return {"type": "text", "text": {"body": content.text}}


def _media(content: Media, limits: ContentLimits) -> Json:
    kind = _TYPE_OF_MEDIA.get(content.media_kind, content.media_kind)
    media: Json = _file(content)
    if content.caption:
        if content.media_kind in _WITHOUT_CAPTION:
            raise Unrenderable(
                f"WhatsApp shows no caption on a file of the kind {content.media_kind}. Send the text as a message of its own."
            )
        if len(content.caption) > limits.caption_characters:
            raise Unrenderable(f"The caption has {len(content.caption)} characters; WhatsApp takes {limits.caption_characters}.")
        media["caption"] = content.caption
    if content.filename and content.media_kind == "document":
        media["filename"] = content.filename
    return {"type": kind, kind: media}


def _file(content: Media) -> Json:
    """Return where the vendor finds the file: its own id for it, or an address that it fetches."""
    if content.media_id:
        return {"id": content.media_id}
    if content.url and content.url.startswith(("https://", "http://")):
        return {"link": content.url}
    raise Unrenderable("The file has neither an id nor a web address that WhatsApp could fetch it from.")


def _location(content: Location) -> Json:
    location: Json = {"latitude": content.latitude, "longitude": content.longitude}
    location |= {name: value for name, value in (("name", content.name), ("address", content.address)) if value}
    return {"type": "location", "location": location}


def _contacts(content: Contacts, limits: ContentLimits) -> Json:
    if not 1 <= len(content.contacts) <= limits.contacts:
        raise Unrenderable(f"WhatsApp takes 1 to {limits.contacts} contacts in a message.")
    return {"type": "contacts", "contacts": [_card(card) for card in content.contacts]}


def _card(card: ContactCard) -> Json:
    if not card.name:
        raise Unrenderable("A contact needs a name on WhatsApp.")
    contact: Json = {"name": {"formatted_name": card.name, "first_name": card.name}}
    if card.phones:
        contact["phones"] = [{"phone": phone} for phone in card.phones]
    if card.emails:
        contact["emails"] = [{"email": email} for email in card.emails]
    return contact
