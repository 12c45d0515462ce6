"""JSON Schemas of the events, as whoever publishes or reads them needs them."""

from __future__ import annotations

import json
from collections import defaultdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cli.output import say, table
from shared.errors import ParleyError
from shared.events.envelope import TYPE_PREFIX, EventData, event_class
from shared.events.json_schema import without_optional_nulls
from shared.topics import TOPICS, dead_letters_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def models() -> dict[str, type[EventData]]:
    """Return the model of every event type, in the order of the topics."""
    topics = (*TOPICS, dead_letters_of("reducer"))
    return {model.event_type(): model for topic in topics for model in topic.models}


def schema_of(model: type[EventData]) -> dict[str, Any]:
    """Return the JSON Schema of `model` in its envelope.

    Optional fields are absent, never null, so the schema does not offer null where absence says the same.
    """
    schema = event_class(model).model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, "$id": f"urn:parley:event:{model.event_type()}", **without_optional_nulls(schema)}


def _model(wanted: str) -> type[EventData]:
    """Return the model of an event type, given in full or without `parley.` and version."""
    known = models()
    by_name = {model.NAME: model for model in known.values()}
    found = known.get(wanted) or by_name.get(wanted.removeprefix(TYPE_PREFIX))
    if found is None:
        close = get_close_matches(wanted, [*by_name, *known], n=1)
        hint = f"did you mean {close[0]}?" if close else "`parley schema` lists them"
        raise ParleyError(f"no event type is called {wanted}; {hint}")
    return found


def print_one(wanted: str) -> None:
    """Print one schema. Raises ParleyError for a type that there is not."""
    say(_as_text(schema_of(_model(wanted))).rstrip())


def print_list() -> None:
    """List the event types with their topics."""
    topics: dict[str, list[str]] = defaultdict(list)
    for topic in (*TOPICS, dead_letters_of("<reducer>")):
        for model in topic.models:
            topics[model.event_type()].append(topic.name)
    rows = [(kind, ", ".join(topics[kind]), (model.__doc__ or "").splitlines()[0]) for kind, model in models().items()]
    table(("type", "topic", "what it says"), rows)


def write_all(directory: Path) -> None:
    """Write every schema into `directory`, one file per type. Raises ParleyError where it cannot be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kind, model in models().items():
            (directory / f"{kind}.json").write_text(_as_text(schema_of(model)), encoding="utf-8")
    except OSError as error:
        raise ParleyError(f"{directory} cannot be written ({error.strerror}): choose another directory") from error
    say(f"{len(models())} schemas in {directory}")


def _as_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
