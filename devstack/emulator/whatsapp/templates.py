"""Templates: what a send must give, and what the customer then sees.

Refusals: WA/support/error-codes (2025-12-12). The wording of the details is the vendor's as developers report it (2023 to 2026):
"number of localizable_params", "Format mismatch, expected …, received …", "Button at index … of type Url requires a parameter".
"""

from __future__ import annotations

import re
from typing import Any

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.settings import Template, TemplateButton

BODY_CHARACTERS_MAX = 1024
HEADER_CHARACTERS_MAX = 60
COUPON_CHARACTERS_MAX = 15
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FORBIDDEN = re.compile(r"[\n\r\t]| {5}")
_TITLES = {"QUICK_REPLY": "QuickReply", "URL": "Url", "COPY_CODE": "CopyCode", "FLOW": "Flow", "PHONE_NUMBER": "Call", "OTP": "Otp"}
"""The kinds of buttons as the details of errors name them."""
_SUB_TYPES = {"QUICK_REPLY": "quick_reply", "URL": "url", "COPY_CODE": "copy_code", "FLOW": "flow", "OTP": "url"}
_PARAMETERS = {"QUICK_REPLY": "payload", "URL": "text", "COPY_CODE": "coupon_code", "FLOW": "action", "OTP": "text"}

Json = dict[str, Any]


def template_error(content: Json, template: Template | None) -> MetaError | None:
    """Return why `content` cannot be sent as `template` (None: nothing on file for that name and language)."""
    if template is None or template.status in {"PENDING", "REJECTED"}:
        return MetaError(132001, f"template name ({content['name']}) does not exist in {content['language']['code']}")
    if template.status == "PAUSED":
        return MetaError(132015)
    if template.status == "DISABLED":
        return MetaError(132016)
    return (
        _header_error(content, template)
        or _body_error(body_parameters(content), template)
        or _buttons_error(content, template)
        or _text_error(content)
        or _length_error(content, template)
    )


def _header_error(content: Json, template: Template) -> MetaError | None:
    parameters = _parameters_of(content, "header")
    header = template.header
    if header is None or header.format == "TEXT":
        expected = len(_PLACEHOLDER.findall(header.text)) if header is not None else 0
        return _count_error("header", parameters, expected) or _names_error(
            "header", parameters, [name for name in _PLACEHOLDER.findall(header.text) if not name.isdigit()] if header else []
        )
    received = str(parameters[0]["type"]).upper() if len(parameters) == 1 else "UNKNOWN"
    if received != header.format:
        return MetaError(132012, f"header: Format mismatch, expected {header.format}, received {received}")
    return None


def _body_error(parameters: list[Json], template: Template) -> MetaError | None:
    expected = len(template.parameter_names) or template.body_parameters
    mismatched = next((one["type"] for one in parameters if one["type"] not in {"text", "currency", "date_time"}), None)
    if mismatched is not None:
        return MetaError(132012, f"body: Format mismatch, expected TEXT, received {mismatched.upper()}")
    return _count_error("body", parameters, expected) or _names_error("body", parameters, list(template.parameter_names))


def _count_error(component: str, parameters: list[Json], expected: int) -> MetaError | None:
    if len(parameters) == expected:
        return None
    return MetaError(
        132000, f"{component}: number of localizable_params ({len(parameters)}) does not match the expected number of params ({expected})"
    )


def _names_error(component: str, parameters: list[Json], names: list[str]) -> MetaError | None:
    if not names:
        return None
    given = [parameter.get("parameter_name") for parameter in parameters]
    if not all(given):
        return MetaError(100, "Parameter name is missing or empty")
    if set(given) != set(names):
        return MetaError(132012, f"{component}: the named parameters must be {', '.join(names)}")
    return None


def _buttons_error(content: Json, template: Template) -> MetaError | None:
    given: dict[int, Json] = {}
    for component in content.get("components", []):
        if str(component["type"]).lower() == "button":
            place = str(component.get("index", ""))
            if not place.isdigit():
                return MetaError(131008, "Parameter 'index' is mandatory for component type 'button'.")
            given[int(place)] = component
    for index, component in given.items():
        if index >= len(template.buttons):
            return MetaError(132000, f"buttons: Template has {len(template.buttons)} buttons, parameters were given for index {index}")
        error = _button_error(index, component, template.buttons[index])
        if error is not None:
            return error
    for index, button in enumerate(template.buttons):
        if index not in given and _needs_parameter(button):
            return MetaError(131008, f"buttons: Button at index {index} of type {_TITLES[button.type]} requires a parameter")
    return None


def _button_error(index: int, component: Json, button: TemplateButton) -> MetaError | None:
    if button.type == "PHONE_NUMBER" or (button.type == "URL" and not _PLACEHOLDER.search(button.url)):
        return MetaError(100, f"buttons: Button at index {index} is of type {_TITLES[button.type]} and does not support parameters")
    if str(component.get("sub_type")).lower() != _SUB_TYPES[button.type]:
        return MetaError(132012, f"buttons: Format mismatch at index {index}, expected {button.type}, received {component.get('sub_type')}")
    parameters = component.get("parameters", [])
    if not parameters and _needs_parameter(button):
        return MetaError(131008, f"buttons: Button at index {index} of type {_TITLES[button.type]} requires a parameter")
    if any(parameter["type"] != _PARAMETERS[button.type] for parameter in parameters):
        return MetaError(132012, f"buttons: Format mismatch at index {index}, expected a parameter of type {_PARAMETERS[button.type]}")
    return None


def _needs_parameter(button: TemplateButton) -> bool:
    return button.type in {"COPY_CODE", "OTP"} or (button.type == "URL" and _PLACEHOLDER.search(button.url) is not None)


def _text_error(content: Json) -> MetaError | None:
    for parameter in [*_parameters_of(content, "header"), *body_parameters(content)]:
        if parameter["type"] == "text" and _FORBIDDEN.search(str(parameter["text"])):
            return MetaError(132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
    return None


def _length_error(content: Json, template: Template) -> MetaError | None:
    if len(render(content, template)) > BODY_CHARACTERS_MAX:
        return MetaError(132005, f"body: Translated text too long, at most {BODY_CHARACTERS_MAX} characters")
    if template.header is not None and len(_filled(template.header.text, _parameters_of(content, "header"))) > HEADER_CHARACTERS_MAX:
        return MetaError(132005, f"header: Translated text too long, at most {HEADER_CHARACTERS_MAX} characters")
    for component in content.get("components", []):
        for parameter in component.get("parameters", []):
            if parameter["type"] == "coupon_code" and len(str(parameter["coupon_code"])) > COUPON_CHARACTERS_MAX:
                return MetaError(131009, f"buttons: coupon_code must be at most {COUPON_CHARACTERS_MAX} characters long")
    return None


def body_parameters(content: Json) -> list[Json]:
    """Return the parameters of the body component, in order."""
    return _parameters_of(content, "body")


def header_media_id(content: Json) -> str | None:
    """Return the id of the file in the header, where one is named by its id."""
    for parameter in _parameters_of(content, "header"):
        value = parameter[parameter["type"]]
        if parameter["type"] in {"image", "video", "document"} and "id" in value:
            return str(value["id"])
    return None


def _parameters_of(content: Json, kind: str) -> list[Json]:
    return [
        parameter
        for component in content.get("components", [])
        if str(component["type"]).lower() == kind
        for parameter in component.get("parameters", [])
    ]


def render(content: Json, template: Template) -> str:
    """Return the text as the customer sees it; a template without a body on file shows its name and values."""
    parameters = body_parameters(content)
    if not template.body:
        return " ".join([f"[{template.name}]", *map(_value, parameters)])
    return _filled(template.body, parameters)


def _filled(text: str, parameters: list[Json]) -> str:
    values = {str(parameter.get("parameter_name") or position): _value(parameter) for position, parameter in enumerate(parameters, 1)}
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def _value(parameter: Json) -> str:
    value = parameter[parameter["type"]]
    return str(value.get("fallback_value", value)) if isinstance(value, dict) else str(value)
