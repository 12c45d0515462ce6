"""The AsyncAPI document: every topic, what may stand on it, and who writes and reads it, made from the events' models.

FastStream makes the messages and their schemas. It describes one application with one message per channel; ours are several
applications that share topics with many types of event, so its parts are put together here: one channel per topic with all its
messages, one operation per application and topic, one envelope that all events share. Nothing is connected to make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from shared.engine.topic_admin import RECORD_OVERHEAD_BYTES
from shared.events.envelope import Event, EventData, event_class
from shared.events.json_schema import without_optional_nulls
from shared.topics import (
    AGENTS,
    ASSIGNMENTS,
    COMMANDS,
    CONVERSATIONS,
    DELIVERIES,
    INBOUND,
    RECORD_BYTES_MAX,
    REJECTED,
    SENDS,
    SLA,
    TOPICS,
    WORK,
    Topic,
    dead_letters_of,
)

Json = dict[str, Any]

ASYNCAPI_VERSION = "3.0.0"
DEAD_CHANNEL = "dead"
ENVELOPE = "Envelope"
TOLD_APART_BY = "kind"
"""The field by which contents are told apart."""
_KEYS = {
    "thread": "The thread id: <channel>:<account>:<customer>, the same as `subject`.",
    "pool": "The pool of agents, the same as `subject`.",
    "account": "The account on the channel, the same as `subject`.",
    "source": "As the record that could not be taken.",
}


@dataclass(frozen=True, slots=True)
class Application:
    """Something that sends and receives events. `group` is its consumer group without the prefix; ours also have dead letters."""

    name: str
    purpose: str
    sends: tuple[Topic, ...] = ()
    receives: tuple[Topic, ...] = ()
    group: str | None = None

    @property
    def service(self) -> str:
        """Return the service that it is a part of."""
        return self.name.split(".", 1)[0]


APPLICATIONS: tuple[Application, ...] = (
    Application("ingest", "Takes the channels' webhooks in.", sends=(INBOUND, DELIVERIES, REJECTED)),
    Application(
        "router.conversation",
        "Opens conversations, appends messages, says who answers.",
        sends=(CONVERSATIONS, WORK),
        receives=(INBOUND, COMMANDS, ASSIGNMENTS, DELIVERIES, SLA),
        group="conversation",
    ),
    Application("router.dispatch", "Gives waiting work to agents.", sends=(ASSIGNMENTS,), receives=(WORK, AGENTS), group="dispatch"),
    Application("bot", "Answers by flows and FAQ, and hands over.", sends=(COMMANDS,), receives=(CONVERSATIONS,), group="bot"),
    Application(
        "sla",
        "Watches reply windows and promises, and says what may go out.",
        sends=(SLA, SENDS),
        receives=(CONVERSATIONS, DELIVERIES),
        group="sla",
    ),
    Application("outbound", "Sends over the channels' APIs.", sends=(DELIVERIES,), receives=(SENDS,), group="outbound"),
    Application(
        "integrator",
        "A desk, a report, a bot of your own: with a consumer group of its own.",
        sends=(INBOUND, COMMANDS, AGENTS),
        receives=(CONVERSATIONS, ASSIGNMENTS, SLA, SENDS, DELIVERIES),
    ),
)
"""Who sends and who receives what. A test holds it to what the reducers and the worker really read."""

GROUPS: tuple[str, ...] = tuple(application.group for application in APPLICATIONS if application.group is not None)
"""Every reducer and worker: the name of its consumer group, and of its dead letters."""


def build_document(*, version: str, topic_prefix: str, partitions: int, bootstrap_servers: str = "127.0.0.1:9092") -> Json:
    """Return the document; `partitions` is what the channels are described with."""
    made = _made_by_faststream(version, topic_prefix, bootstrap_servers)
    schemas: Json = {name: _tidied(schema) for name, schema in without_optional_nulls(made["components"]["schemas"]).items()}
    _share_envelope(schemas)
    channels = {topic.name: _channel(topic, topic_prefix + topic.name, partitions) for topic in TOPICS}
    channels[DEAD_CHANNEL] = {
        **_channel(dead_letters_of("group"), f"{topic_prefix}dead.{{group}}", partitions),
        "parameters": {"group": {"description": "The reducer or worker that could not take the record.", "enum": list(GROUPS)}},
    }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Parley",
            "version": version,
            "description": (
                "Every fact and every command of a contact centre as a CloudEvents 1.0 document (structured JSON). "
                "The Kafka key is the event's `subject`; records are placed by Kafka's default hash (murmur2) of the key. "
                "Changes within a version only add: ignore fields that you do not know, skip types that you do not know."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {"kafka": {"host": bootstrap_servers, "protocol": "kafka", "description": "Where KAFKA_BOOTSTRAP_SERVERS points."}},
        "channels": channels,
        "operations": dict(_operations(topic_prefix)),
        "components": {
            "messages": {model.NAME: _message(model) for model in _models()},
            "schemas": {name: schemas[name] for name in sorted(schemas)},
        },
    }


# --- what FastStream makes ------------------------------------------------------------------------------------------------


def _made_by_faststream(version: str, topic_prefix: str, bootstrap_servers: str) -> Json:
    """Return FastStream's document of one publisher per type of event. The broker is never started."""
    broker = KafkaBroker(bootstrap_servers)
    for model in _models():
        broker.publisher(topic_prefix + model.NAME, title=model.NAME, schema=event_class(model))
    document: Json = AsyncAPI(broker, title="Parley", version=version, schema_version=ASYNCAPI_VERSION).to_specification().to_jsonable()
    return document


def _models() -> Iterator[type[EventData]]:
    """Yield the model of every type of event, each once, in the order of the topics."""
    seen: set[type[EventData]] = set()
    for topic in (*TOPICS, dead_letters_of("group")):
        for model in topic.models:
            if model not in seen:
                seen.add(model)
                yield model


def _tidied(schema: Json) -> Json:
    """Return a schema without the titles that pydantic makes of field names; what tells a union's members apart is required."""
    properties = schema.get("properties")
    if properties is None:
        return schema
    required = schema.get("required", [])
    if "const" in properties.get(TOLD_APART_BY, {}):
        required = [TOLD_APART_BY, *required]
    untitled = {name: {k: v for k, v in one.items() if k != "title"} for name, one in properties.items()}
    return {**schema, "properties": untitled, **({"required": required} if required else {})}


def _share_envelope(schemas: Json) -> None:
    """Write the envelope once, and in each event only its type and its data."""
    shared = [name for name in Event.model_fields if name not in {"type", "data"}]
    events = [event_class(model) for model in _models()]
    first = schemas[events[0].__name__]
    schemas[ENVELOPE] = {
        "type": "object",
        "title": ENVELOPE,
        "description": " ".join((Event.__doc__ or "").split()),
        "properties": {name: first["properties"][name] for name in shared},
        "required": ["specversion", "type", *(name for name in first["required"] if name != "data")],
    }
    for event in events:
        own = schemas[event.__name__]["properties"]
        schemas[event.__name__] = {
            "title": event.__name__,
            "allOf": [
                {"$ref": f"#/components/schemas/{ENVELOPE}"},
                {
                    "type": "object",
                    "properties": {"type": {"type": "string", "const": own["type"]["const"]}, "data": own["data"]},
                    "required": ["type", "data"],
                },
            ],
        }


# --- channels, messages, operations -----------------------------------------------------------------------------------------


def _channel(topic: Topic, address: str, partitions: int) -> Json:
    return {
        "address": address,
        "description": f"Keyed by {topic.key}.",
        "messages": {model.NAME: {"$ref": f"#/components/messages/{model.NAME}"} for model in topic.models},
        "bindings": {
            "kafka": {
                "topic": address,
                "partitions": partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_milliseconds,
                    "max.message.bytes": RECORD_BYTES_MAX + RECORD_OVERHEAD_BYTES,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(model: type[EventData]) -> Json:
    key = next(topic.key for topic in (*TOPICS, dead_letters_of("group")) if model in topic.models)
    return {
        "name": model.event_type(),
        "title": model.NAME,
        "summary": " ".join((model.__doc__ or "").split()),
        "contentType": "application/cloudevents+json",
        "correlationId": {"description": "The id of what caused it.", "location": "$message.payload#/causationid"},
        "payload": {"$ref": f"#/components/schemas/{event_class(model).__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": _KEYS[key]}, "bindingVersion": "0.5.0"}},
    }


def _operations(topic_prefix: str) -> Iterator[tuple[str, Json]]:
    for application in APPLICATIONS:
        for topic in application.receives:
            yield f"{application.name}.receives.{topic.name}", _operation(application, "receive", topic.name, topic.models, topic_prefix)
        for topic in application.sends:
            yield f"{application.name}.sends.{topic.name}", _operation(application, "send", topic.name, topic.models, topic_prefix)
        if application.group is not None:
            models = dead_letters_of(application.group).models
            yield f"{application.name}.sends.{DEAD_CHANNEL}", _operation(application, "send", DEAD_CHANNEL, models, topic_prefix)


def _operation(application: Application, action: str, channel: str, models: Iterable[type[EventData]], topic_prefix: str) -> Json:
    operation: Json = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": application.purpose,
        "tags": [{"name": application.service}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{model.NAME}"} for model in models],
    }
    if action == "receive" and application.group is not None:
        group = {"type": "string", "enum": [topic_prefix + application.group]}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": "0.5.0"}}
    return operation
