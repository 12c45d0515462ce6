"""A menu as reply buttons where it fits, else as a list ("Interactive list", "Interactive reply buttons"; bounds in policy.yaml).

Buttons are one tap, a list is two: so buttons are taken unless a list is asked for, or the menu needs one.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.channels.contract import Unrenderable
from shared.channels.whatsapp.policy import ContentLimits
from shared.channels.whatsapp.reading import Json
from shared.events.shapes import Menu, MenuOption


def render_menu(menu: Menu, limits: ContentLimits, list_button: str) -> Json:
    """Return the interactive message. Raises Unrenderable where the menu fits neither form."""
    _check_distinct(menu)
    if menu.style != "list" and not any(_against_buttons(menu, limits)):
        return _interactive("button", menu.text, {"buttons": [_button(option) for option in menu.options]})
    against = next(_against_list(menu, limits), None)
    if against is not None:
        raise Unrenderable(against)
    section = {"rows": [_row(option) for option in menu.options]}
    return _interactive("list", menu.text, {"button": list_button[: limits.list_button_characters], "sections": [section]})


def _interactive(kind: str, text: str, action: Json) -> Json:
    return {"type": "interactive", "interactive": {"type": kind, "body": {"text": text}, "action": action}}


def _button(option: MenuOption) -> Json:
    return {"type": "reply", "reply": {"id": option.choice_id, "title": option.title}}


def _row(option: MenuOption) -> Json:
    row = {"id": option.choice_id, "title": option.title}
    return {**row, "description": option.description} if option.description else row


def _check_distinct(menu: Menu) -> None:
    """Refuse a menu of which one could not tell what was chosen."""
    if len({option.choice_id for option in menu.options}) < len(menu.options):
        raise Unrenderable("Two options of the menu have the same id.")
    if not menu.text.strip() or not all(option.title.strip() and option.choice_id for option in menu.options):
        raise Unrenderable("A menu needs a text, and each of its options a title and an id.")


def _against_buttons(menu: Menu, limits: ContentLimits) -> Iterator[str]:
    """Yield what keeps `menu` from being sent as reply buttons. They show no description, and need different titles."""
    if len(menu.options) > limits.buttons:
        yield "too many options"
    if len(menu.text) > limits.button_body_characters:
        yield "text too long"
    if len({option.title for option in menu.options}) < len(menu.options):
        yield "two titles are the same"
    for option in menu.options:
        if option.description:
            yield "an option has a description"
        if len(option.title) > limits.button_title_characters:
            yield "a title is too long"
        if len(option.choice_id) > limits.button_id_characters:
            yield "an id is too long"


def _against_list(menu: Menu, limits: ContentLimits) -> Iterator[str]:
    """Yield what keeps `menu` from being sent as a list, in words for who wrote it."""
    if len(menu.options) > limits.list_rows:
        yield f"The menu has {len(menu.options)} options; WhatsApp shows at most {limits.list_rows}."
    if len(menu.text) > limits.list_body_characters:
        yield f"The text of the menu has {len(menu.text)} characters; WhatsApp takes {limits.list_body_characters}."
    for option in menu.options:
        if len(option.title) > limits.list_row_title_characters:
            yield f"The option “{option.title}” is longer than the {limits.list_row_title_characters} characters that WhatsApp shows."
        if len(option.description or "") > limits.list_row_description_characters:
            yield f"The description of “{option.title}” is longer than {limits.list_row_description_characters} characters."
        if len(option.choice_id) > limits.list_row_id_characters:
            yield f"The id of “{option.title}” is longer than {limits.list_row_id_characters} characters."
