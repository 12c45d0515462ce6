"""How replies are put together."""

from __future__ import annotations

from services.bot.core.turn import REPLY_ID_CHARACTERS_MAX, reply_id
from services.bot.core.wording import TEXT_CHARACTERS_MAX, contents, speak
from shared.contact_centre.models import MENU_TEXT_CHARACTERS_MAX
from shared.events.shapes import Menu, Text

OPTIONS = {"menu/a": "A", "menu/b": "B"}


def test_nothing_said_is_no_message() -> None:
    """An empty reply is never asked for."""
    assert contents([], {}) == []


def test_what_is_said_together_is_one_message() -> None:
    """Pieces are apart by an empty line."""
    assert contents(["One.", "Two."], {}) == [Text(text="One.\n\nTwo.")]


def test_what_is_too_long_for_one_message_is_two() -> None:
    """At the seam between two pieces, not inside one."""
    long = "x" * (TEXT_CHARACTERS_MAX - 10)
    assert [content.text for content in contents([long, "y" * 20, "z"], {}) if isinstance(content, Text)] == [long, f"{'y' * 20}\n\nz"]


def test_the_options_stand_below_the_last_piece() -> None:
    """Up to three are buttons, more are a list."""
    (menu,) = contents(["Hello.", "Choose."], OPTIONS)
    assert isinstance(menu, Menu)
    assert (menu.text, menu.style, [option.choice_id for option in menu.options]) == ("Hello.\n\nChoose.", "buttons", ["menu/a", "menu/b"])
    (longer,) = contents(["Choose."], {**OPTIONS, "menu/c": "C", "menu/d": "D"})
    assert isinstance(longer, Menu)
    assert longer.style == "list"


def test_a_long_text_stands_before_the_menu() -> None:
    """A menu takes less text than a message: what does not fit goes before it."""
    long = "x" * MENU_TEXT_CHARACTERS_MAX
    text, menu = contents([long, "Choose."], OPTIONS)
    assert text == Text(text=long)
    assert isinstance(menu, Menu)
    assert menu.text == "Choose."


def test_a_text_is_found_by_tag_then_language_then_fallback() -> None:
    """In this order, and there may be none."""
    texts = {"pt": "Olá", "pt-PT": "Viva", "en": "Hello"}
    assert [speak(texts, language, "en") for language in ("pt-PT", "pt-BR", "zh")] == ["Viva", "Olá", "Hello"]
    assert speak({"pt": "Olá"}, "zh", "en") is None


def test_a_reply_id_is_bounded() -> None:
    """However long the conversation's id, and still its own."""
    one, other = (reply_id(f"{'c' * 500}{number}", 1, 1) for number in (1, 2))
    assert one != other
    assert max(len(one), len(other)) <= REPLY_ID_CHARACTERS_MAX
