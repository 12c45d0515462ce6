"""Files and functions that are longer than usual: `python -m tests.tidy.tripwires`. A list for review; nothing fails by it.

Crossing one asks "why?", and a good answer passes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.tidy.sources import PACKAGES, Source, python_sources

FILE_LINES = 300
TEST_FILE_LINES = 500
FUNCTION_LINES = 50


def crossings(source: Source, file_lines: int) -> Iterator[str]:
    """Yield what is long in a file; a function is counted without its docstring."""
    lines = source.text.count("\n")
    if lines > file_lines:
        yield f"{source.name}: {lines} lines"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[1].lineno if ast.get_docstring(node) and len(node.body) > 1 else node.body[0].lineno
            length = (node.end_lineno or start) - start + 1
            if length > FUNCTION_LINES:
                yield f"{source.name}:{node.lineno}: {node.name} has {length} lines"


def all_crossings() -> list[str]:
    """Return what is long in the whole project."""
    code = [one for source in python_sources(*PACKAGES) for one in crossings(source, FILE_LINES)]
    tests = [one for source in python_sources("tests") for one in crossings(source, TEST_FILE_LINES)]
    return [*code, *tests]


def main() -> int:
    """Print the list; always succeeds."""
    sys.stdout.write("".join(f"{one}\n" for one in all_crossings()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
