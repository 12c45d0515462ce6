"""What each message type demands, with the vendor's documented limits.

Pages: WA/messages/text-messages, …/interactive-reply-buttons-messages (2025-11-03), …/interactive-list-messages,
WA/business-phone-numbers/media. Codes: 131008 something missing, 131009 a value out of its bounds, 100 Graph's own check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from devstack.emulator.whatsapp.errors import RefusedError

TEXT_CHARACTERS_MAX = 4096
CAPTION_CHARACTERS_MAX = 1024
BUTTONS_MAX = 3
BUTTON_TITLE_CHARACTERS_MAX = 20
BUTTON_ID_CHARACTERS_MAX = 256
BUTTONS_BODY_CHARACTERS_MAX = 1024
LIST_BODY_CHARACTERS_MAX = 4096
LIST_BUTTON_CHARACTERS_MAX = 20
LIST_ROWS_MAX = 10
LIST_SECTIONS_MAX = 10
ROW_ID_CHARACTERS_MAX = 200
ROW_TITLE_CHARACTERS_MAX = 24
ROW_DESCRIPTION_CHARACTERS_MAX = 72
HEADER_CHARACTERS_MAX = 60
FOOTER_CHARACTERS_MAX = 60
CONTACTS_MAX = 257
LATITUDE_MAX = 90
LONGITUDE_MAX = 180
PARAMETER_TYPES = frozenset(
    {"text", "currency", "date_time", "image", "document", "video", "payload", "location", "action", "coupon_code", "limited_time_offer"}
)
BUTTON_SUB_TYPES = frozenset(
    "booking_confirmation catalog copy_code flow mpm order_details quick_reply reminder url voice_call".split()  # noqa: SIM905 # one line
)
"""What a button component may be; a telephone button takes no parameters and is refused by name (developers' reports, 2026-01)."""

Json = Mapping[str, Any]


def demand_object(owner_value: Json, name: str, *, owner: str) -> dict[str, Any]:
    """Return the object `name` of `owner_value`, or refuse."""
    value = owner_value.get(name)
    if not isinstance(value, dict):
        raise RefusedError(131008, f"Parameter '{name}' is mandatory for '{owner}' and must be an object.")
    return value


def demand_text(owner_value: Json, name: str, *, owner: str, most: int | None = None, code: int = 131009) -> str:
    """Return the non-empty string `name` of `owner_value`, at most `most` characters long, or refuse (too long: with `code`)."""
    value = owner_value.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RefusedError(131008, f"Parameter '{name}' is mandatory for '{owner}' and must be a non-empty string.")
    if most is not None and len(value) > most:
        raise RefusedError(code, f"Param {owner}['{name}'] must be at most {most} characters long.")
    return value


def demand_list(owner_value: Json, name: str, *, owner: str, most: int) -> list[dict[str, Any]]:
    """Return the list of 1 to `most` objects `name` of `owner_value`, or refuse."""
    value = owner_value.get(name)
    if not isinstance(value, list) or not value:
        raise RefusedError(131008, f"Parameter '{name}' is mandatory for '{owner}' and must be a non-empty list.")
    if len(value) > most:
        raise RefusedError(131009, f"{owner}['{name}'] count not allowed. Min: 1, Max: {most}")
    if not all(isinstance(element, dict) for element in value):
        raise RefusedError(131009, f"{owner}['{name}'] must hold objects.")
    return value


def _object(value: Any, name: str) -> dict[str, Any]:
    return demand_object({name: value}, name, owner="message")


def _link(owner_value: Json, name: str, *, owner: str) -> None:
    url = demand_text(owner_value, name, owner=owner)
    if not url.startswith(("http://", "https://")):
        raise RefusedError(100, f"Param {owner}['{name}'] is not a valid URL.")


def _unique(values: list[str], what: str) -> None:
    if len(set(values)) != len(values):
        raise RefusedError(131009, f"Duplicated {what} in the message.")


def _text(value: Any) -> None:
    demand_text(_object(value, "text"), "body", owner="text", most=TEXT_CHARACTERS_MAX, code=100)


def _media(name: str, *, captioned: bool) -> Callable[[Any], None]:
    def validate(value: Any) -> None:
        media = _object(value, name)
        if ("id" in media) == ("link" in media):
            raise RefusedError(100, f"Param {name} must have exactly one of id and link.")
        if "link" in media:
            _link(media, "link", owner=name)
        else:
            demand_text(media, "id", owner=name)
        if "caption" in media and not captioned:
            raise RefusedError(100, f"Unexpected key 'caption' on param '{name}'.")
        if "caption" in media:
            demand_text(media, "caption", owner=name, most=CAPTION_CHARACTERS_MAX, code=100)

    return validate


def _location(value: Any) -> None:
    location = _object(value, "location")
    for name, most in (("latitude", LATITUDE_MAX), ("longitude", LONGITUDE_MAX)):
        if name not in location:
            raise RefusedError(131008, f"Parameter '{name}' is mandatory for 'location'.")
        try:
            degrees = float(location[name])
        except (TypeError, ValueError):
            degrees = float("nan")
        if not -most <= degrees <= most:
            raise RefusedError(131009, f"Param location['{name}'] must be a number from -{most} to {most}.")


def _contacts(value: Any) -> None:
    for contact in demand_list({"contacts": value}, "contacts", owner="message", most=CONTACTS_MAX):
        demand_text(demand_object(contact, "name", owner="contacts"), "formatted_name", owner="name")


def _reaction(value: Any) -> None:
    reaction = _object(value, "reaction")
    demand_text(reaction, "message_id", owner="reaction")
    # An empty emoji takes the reaction back.
    if not isinstance(reaction.get("emoji"), str):
        raise RefusedError(131008, "Parameter 'emoji' is mandatory for 'reaction'.")


def _interactive(value: Any) -> None:
    interactive = _object(value, "interactive")
    interactive_type = interactive.get("type")
    if interactive_type not in INTERACTIVE_VALIDATORS:
        raise RefusedError(131009, f"interactive.type '{interactive_type}' is not supported.")
    if "header" in interactive:
        _header(demand_object(interactive, "header", owner="interactive"), text_only=interactive_type == "list")
    if "footer" in interactive:
        footer = demand_object(interactive, "footer", owner="interactive")
        demand_text(footer, "text", owner="footer", most=FOOTER_CHARACTERS_MAX)
    INTERACTIVE_VALIDATORS[interactive_type](interactive, demand_object(interactive, "action", owner="interactive"))


def _header(header: Json, *, text_only: bool) -> None:
    header_type = header.get("type")
    if header_type == "text":
        demand_text(header, "text", owner="header", most=HEADER_CHARACTERS_MAX)
    elif header_type in {"image", "video", "document"} and not text_only:
        _media(header_type, captioned=False)(header.get(header_type))
    else:
        raise RefusedError(131009, f"header.type '{header_type}' is not supported here.")


def _body(interactive: Json, most: int) -> None:
    demand_text(demand_object(interactive, "body", owner="interactive"), "text", owner="body", most=most)


def _buttons(interactive: Json, action: Json) -> None:
    _body(interactive, BUTTONS_BODY_CHARACTERS_MAX)
    replies = []
    for button in demand_list(action, "buttons", owner="action", most=BUTTONS_MAX):
        if button.get("type") != "reply":
            raise RefusedError(131009, "Button type must be reply.")
        reply = demand_object(button, "reply", owner="button")
        demand_text(reply, "id", owner="reply", most=BUTTON_ID_CHARACTERS_MAX)
        demand_text(reply, "title", owner="reply", most=BUTTON_TITLE_CHARACTERS_MAX)
        replies.append(reply)
    _unique([reply["id"] for reply in replies], "button id")
    _unique([reply["title"] for reply in replies], "button title")


def _list(interactive: Json, action: Json) -> None:
    _body(interactive, LIST_BODY_CHARACTERS_MAX)
    demand_text(action, "button", owner="action", most=LIST_BUTTON_CHARACTERS_MAX)
    sections = demand_list(action, "sections", owner="action", most=LIST_SECTIONS_MAX)
    rows = []
    for section in sections:
        if len(sections) > 1 or "title" in section:
            demand_text(section, "title", owner="section", most=ROW_TITLE_CHARACTERS_MAX)
        rows += demand_list(section, "rows", owner="section", most=LIST_ROWS_MAX)
    if len(rows) > LIST_ROWS_MAX:
        raise RefusedError(131009, f"Total row count exceed max allowed count: {LIST_ROWS_MAX}")
    for row in rows:
        demand_text(row, "id", owner="row", most=ROW_ID_CHARACTERS_MAX)
        demand_text(row, "title", owner="row", most=ROW_TITLE_CHARACTERS_MAX)
        if "description" in row:
            demand_text(row, "description", owner="row", most=ROW_DESCRIPTION_CHARACTERS_MAX)
    _unique([row["id"] for row in rows], "row id")


def _cta_url(interactive: Json, action: Json) -> None:
    _body(interactive, BUTTONS_BODY_CHARACTERS_MAX)
    _demand_name(action, "cta_url")
    parameters = demand_object(action, "parameters", owner="action")
    demand_text(parameters, "display_text", owner="parameters", most=BUTTON_TITLE_CHARACTERS_MAX)
    _link(parameters, "url", owner="parameters")


def _request(name: str) -> Callable[[Json, Json], None]:
    def validate(interactive: Json, action: Json) -> None:
        _body(interactive, BUTTONS_BODY_CHARACTERS_MAX)
        _demand_name(action, name)

    return validate


def _demand_name(action: Json, name: str) -> None:
    if action.get("name") != name:
        raise RefusedError(131009, f"action.name must be {name}.")


def _template(value: Any) -> None:
    template = _object(value, "template")
    demand_text(template, "name", owner="template")
    demand_text(demand_object(template, "language", owner="template"), "code", owner="language")
    components = template.get("components", [])
    if not isinstance(components, list):
        raise RefusedError(100, "Param template['components'] must be an array.")
    for component in components:
        _component(component)


def _component(component: Any) -> None:
    if not isinstance(component, dict) or str(component.get("type")).lower() not in {"header", "body", "button"}:
        raise RefusedError(100, "Param template['components'] must hold objects of type header, body or button.")
    if str(component["type"]).lower() == "button" and str(component.get("sub_type")).lower() not in BUTTON_SUB_TYPES:
        names = ", ".join(sorted(BUTTON_SUB_TYPES)).upper()
        raise RefusedError(100, f'Param sub_type of a button component must be one of {{{names}}} - got "{component.get("sub_type")}".')
    parameters = component.get("parameters", [])
    if not isinstance(parameters, list):
        raise RefusedError(100, "Param parameters must be an array.")
    for parameter in parameters:
        if not isinstance(parameter, dict) or parameter.get("type") not in PARAMETER_TYPES:
            raise RefusedError(100, f"Param type of a component parameter must be one of {sorted(PARAMETER_TYPES)}.")
        parameter_type = parameter["type"]
        if not parameter.get(parameter_type):
            raise RefusedError(100, f"Parameter '{parameter_type}' is mandatory for component parameter type '{parameter_type}'")
        if parameter_type in OBJECT_VALIDATORS:
            OBJECT_VALIDATORS[parameter_type](parameter[parameter_type])


VALIDATORS: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "text": _text,
        "image": _media("image", captioned=True),
        "video": _media("video", captioned=True),
        "audio": _media("audio", captioned=False),
        "document": _media("document", captioned=True),
        "sticker": _media("sticker", captioned=False),
        "location": _location,
        "contacts": _contacts,
        "interactive": _interactive,
        "reaction": _reaction,
        "template": _template,
    }
)
OBJECT_VALIDATORS: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "image": _media("image", captioned=False),
        "video": _media("video", captioned=False),
        "document": _media("document", captioned=False),
        "location": _location,
    }
)
INTERACTIVE_VALIDATORS: Mapping[Any, Callable[[Json, Json], None]] = MappingProxyType(
    {
        "button": _buttons,
        "list": _list,
        "cta_url": _cta_url,
        "request_contact_info": _request("request_contact_info"),
        "location_request_message": _request("send_location"),
        "flow": _request("flow"),
    }
)
