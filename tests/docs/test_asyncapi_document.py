"""The AsyncAPI document: its structure, and that it says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from cli.topic_table import READERS, TRAFFIC
from services.bot.core.reducer import BotReducer
from services.router.core.conversation import ConversationReducer
from services.router.core.dispatch import DispatchReducer
from services.sla.core.thread import SlaReducer
from shared.asyncapi import APPLICATIONS, DEAD_CHANNEL, ENVELOPE, GROUPS, build_document
from shared.events.envelope import Event, EventData, event_class
from shared.events.json_schema import without_optional_nulls
from shared.topics import SENDS, TOPICS, all_topics

COMPONENT_NAME = re.compile(r"^[a-zA-Z0-9._-]+$")
"""What AsyncAPI 3.0 allows as the name of a component."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as `make docs` writes it."""
    return build_document(version="1.2.3", topic_prefix="parley.", partitions=24)


def models() -> list[type[EventData]]:
    """Every type of event."""
    return [model for topic in all_topics(["any"]) for model in topic.models]


def references(node: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    """Return what a reference points at; KeyError where there is nothing."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_document_has_the_fields_that_asyncapi_3_requires(document: dict[str, Any]) -> None:
    """Version, title, servers with host and protocol, operations with action and channel."""
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"] == "Parley"
    assert document["info"]["version"] == "1.2.3"
    assert all({"host", "protocol"} <= server.keys() for server in document["servers"].values())
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}
    assert all("channel" in operation for operation in document["operations"].values())


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No reference dangles, and every component is called as AsyncAPI allows."""
    for reference in set(references(document)):
        assert resolve(document, reference) is not None, reference
    for part in (document["channels"], document["operations"], *document["components"].values()):
        assert [name for name in part if not COMPONENT_NAME.match(name)] == []


def test_there_is_a_channel_per_topic_with_all_its_messages(document: dict[str, Any]) -> None:
    """The ten topics and the dead letters; each with every type that may stand on it."""
    assert list(document["channels"]) == [*(topic.name for topic in TOPICS), DEAD_CHANNEL]
    for topic in TOPICS:
        channel = document["channels"][topic.name]
        assert channel["address"] == f"parley.{topic.name}"
        assert list(channel["messages"]) == [model.NAME for model in topic.models]
    assert document["channels"][DEAD_CHANNEL]["parameters"]["group"]["enum"] == list(GROUPS)


def test_operations_speak_only_of_messages_of_their_channel(document: dict[str, Any]) -> None:
    """AsyncAPI lets an operation name a subset of its channel's messages, and no other."""
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"]), name


@pytest.mark.parametrize("model", models(), ids=lambda model: model.NAME)
def test_payload_has_the_fields_of_the_model(document: dict[str, Any], model: type[EventData]) -> None:
    """A message's payload is the envelope with this type and these data: nothing left out, nothing made up."""
    message = document["components"]["messages"][model.NAME]
    envelope, own = resolve(document, message["payload"]["$ref"])["allOf"]
    assert message["name"] == own["properties"]["type"]["const"] == model.event_type()
    data = resolve(document, own["properties"]["data"]["$ref"])
    by_alias = {field.alias or name: field for name, field in model.model_fields.items()}
    assert data.get("properties", {}).keys() == by_alias.keys()
    assert {name for name, field in by_alias.items() if field.is_required()} == set(data.get("required", ()))
    assert envelope["$ref"].endswith(ENVELOPE)


def test_envelope_has_every_attribute(document: dict[str, Any]) -> None:
    """The envelope and the event together have the attributes of an Event."""
    envelope = document["components"]["schemas"][ENVELOPE]["properties"]
    assert envelope.keys() | {"type", "data"} == Event.model_fields.keys()
    assert set(document["components"]["schemas"][ENVELOPE]["required"]) == {"specversion", "type", "id", "source", "subject", "time"}


def test_every_event_has_a_message(document: dict[str, Any]) -> None:
    """A type that is added to a topic appears by itself."""
    assert set(document["components"]["messages"]) == {model.NAME for model in models()}
    assert {event_class(model).__name__ for model in models()} <= document["components"]["schemas"].keys()


def test_nothing_optional_is_offered_as_null(document: dict[str, Any]) -> None:
    """Absent says it; only a field that must be there may be null, as a reaction's emoji."""
    schemas = document["components"]["schemas"]
    nullable = {
        (name, field)
        for name, schema in schemas.items()
        for field, one in schema.get("properties", {}).items()
        if {"type": "null"} in one.get("anyOf", ())
    }
    assert nullable == {("ReactionChanged", "emoji")}


def test_contents_are_told_apart_by_a_field_that_is_there(document: dict[str, Any]) -> None:
    """Each of the contents of a message requires `kind`, and no two have the same."""
    schemas = document["components"]["schemas"]
    names = [one["$ref"].rsplit("/", 1)[-1] for one in schemas["MessageReceived"]["properties"]["content"]["oneOf"]]
    assert all("kind" in schemas[name]["required"] for name in names)
    assert len({schemas[name]["properties"]["kind"]["const"] for name in names}) == len(names)


def test_union_of_several_types_keeps_its_alternatives() -> None:
    """`A or B or null, default null` becomes `A or B`, wherever it stands; a required null stays."""
    union = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}], "default": None, "title": "x"}
    required = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert without_optional_nulls([{"in": union}, required]) == [
        {"in": {"title": "x", "anyOf": [{"type": "string"}, {"type": "integer"}]}},
        required,
    ]


def test_applications_receive_what_the_code_reads() -> None:
    """The table says of each reducer and of the worker exactly the topics that it subscribes to."""
    read = {application.group: set(application.receives) for application in APPLICATIONS if application.group}
    assert read == {
        "conversation": set(ConversationReducer.inputs),
        "dispatch": set(DispatchReducer.inputs),
        "bot": set(BotReducer.inputs),
        "sla": set(SlaReducer.inputs),
        "outbound": {SENDS},
    }


def test_applications_agree_with_what_parley_topics_describes() -> None:
    """`parley topics describe` and the document name the same writers and readers of every topic."""
    assert set(GROUPS) == set(READERS)
    for topic in TOPICS:
        writers = {application.service for application in APPLICATIONS if topic in application.sends}
        told = {
            writer.split(" ")[0].removesuffix("s") if writer == "integrators" else writer.split(" ")[0]
            for writer in TRAFFIC[topic.name].written_by
        }
        assert writers - {"integrator"} == told - {"integrator", "desk"}, topic.name
        readers = {application.group for application in APPLICATIONS if application.group and topic in application.receives}
        assert readers == set(TRAFFIC[topic.name].readers), topic.name
