"""docs/settings.md: every setting of every service, from the classes that read them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import services
import shared.channels
from cli.docs.tables import GENERATED, code, table
from shared.channels.discover import channel_names
from shared.settings import ServiceSettings

UNITS = ("milliseconds", "seconds", "bytes", "days")
"""The words in a setting's name that say its unit."""
_BOUNDS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def settings_classes() -> dict[str, type[BaseSettings]]:
    """Return the classes by who reads them: all services, one service, one channel."""
    found: dict[str, type[BaseSettings]] = {"Every service": ServiceSettings}
    for service in sorted(module.name for module in pkgutil.iter_modules(services.__path__) if module.ispkg):
        for own in _own_settings(f"services.{service}.settings"):
            found[f"services/{service}"] = own
    for channel in channel_names():
        for own in _own_settings(f"{shared.channels.__name__}.{channel}.settings"):
            found[f"The channel {channel} (read by ingest, sla and outbound)"] = own
    return found


def _own_settings(name: str) -> Iterator[type[BaseSettings]]:
    """Yield the settings that the module called `name` defines, if there is one."""
    try:
        module: ModuleType = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == name:
            yield value


def variable(settings: type[BaseSettings], name: str) -> str:
    """Return the environment variable of a field."""
    alias = settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def settings_page() -> str:
    """Return the page."""
    lines = [
        "# Settings",
        "",
        GENERATED,
        "",
        "Every setting is an environment variable, read and checked once, when a service starts. A wrong one ends the service with exit",
        "code 78 and a line that names the variable, never its value. Each default works on one machine.",
    ]
    for title, settings in settings_classes().items():
        schema = settings.model_json_schema(by_alias=False)["properties"]
        rows = [
            (
                code(variable(settings, name)),
                _default(field),
                ", ".join(_bounds(name, schema[name])),
                _sentence(field.description or ""),
            )
            for name, field in settings.model_fields.items()
        ]
        lines += ["", f"## {title}", "", *table(("variable", "default", "unit, bounds", "what it says"), rows)]
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value is None else code(str(value))


def _bounds(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield the unit and the bounds of one setting."""
    unit = next((unit for unit in UNITS if unit in name.split("_")), None)
    if unit is not None:
        yield unit
    if schema.get("format") == "password" or any(one.get("format") == "password" for one in schema.get("anyOf", ())):
        yield "secret"
    for one in (schema, *schema.get("anyOf", ())):
        yield from (f"{sign} {one[bound]:g}" for bound, sign in _BOUNDS if bound in one)
        if "enum" in one:
            yield "one of " + ", ".join(f"`{value}`" for value in one["enum"])
        if "pattern" in one:
            yield f"matches `{one['pattern']}`"
        if one.get("type") == "object":
            yield "a JSON object"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
