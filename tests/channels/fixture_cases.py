"""The harness of every channel's fixtures: `<name>.json` is what the channel posts, `<name>.expected.json` what must come of it.

A channel's folder `fixtures/` is found by itself; a new channel writes files and no test. An expected item is one of
`{"event": …, "topic", "thread", "id", "at", "data"}`, `{"ignored": kind, …}` and `{"rejected": reason, …}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import shared.channels
from shared.channels.contract import Item, ItemEvent, ItemIgnored
from shared.channels.discover import channel_names
from shared.events.envelope import format_time

RECEIVED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""When every fixture came in."""


@dataclass(frozen=True, slots=True)
class FixtureCase:
    """One recorded webhook of a channel and the items that it must yield."""

    channel: str
    name: str
    body: bytes
    expected: list[dict[str, Any]]

    def __str__(self) -> str:
        """Return the name that pytest shows."""
        return f"{self.channel}-{self.name}"


def fixture_cases() -> Iterator[FixtureCase]:
    """Yield the cases of all channels."""
    for channel in channel_names():
        folder = Path(str(resources.files(shared.channels))) / channel / "fixtures"
        for expected in sorted(folder.glob("*.expected.json")):
            name = expected.name.removesuffix(".expected.json")
            yield FixtureCase(channel, name, (folder / f"{name}.json").read_bytes(), json.loads(expected.read_text(encoding="utf-8")))


def describe(item: Item) -> dict[str, Any]:
    """Return an item as an expected file writes it."""
    if isinstance(item, ItemEvent):
        return {
            "event": item.data.NAME,
            "topic": item.topic.name,
            "thread": item.thread,
            "id": item.event_id,
            "at": format_time(item.occurred_at),
            "data": json.loads(item.data.model_dump_json(exclude_none=True)),
        }
    if isinstance(item, ItemIgnored):
        described = {"ignored": item.kind, "account": item.account, "thread": item.thread, "notice": item.notice}
        return {name: value for name, value in described.items() if value is not None}
    return {"rejected": item.reason, "account": item.account, "explanation": item.explanation}
