"""The list of what is long: printed in every run, and never a failure."""

from __future__ import annotations

import ast

import pytest

from tests.tidy.sources import Source
from tests.tidy.tripwires import FUNCTION_LINES, all_crossings, crossings


def test_long_files_and_functions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever runs the tests sees what to look at again."""
    found = all_crossings()
    with capsys.disabled():
        print(f"\n{len(found)} tripwires (python -m tests.tidy.tripwires):", *found, sep="\n  ")  # noqa: T201 # the list is for people


def test_length_is_counted_without_the_docstring() -> None:
    """A function of the allowed length with a long docstring is fine; one line more of code is not."""
    docstring = '    """' + "\n    word" * 40 + '\n    """\n'
    body = "    pass\n" * FUNCTION_LINES
    fine, long = f"def f():\n{docstring}{body}", f"def f():\n{docstring}{body}    pass\n"
    assert list(crossings(Source("x.py", fine, ast.parse(fine)), 1000)) == []
    assert list(crossings(Source("x.py", long, ast.parse(long)), 1000)) == [f"x.py:1: f has {FUNCTION_LINES + 1} lines"]
    assert len(list(crossings(Source("x.py", long, ast.parse(long)), 10))) == 2
