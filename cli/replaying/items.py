"""What a letter becomes when it is replayed: records for the topics, or the reason why not. Pure.

A dead letter's record goes out as it was but for `replayof` and `replayafter`: fields that this version does not know stay. A rejected
webhook is read again by its channel and judged by ingest's own rule, with the configuration of now.
"""

from __future__ import annotations

import base64
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cli.replaying.letters import Letter
from services.ingest.core import IntakeRecord, Webhook, accept
from shared.channels.contract import UNKNOWN_ACCOUNT, Channels
from shared.engine.records import Publication
from shared.errors import InvalidEventError
from shared.events.envelope import Event, UnknownTypeError
from shared.events.rejected import DeadLetter, WebhookRejected
from shared.topics import RECORD_BYTES_MAX, TOPICS

_TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}


@dataclass(frozen=True, slots=True)
class Ready:
    """What is published for a letter, in order. `event_ids` are those of the events in it."""

    letter: Letter
    publications: tuple[Publication, ...]
    event_ids: tuple[str, ...]
    what: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that cannot be replayed, and why."""

    letter: Letter
    why: str


def of_dead_letter(letter: Letter, data: DeadLetter, value: bytes) -> Ready | Refused:  # noqa: PLR0911 # one return per reason: it reads as a table
    """Return what becomes of a dead letter whose record's whole value is `value`."""
    topic = _TOPIC_BY_NAME.get(data.topic)
    key = _key_of(data)
    if topic is None:
        return Refused(letter, f"this version has no topic {data.topic}")
    if key is None:
        return Refused(letter, "the record has no key that is text: correct the sender, it must publish the event again")
    try:
        event = topic.decode(value)
    except UnknownTypeError:
        return Refused(letter, "an event type that this version does not know: replay it with the version that does")
    except InvalidEventError as error:
        return Refused(letter, f"still no valid event ({error}): correct the sender, it must publish the event again")
    if event.subject != key:
        return Refused(letter, "its subject is not the record's key: correct the sender, it must publish the event again")
    document = orjson.loads(value)
    document.pop("replayafter", None)  # of the replay that failed again: what goes before this one is decided anew
    marked = orjson.dumps({**document, "replayof": letter.id})
    if len(marked) > RECORD_BYTES_MAX:
        return Refused(letter, f"with the mark of a replay it is larger than {RECORD_BYTES_MAX} bytes")
    return Ready(letter, (Publication(topic, key, marked),), (event.id,), event.data.NAME)


def behind(ready: Ready, event_id: str) -> Ready | None:
    """Return the replay of a dead letter as one that takes effect only behind the event `event_id`; None: the mark does not fit in."""
    (publication,) = ready.publications
    marked = orjson.dumps({**orjson.loads(publication.value), "replayafter": event_id})
    return None if len(marked) > RECORD_BYTES_MAX else replace(ready, publications=(publication._replace(value=marked),))


def _key_of(data: DeadLetter) -> str | None:
    """Return the record's own key, or None where it had none or it is no text."""
    try:
        return base64.b64decode(data.key, validate=True).decode() if data.key else None
    except ValueError:  # no base64, no ASCII at all, or no UTF-8 in it
        return None


def of_rejected(letter: Letter, event: Event[WebhookRejected], channels: Channels, accounts: Container[str]) -> Ready | Refused:
    """Return what becomes of a rejected webhook now. `accounts` are the configured ones as `<channel>:<account>`."""
    data = event.data
    channel = channels.get(data.channel)
    if channel is None:
        return Refused(letter, f"this installation has no channel {data.channel}")
    try:
        body = base64.b64decode(data.body, validate=True)
    except ValueError:  # no base64, or no ASCII at all
        return Refused(letter, "what was kept of it is no base64")
    account = None if data.account == UNKNOWN_ACCOUNT else data.account
    webhook = Webhook(data.channel, data.received_at, account, data.headers, event.traceparent)
    intake = accept(channel.parse(body, data.received_at, account=account), webhook, accounts)
    again = next((record.event.data for record in intake.records if isinstance(record.event.data, WebhookRejected)), None)
    if again is not None:
        return Refused(letter, f"still rejected: {again.explanation}")
    if not intake.records:
        return Refused(letter, f"it is understood now, and nothing follows from it ({', '.join(intake.counts.ignored) or 'no item'})")
    publications = tuple(_marked(record, letter.id) for record in intake.records)
    names = ", ".join(dict.fromkeys(record.event.data.NAME for record in intake.records))
    return Ready(letter, publications, tuple(record.event.id for record in intake.records), names)


def _marked(record: IntakeRecord, letter_id: str) -> Publication:
    """Return the record as a replay."""
    event: Event[Any] = record.event.but(replayof=letter_id)
    return Publication(record.topic, record.key, event.to_json())
