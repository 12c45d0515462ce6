"""The services' JSON log lines as people read them: time, level, service, event, fields."""

from __future__ import annotations

from typing import Any

import orjson
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_magenta")
"""A colour per service, by the order in which they are first seen."""
LEVELS = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red", "critical": "bold red"}
NAME_CHARACTERS = 9
LEVEL_CHARACTERS = 7
_APART = frozenset({"timestamp", "level", "event", "service", "logger"})


class LogLines:
    """Renders lines; remembers which service has which colour."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}

    def render(self, service: str, line: str) -> Text:
        """Return the line as it is shown. What is no JSON (a traceback, a word of the interpreter) stays as it is."""
        text = Text(f"{service:<{NAME_CHARACTERS}} ", style=self._colour(service))
        entry = _parse(line)
        if entry is None:
            return text.append(line, style="")
        level = str(entry.get("level", "info"))
        prefix = text
        text = Text(f"{_time(entry.get('timestamp'))} ", style="dim")
        text.append(f"{level:<{LEVEL_CHARACTERS}} ", style=LEVELS.get(level, "")).append_text(prefix)
        text.append(str(entry.get("event", "")), style=LEVELS.get(level) or "bold")
        for name, value in entry.items():
            if name not in _APART and value is not None:
                text.append(f" {name}=", style="dim").append(_value(value), style="")
        return text

    def announce(self, service: str, words: str) -> Text:
        """Return a line of our own about a service."""
        return Text(f"{service:<{NAME_CHARACTERS}} ", style=self._colour(service)).append(words, style="bold yellow")

    def _colour(self, service: str) -> str:
        return self._colours.setdefault(service, COLOURS[len(self._colours) % len(COLOURS)])


def _parse(line: str) -> dict[str, Any] | None:
    """Return the fields of a JSON line, or None."""
    if not line.startswith("{"):
        return None
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None


def _time(timestamp: Any) -> str:
    """Return hours to milliseconds of an ISO timestamp in UTC; blanks where there is none."""
    shown = timestamp[11:23] if isinstance(timestamp, str) else ""
    return f"{shown:<12}"


def _value(value: Any) -> str:
    """Return a field's value on one line."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
