"""No code outside `shared/channels/<name>/` names a channel: a new one is a new folder and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from shared.channels.discover import channel_names
from tests.tidy.sources import Source, python_sources

NOT_BUILT_YET = ("messenger", "instagram", "telegram", "viber", "apple")
"""Channels without a folder: code that names one would be found only when it comes."""
NAMES = (*channel_names(), *NOT_BUILT_YET)


def mentions(source: Source) -> Iterator[str]:
    """Yield each place where code (not a docstring, not a sentence for people) depends on a channel by name."""
    identifier = re.compile("|".join(NAMES), re.IGNORECASE)
    value = re.compile(rf"^(?:{'|'.join(NAMES)})(?:$|[:._/])", re.IGNORECASE)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(source.tree):
        found = (
            (isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings and value.search(node.value))
            or (isinstance(node, ast.Name) and identifier.search(node.id))
            or (isinstance(node, ast.Attribute) and identifier.search(node.attr))
            or (isinstance(node, ast.FunctionDef | ast.ClassDef) and identifier.search(node.name))
            or (isinstance(node, ast.ImportFrom) and identifier.search(node.module or ""))
            or (isinstance(node, ast.alias) and identifier.search(node.name))
        )
        if found:
            yield f"{source.name}:{getattr(node, 'lineno', 0)}"


def outside() -> list[Source]:
    """Return the sources of services and shared that are in no channel's folder."""
    folders = tuple(f"shared/channels/{name}/" for name in channel_names())
    return [source for source in python_sources("services", "shared") if not source.name.startswith(folders)]


@pytest.mark.parametrize("source", outside(), ids=str)
def test_code_names_no_channel(source: Source) -> None:
    """No import, no identifier and no value is a channel's name."""
    assert list(mentions(source)) == []


@pytest.mark.parametrize(
    "line",
    ['if channel == "whatsapp": ...', 'key = "whatsapp:1"', "from shared.channels.whatsapp import parse", "whatsapp_number = 1"],
)
def test_mentions_are_found(line: str) -> None:
    """A comparison, a key, an import and an identifier."""
    assert list(mentions(Source("x.py", line, ast.parse(line))))
