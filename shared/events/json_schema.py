"""JSON Schemas of the models as they are published: what pydantic writes, without what the topics never carry."""

from __future__ import annotations

from typing import Any

_NULL = {"type": "null"}


def without_optional_nulls(node: Any) -> Any:
    """Return a schema with `T or null, default null` written as T, in depth.

    Optional fields are absent, never null, on the topics; a field that must be there keeps its null.
    """
    if isinstance(node, list):
        return [without_optional_nulls(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    alternatives = node.get("anyOf")
    if isinstance(alternatives, list) and _NULL in alternatives and "default" in node and node["default"] is None:
        others = [entry for entry in alternatives if entry != _NULL]
        rest = {name: value for name, value in node.items() if name not in {"anyOf", "default"}}
        node = {**rest, **others[0]} if len(others) == 1 else {**rest, "anyOf": others}
    return {name: without_optional_nulls(value) for name, value in node.items()}
