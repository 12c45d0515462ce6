"""An approved template as the vendor wants it: header, body and buttons as components ("Send messages", 2025-11-04).

Only what changes from send to send is sent; what it must be stands in the approved template, which the vendor compares (132000,
132001, 132012). Bounds and languages are in policy.yaml. A one-time password's button is a `url` button with the code as its value
("Copy code authentication templates", 2026-06-24).
"""

from __future__ import annotations

import re

from shared.channels.contract import Unrenderable
from shared.channels.whatsapp.policy import ContentLimits
from shared.channels.whatsapp.reading import Json
from shared.events.shapes import Location, Media, Template, TemplateButton, TemplateHeader, TemplateHeaderText

HEADER_MEDIA = frozenset({"image", "video", "document"})


def render_template(template: Template, limits: ContentLimits, languages: tuple[str, ...]) -> Json:
    """Return the template message; `languages` are the tags that the vendor approves templates under. Raises Unrenderable."""
    if not template.name or len(template.name) > limits.template_name_characters:
        raise _too_long("name", template.name, limits.template_name_characters)
    if languages and template.language not in languages:
        raise Unrenderable(
            f"template.language: WhatsApp approves no templates under {template.language}; send it under the tag it was approved with."
        )
    components = [
        *([_header(template.header, limits)] if template.header is not None else []),
        *_body(template, limits),
        *_buttons(template.buttons, limits),
    ]
    rendered: Json = {"name": template.name, "language": {"code": template.language.replace("-", "_")}}
    return {"type": "template", "template": {**rendered, "components": components} if components else rendered}


def _header(header: TemplateHeader, limits: ContentLimits) -> Json:
    """Return the component above the body: one parameter."""
    match header:
        case TemplateHeaderText():
            parameter = _text("header.text", header.text, header.name, limits.template_header_characters, limits)
        case Media():
            parameter = _header_file(header)
        case Location():
            parameter = _place(header)
    return {"type": "header", "parameters": [parameter]}


def _header_file(media: Media) -> Json:
    """Return the file of a header, by the vendor's id or an address. It has no caption: the body is the text."""
    kind = media.media_kind
    if kind not in HEADER_MEDIA:
        raise Unrenderable(f"template.header: a template's header is an image, a video, a document, a place or words, not {kind}.")
    if media.media_id:
        file: Json = {"id": media.media_id}
    elif media.url and media.url.startswith(("https://", "http://")):
        file = {"link": media.url}
    else:
        raise Unrenderable("template.header: the file has neither an id nor a web address that WhatsApp could fetch it from.")
    if media.filename and kind == "document":
        file["filename"] = media.filename
    return {"type": kind, kind: file}


def _place(place: Location) -> Json:
    """Return the place of a header; its numbers are text, as the vendor's page shows them there."""
    location: Json = {"latitude": str(place.latitude), "longitude": str(place.longitude)}
    location |= {name: value for name, value in (("name", place.name), ("address", place.address)) if value}
    return {"type": "location", "location": location}


def _body(template: Template, limits: ContentLimits) -> list[Json]:
    """Return the body's component, or none where nothing is filled in."""
    if template.parameters and template.named_parameters:
        raise Unrenderable("template: the placeholders of a template are numbered (parameters) or named (named_parameters), not both.")
    longest = limits.template_body_characters
    parameters = [
        *(_text(f"parameters[{number}]", value, None, longest, limits) for number, value in enumerate(template.parameters)),
        *(_text(f"named_parameters.{name}", value, name, longest, limits) for name, value in template.named_parameters.items()),
    ]
    whole = sum(len(parameter["text"]) for parameter in parameters)
    if whole > longest:
        raise Unrenderable(f"template: the parameters have {whole} characters together; WhatsApp takes {longest} in a template's body.")
    return [{"type": "body", "parameters": parameters}] if parameters else []


def _buttons(buttons: tuple[TemplateButton, ...], limits: ContentLimits) -> list[Json]:
    """Return a component per button, in the template's order."""
    if len({button.index for button in buttons}) < len(buttons):
        raise Unrenderable("template.buttons: two values were given for one button.")
    return [_button(button, limits) for button in sorted(buttons, key=lambda button: button.index)]


def _button(button: TemplateButton, limits: ContentLimits) -> Json:
    """Return the component of one button."""
    if button.index >= limits.template_buttons:
        raise Unrenderable(f"template.buttons: there is no button {button.index}; a template has at most {limits.template_buttons}.")
    field = f"buttons[{button.index}].value"
    match button.kind:
        case "quick_reply":
            parameter: Json = {"type": "payload", "payload": _value(field, button.value, limits.template_payload_characters)}
        case "url":
            parameter = {"type": "text", "text": _value(field, button.value, limits.template_url_characters)}
        case "copy_code":
            parameter = {"type": "coupon_code", "coupon_code": _value(field, button.value, limits.template_code_characters)}
        case "flow":
            action: Json = {"flow_token": _value(field, button.value, len(button.value))}
            parameter = {"type": "action", "action": {**action, "flow_action_data": button.values} if button.values else action}
    return {"type": "button", "sub_type": button.kind, "index": str(button.index), "parameters": [parameter]}


def _text(field: str, value: str, name: str | None, longest: int, limits: ContentLimits) -> Json:
    """Return a text parameter. The vendor refuses line breaks, tabs and long runs of spaces in one (132018)."""
    _value(field, value, longest)
    spaces = limits.template_spaces_in_a_row
    if re.search(r"[\n\r\t]| {" + str(spaces + 1) + "}", value):
        raise Unrenderable(
            f"template.{field}: WhatsApp takes no line breaks, no tabs and at most {spaces} spaces in a row in what fills a template."
        )
    return {"type": "text", **({"parameter_name": name} if name else {}), "text": value}


def _value(field: str, value: str, longest: int) -> str:
    """Return `value`, which is neither empty nor longer than `longest`."""
    if not value.strip() or len(value) > longest:
        raise _too_long(field, value, longest)
    return value


def _too_long(field: str, value: str, longest: int) -> Unrenderable:
    """Return the refusal of a value that is empty or too long."""
    if not value.strip():
        return Unrenderable(f"template.{field} is empty.")
    return Unrenderable(f"template.{field} has {len(value)} characters; WhatsApp takes {longest}.")
