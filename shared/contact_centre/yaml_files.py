"""Reads YAML files into plain data that remembers its lines.

Scalars follow the JSON-like schema of YAML 1.2, so that the traps of YAML 1.1 are none: `no` is Norwegian and not false, `12:30`
is a time and not 750, `2026-12-24` is text for the model to read. A key that stands twice is a mistake: the last would win unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from shared.errors import Mistake

FILE_BYTES_MAX = 4 * 1024 * 1024
"""Largest file that is read."""
NODES_MAX = 50_000
"""Most values in one file; aliases of aliases would otherwise fill the memory."""
DEPTH_MAX = 32
"""Deepest nesting; an alias inside of what it stands for would otherwise never end."""

DataPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

_TOO_MUCH = "this is nested too deeply or repeats itself; write it out without `*` and `&`"
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands; lines count from 1."""

    file: str
    line: int


@dataclass(slots=True)
class Located:
    """What the files say: the data, where each value stands, and what was wrong on the way."""

    data: dict[str, Any] = field(default_factory=dict)
    marks: dict[DataPath, Mark] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mark_of(self, path: DataPath) -> Mark | None:
        """Return where `path` stands, or the nearest value around it; None where nothing was read."""
        return next((self.marks[path[:length]] for length in range(len(path), -1, -1) if path[:length] in self.marks), None)


class _TooMuchError(Exception):
    """A file is nested too deeply or holds too much; carries the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_files(directory: Path) -> Located:
    """Return what the `*.yaml` files of `directory` say together, in the order of their names.

    The top level of each file is sections; a section may be spread over files, as long as no entry stands twice. A file that
    cannot be read is a mistake, never an exception.
    """
    whole = Located()
    for path in sorted(directory.glob("*.yaml")):
        part = _File(path).read()
        whole.mistakes += part.mistakes
        whole.marks.setdefault((), Mark(str(path), 1))
        for section, value in part.data.items():
            _merge(whole, part, section, value)
    return whole


def _merge(whole: Located, part: Located, section: str, value: Any) -> None:
    """Add a section of one file to the whole; what stands in two files is a mistake."""
    known = whole.data.get(section)
    offset = 0
    if known is None:
        whole.data[section] = value
    elif isinstance(known, dict) and isinstance(value, dict):
        for key in known.keys() & value.keys():
            _twice(whole, part, (section, key))
        known.update(value)
    elif isinstance(known, list) and isinstance(value, list):
        offset = len(known)
        known.extend(value)
    else:
        _twice(whole, part, (section,))
    for path, mark in part.marks.items():
        if path[0] == section:
            whole.marks.setdefault(_moved(path, offset), mark)


def _moved(path: DataPath, offset: int) -> DataPath:
    """Return where a list's item stands behind `offset` items of other files."""
    match path:
        case (section, int() as index, *rest):
            return (section, index + offset, *rest)
        case _:
            return path


def _twice(whole: Located, part: Located, path: DataPath) -> None:
    """Note that `path` stands in two files."""
    first, second = whole.marks[path], part.marks[path]
    where = ".".join(map(str, path))
    whole.mistakes.append(Mistake(second.file, second.line, f"{where} stands twice; the first is in {first.file}:{first.line}"))


class _File:
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = str(path)
        self._located = Located()
        self._nodes_left = NODES_MAX

    def read(self) -> Located:
        """Return the file's sections; what is wrong with it goes to the mistakes."""
        try:
            self._sections(self._compose())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._mistake(line, f"this is no YAML: {error.problem}")
        except yaml.YAMLError as error:
            self._mistake(1, f"this is no YAML: {str(error).splitlines()[0]}")
        except UnicodeDecodeError as error:
            self._mistake(1, f"this is no UTF-8 text (byte {error.start}); save the file as UTF-8")
        except OSError as error:
            self._mistake(1, f"this cannot be read: {error.strerror}")
        except RecursionError:
            self._mistake(1, _TOO_MUCH)
        except _TooMuchError as error:
            self._mistake(error.line, str(error))
        return self._located

    def _compose(self) -> yaml.Node | None:
        """Return the file's nodes, or None for an empty file; raises what `read` turns into mistakes."""
        if self._path.stat().st_size > FILE_BYTES_MAX:
            raise _TooMuchError(1, f"the file has more than {FILE_BYTES_MAX} bytes; split it")
        root: yaml.Node | None = yaml.compose(self._path.read_text("utf-8"), Loader=yaml.SafeLoader)
        return root

    def _sections(self, root: yaml.Node | None) -> None:
        """Read the top level of the file; an empty file or section says nothing."""
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            self._mistake(root.start_mark.line + 1, "a file of the contact centre is sections: `name:` and what belongs to it")
            return
        content = self._value(root, ())
        self._located.data = {section: value for section, value in content.items() if value is not None}

    def _value(self, node: yaml.Node, path: DataPath) -> Any:
        """Return the data of `node` and mark everything in it."""
        self._nodes_left -= 1
        if len(path) > DEPTH_MAX or self._nodes_left < 0:
            raise _TooMuchError(node.start_mark.line + 1, _TOO_MUCH)
        if isinstance(node, yaml.MappingNode):
            entries: dict[str, Any] = {}
            for key, key_node, value_node in self._entries(node, path):
                self._located.marks[*path, key] = self._mark(value_node if isinstance(value_node, yaml.ScalarNode) else key_node)
                entries[key] = self._value(value_node, (*path, key))
            return entries
        if isinstance(node, yaml.SequenceNode):
            items: list[Any] = []
            for index, item in enumerate(node.value):
                self._located.marks[*path, index] = self._mark(item)
                items.append(self._value(item, (*path, index)))
            return items
        return _scalar(cast("yaml.ScalarNode", node))  # the third and last kind of node

    def _entries(self, node: yaml.MappingNode, path: DataPath) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield the entries of a mapping; a key that is no text or stands twice is a mistake."""
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(line, "a key is one word, not a list or a mapping")
            elif key_node.value in lines:
                where = ".".join(map(str, (*path, key_node.value)))
                self._mistake(line, f"{where} stands twice; the first is on line {lines[key_node.value]}")
            else:
                lines[key_node.value] = line
                yield key_node.value, key_node, value_node

    def _mark(self, node: yaml.Node) -> Mark:
        """Return where `node` begins."""
        return Mark(self._name, node.start_mark.line + 1)

    def _mistake(self, line: int, message: str) -> None:
        """Note a mistake on `line` of this file."""
        self._located.mistakes.append(Mistake(self._name, line, message))


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """Return what a scalar says; whatever is quoted or written as a block is text."""
    text = str(node.value)
    if node.style is not None:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
