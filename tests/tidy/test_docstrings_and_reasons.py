"""What every file says of itself: docstrings, and the reason of each silenced rule."""

from __future__ import annotations

import ast
import re

import pytest

from tests.tidy.sources import PACKAGES, Source, comments, python_sources

SILENCED = re.compile(r"#\s*(?:noqa(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?|type:\s*ignore(?:\[[a-z-]+(?:,\s*[a-z-]+)*\])?)")
WORD = re.compile(r"[A-Za-z]{2,}")


def behaviours(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the tests of a file, those of classes (state machines) too."""
    return [
        node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_module_opens_with_a_docstring(folder: str) -> None:
    """The first thing that a file says is what it is for."""
    assert [source.name for source in python_sources(folder) if not ast.get_docstring(source.tree)] == []


def test_every_test_says_in_a_sentence_what_it_holds() -> None:
    """The docstring states the behaviour; the name alone is no sentence."""
    silent = [
        f"{source.name}:{test.lineno}"
        for source in python_sources("tests")
        for test in behaviours(source)
        if not (ast.get_docstring(test) or "").rstrip().endswith((".", "!", "?"))
    ]
    assert silent == []


def is_explained(comment: str) -> bool:
    """Return whether a comment says more than codes."""
    return bool(WORD.search(SILENCED.sub("", comment)))


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_every_silenced_rule_carries_its_reason(folder: str) -> None:
    """A `noqa` or `type: ignore` names its code, and a comment on the same line or the one above says why."""
    unexplained = []
    for source in python_sources(folder):
        by_line = dict(comments(source))
        for line, comment in by_line.items():
            if SILENCED.search(comment) and not is_explained(comment) and not is_explained(by_line.get(line - 1, "")):
                unexplained.append(f"{source.name}:{line}: {comment}")
    assert unexplained == []


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# noqa: S603", False),
        ("# noqa: S603, S607", False),
        ("# noqa: S603 # our own command", True),
        ("# noqa: PLC0415 - only this needs it", True),
        ("# type: ignore[misc]", False),
        ("# type: ignore[misc, no-any-return] # carries no types", True),
        ("# type: ignore[import-untyped]  # noqa: PLC0415", False),
        ("# type: ignore[import-untyped]  # noqa: PLC0415 - no stubs exist", True),
    ],
)
def test_reasons_are_told_from_codes(comment: str, *, explained: bool) -> None:
    """A code is no reason, however many there are."""
    assert SILENCED.search(comment)
    assert is_explained(comment) is explained
