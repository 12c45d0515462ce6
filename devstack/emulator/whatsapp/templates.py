"""Templates: what a send must give, and what the customer then sees."""

from __future__ import annotations

import re
from typing import Any

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.settings import Template

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def template_error(content: dict[str, Any], template: Template | None) -> MetaError | None:
    """Return why `content` cannot be sent as `template` (None: nothing on file for that name and language)."""
    if template is None or template.status in {"PENDING", "REJECTED"}:
        return MetaError(132001, f"template name ({content['name']}) does not exist in {content['language']['code']}")
    if template.status == "PAUSED":
        return MetaError(132015)
    if template.status == "DISABLED":
        return MetaError(132016)
    return _parameter_error(body_parameters(content), template)


def _parameter_error(parameters: list[dict[str, Any]], template: Template) -> MetaError | None:
    expected = len(template.parameter_names) or template.body_parameters
    if len(parameters) != expected:
        return MetaError(
            132000, f"body: number of localizable_params ({len(parameters)}) does not match the expected number of params ({expected})"
        )
    names = [parameter.get("parameter_name") for parameter in parameters]
    if template.parameter_names and set(names) != set(template.parameter_names):
        return MetaError(132012, f"body: the named parameters must be {', '.join(template.parameter_names)}")
    return None


def body_parameters(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of the body component, in order."""
    return [
        parameter
        for component in content.get("components", [])
        if str(component["type"]).lower() == "body"
        for parameter in component.get("parameters", [])
    ]


def render(content: dict[str, Any], template: Template) -> str:
    """Return the text as the customer sees it; a template without a body on file shows its name and values."""
    parameters = body_parameters(content)
    values = {str(parameter.get("parameter_name") or position): _value(parameter) for position, parameter in enumerate(parameters, 1)}
    if not template.body:
        return " ".join([f"[{template.name}]", *values.values()])
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), template.body)


def _value(parameter: dict[str, Any]) -> str:
    value = parameter[parameter["type"]]
    return str(value.get("fallback_value", value)) if isinstance(value, dict) else str(value)
