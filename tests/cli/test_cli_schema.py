"""`parley schema`: what an integrator may publish and will read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.schemas import models, schema_of
from shared.events.envelope import EventData
from shared.topics import TOPICS
from tests.cli.cli_world import parley


def test_a_type_by_its_short_and_by_its_full_name_is_the_same() -> None:
    """Nobody has to know the prefix and the version."""
    short, full = parley("schema", "message.received"), parley("schema", "parley.message.received.v1")
    assert short.code == full.code == 0
    assert short.out == full.out
    schema = json.loads(short.out)
    assert schema["properties"]["type"]["const"] == "parley.message.received.v1"
    assert {"id", "source", "type", "subject", "time", "data"} <= set(schema["properties"])


def test_every_event_of_every_topic_is_listed_with_its_topic() -> None:
    """Without a type, the types are listed."""
    ran = parley("schema")
    listed = {(line.split()[0], line.split()[1]) for line in ran.out.splitlines()[1:]}
    assert {(model.event_type(), topic.name) for topic in TOPICS for model in topic.models} <= listed


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.NAME)
def test_optional_fields_are_absent_never_null(model: type[EventData]) -> None:
    """Only what must be there can be null (a reaction that was taken back), or what holds anything."""
    nulls = list(null_fields(schema_of(model)))
    assert nulls == (["emoji"] if model.NAME == "reaction.changed" else [])


def null_fields(node: Any, name: str = "") -> list[str]:
    """Return the fields of a schema that offer null."""
    if isinstance(node, list):
        return [found for entry in node for found in null_fields(entry, name)]
    if not isinstance(node, dict):
        return []
    own = [name] if node.get("type") == "null" else []
    return own + [found for key, value in node.items() for found in null_fields(value, name if key in {"anyOf", "items"} else key)]


def test_all_schemas_go_into_a_directory(tmp_path: Path) -> None:
    """One file per type, each a JSON document that names itself."""
    ran = parley("schema", "--all", str(tmp_path / "schemas"))
    assert ran.code == 0
    files = sorted((tmp_path / "schemas").iterdir())
    assert len(files) == len(models())
    assert all(json.loads(path.read_text(encoding="utf-8"))["$id"].endswith(path.stem) for path in files)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in the way is told, with what to do."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    ran = parley("schema", "--all", str(tmp_path / "taken"))
    assert ran.code == 1
    assert "choose another directory" in ran.err


def test_a_misspelt_type_gets_a_suggestion() -> None:
    """The nearest name is offered."""
    ran = parley("schema", "mesage.received")
    assert ran.code == 1
    assert "did you mean message.received?" in ran.err


def test_a_type_and_all_together_are_refused(tmp_path: Path) -> None:
    """It would not be clear which is meant."""
    assert parley("schema", "reply", "--all", str(tmp_path)).code == 2
