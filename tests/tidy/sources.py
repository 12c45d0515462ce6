"""The project's sources, parsed once, for the checks of the project itself."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("services", "shared", "cli", "devstack")
"""What is installed."""
LISTING_SECONDS_MAX = 30


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file: its path below the root, its text, its tree."""

    name: str
    text: str
    tree: ast.Module

    def __str__(self) -> str:
        """Return what pytest shows."""
        return self.name


@cache
def python_sources(*folders: str) -> tuple[Source, ...]:
    """Return the Python files below `folders`, sorted."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(str(path.relative_to(ROOT)), text, ast.parse(text))


@cache
def project_files() -> tuple[Path, ...]:
    """Return every text file that belongs to the project: what git knows or would add, or every file where this is no repository."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=LISTING_SECONDS_MAX)  # noqa: S603 # a fixed command
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts[:-1])]
    return tuple(path for path in sorted(found) if path.is_file() and path.suffix not in {".png", ".pyc"})


def comments(source: Source) -> list[tuple[int, str]]:
    """Return the comments of a file with their lines."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression, else nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            owner = dotted(value)
            return f"{owner}.{attribute}" if owner else ""
        case _:
            return ""
