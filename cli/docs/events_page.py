"""docs/events.md: every event and command with its fields, from the AsyncAPI document."""

from __future__ import annotations

from typing import Any

from cli.docs.tables import GENERATED, code, table
from shared.asyncapi import APPLICATIONS, ENVELOPE

Json = dict[str, Any]

_ATTRIBUTES = {
    "specversion": "CloudEvents' version.",
    "id": "The same fact has the same id, however often it is written.",
    "source": "`parley/<service>/<reducer>`, or the integrator's own URI.",
    "type": "`parley.<name>.v<version>`.",
    "subject": "The Kafka key: the thread id `<channel>:<account>:<customer>`, or the pool, or the account.",
    "time": "When it was decided or received.",
    "datacontenttype": "Of `data`.",
    "seq": "Grows with every output of the emitting state; absent from sources without state.",
    "previousseq": "The `seq` of that state's last output before this one on the same topic and key; 0: there was none.",
    "emitter": "Key of the emitting state where it is not the subject.",
    "causationid": "The `id` of what caused it.",
    "traceparent": "W3C trace context.",
    "replayof": "Set by `parley replay`: the id of the dead letter; such a record is judged by its id, not by `seq`.",
    "replayafter": "Set beside `replayof`: the id of the event whose replay goes before; this one takes effect only after it.",
}


def events_page(document: Json) -> str:
    """Return the page."""
    schemas: Json = document["components"]["schemas"]
    described = {event["payload"]["$ref"].rsplit("/", 1)[-1]: event for event in document["components"]["messages"].values()}
    lines = [
        "# Events",
        "",
        GENERATED,
        "",
        "What stands on the topics, for whoever reads or writes them: [integrators.md](integrators.md) shows how. Facts are past tense,",
        "commands imperative. Times are RFC 3339 in UTC with milliseconds. Optional fields are absent, never null, except where null is",
        "listed. The same as a machine reads it: [asyncapi.yaml](asyncapi.yaml), and JSON Schema per type from `parley schema`.",
        "",
        "## Envelope",
        "",
        "Each record is a CloudEvents 1.0 document in structured JSON.",
        "",
        *_fields_with_meaning(schemas[ENVELOPE]),
    ]
    for name, channel in document["channels"].items():
        lines += ["", f"## {code(channel['address'])}", "", f"{channel['description']} {_traffic(name)}"]
        for message in channel["messages"]:
            event = document["components"]["messages"][message]
            data = _data_of(schemas[event["payload"]["$ref"].rsplit("/", 1)[-1]])
            lines += ["", f"### {message}", "", f"`{event['name']}`. {event['summary']}", *_fields(schemas[data])]
    shapes = [name for name in schemas if name not in described and name != ENVELOPE and name not in set(map(_data_of, _events(document)))]
    lines += ["", "## Shapes", "", "What several events share.", "", "### Content", "", *_content(schemas)]
    for name in shapes:
        lines += ["", f"### {name}", "", " ".join(schemas[name].get("description", "").split()), *_fields(schemas[name])]
    return "\n".join(lines) + "\n"


def _content(schemas: Json) -> list[str]:
    """Return the list of what a message may hold; a reply may hold any of it."""
    names = [one["$ref"].rsplit("/", 1)[-1] for one in schemas["MessageReceived"]["properties"]["content"]["oneOf"]]
    links = ", ".join(f"{code(schemas[name]['properties']['kind']['const'])} [{name}](#{name.lower()})" for name in names)
    return [f"What a message holds, told apart by `kind`: {links}."]


def _events(document: Json) -> list[Json]:
    return [schema for schema in document["components"]["schemas"].values() if "allOf" in schema]


def _data_of(event: Json) -> str:
    return str(event["allOf"][1]["properties"]["data"]["$ref"].rsplit("/", 1)[-1])


def _traffic(channel: str) -> str:
    """Say who writes and who reads a channel."""
    if channel == "dead":
        return "Written by the reducer or worker that could not take the record; read by operators."
    writers = [one.name for one in APPLICATIONS if channel in {topic.name for topic in one.sends}]
    readers = [one.name for one in APPLICATIONS if channel in {topic.name for topic in one.receives}]
    return f"Written by {', '.join(writers)}; read by {', '.join(readers) or 'operators'}."


def _fields(schema: Json) -> list[str]:
    """Return the table of a schema's fields; nothing where it has none."""
    if "enum" in schema:
        return ["", "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."]
    properties = schema.get("properties", {})
    if not properties:
        return []
    required = schema.get("required", ())
    rows = [(code(name), _kind(one), "yes" if name in required else _default(one)) for name, one in properties.items()]
    return ["", *table(("field", "type", "required"), rows)]


def _fields_with_meaning(schema: Json) -> list[str]:
    properties = {"specversion": schema["properties"]["specversion"], **schema["properties"], "type": {"type": "string"}}
    ordered = [name for name in _ATTRIBUTES if name in properties]
    required = schema["required"]
    return table(
        ("attribute", "type", "required", "what it says"),
        [(code(name), _kind(properties[name]), "yes" if name in required else "", _ATTRIBUTES[name]) for name in ordered],
    )


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "" if default in (None, [], {}, "") or "const" in schema else f"else {code(str(default).lower())}"


def _kind(schema: Json) -> str:
    """Return a schema's type in words; another schema as a link to its place on the page."""
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if "discriminator" in schema:
        words = "[Content](#content)"
    elif "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        words = f"[{name}](#{name.lower()})"
    elif "const" in schema:
        words = code(str(schema["const"]))
    elif "enum" in schema:
        words = " · ".join(code(str(value)) for value in schema["enum"])
    elif alternatives:
        words = " or ".join(_kind(one) for one in alternatives)
    else:
        words = _plain_kind(schema)
    return words


def _plain_kind(schema: Json) -> str:
    """Return the words for a schema that says what it is by its type alone."""
    match schema.get("type", "any"):
        case "array":
            inner = schema.get("items", {})
            return f"list of {_kind(inner)}" if inner else f"list of {len(schema.get('prefixItems', ()))}"
        case "object":
            values = schema.get("additionalProperties")
            return f"map to {_kind(values)}" if isinstance(values, dict) and values else "object"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case kind:
            return str(kind)
