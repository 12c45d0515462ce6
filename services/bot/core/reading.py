"""What a message holds for a bot: words, or something that only a person can make sense of."""

from __future__ import annotations

from shared.events.shapes import Contacts, Content, Form, Location, Media, Order, text_of

WORDS_CHARACTERS_MAX = 1000
"""How much of a message is read."""


def words_of(content: Content) -> str | None:
    """Return the words to read in a message, or None where there are none."""
    words = (text_of(content) or "").strip()
    return words[:WORDS_CHARACTERS_MAX] or None


def needs_eyes(content: Content) -> bool:
    """Return whether only a person can make something of the message: pictures, voices, places, cards, forms, orders."""
    match content:
        case Media(media_kind="sticker"):
            return False
        case Media() | Location() | Contacts() | Form() | Order():
            return True
        case _:
            return False
