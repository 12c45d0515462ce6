"""Records for the topics' readers: events drawn from the models, made likely, and then spoilt.

A case is a short history: good records of one key, a bad one among them, and a good one of another key that must not notice.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings

from shared.contact_centre.loader import load_contact_centre
from shared.engine.placement import partition_of
from shared.engine.records import Record
from shared.errors import InvalidEventError
from shared.events.envelope import EventData, format_time
from shared.topics import TOPICS, Topic, dead_letters_of
from tests.flow.house import CONFIG, MONDAY_MORNING
from tests.fuzz.canaries import PHONE_DIGITS, planted_phone, planted_text
from tests.fuzz.mutation import mutated, mutated_bytes
from tests.fuzz.nasties import BODIES, OVERLONG, any_value
from tests.fuzz.wire import write
from tests.shared.events.event_strategies import models

NOW = MONDAY_MORNING
PARTITIONS = 4
EXAMPLES_PER_MODEL = 12
HISTORY_MAX = 6
LARGE_BYTES = 1_000_000
LARGE_IN = 400
LIKELY_PERCENT = 70
"""How often a field is given a value that some other event could name too, so that rules get beyond their first question."""
TOPIC_BY_NAME = {topic.name: topic for topic in (*TOPICS, dead_letters_of("conversation"))}
DELTAS = tuple(timedelta(seconds=seconds) for seconds in (-86_400 * 3, -3_600, -1, 0, 1, 60, 3_600, 86_400))


@cache
def examples(model: type[EventData], draw: int) -> tuple[bytes, ...]:
    """Return instances of `model` as JSON, drawn by hypothesis; the same for the same `draw`."""
    found: list[bytes] = []

    @seed(draw)
    @settings(
        max_examples=EXAMPLES_PER_MODEL,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(models(model))
    def collect(value: EventData) -> None:
        found.append(value.model_dump_json(exclude_none=True).encode())

    collect()
    return tuple(found)


@cache
def likely() -> dict[str, tuple[Any, ...]]:
    """Return values that fields of these names have in a contact centre like the example."""
    centre = load_contact_centre(CONFIG)
    threads = [f"{key}:{PHONE_DIGITS}{number}" for key in centre.accounts for number in range(3)]
    conversations = tuple(f"{thread}/{number}" for thread in threads for number in (1, 2))
    agents = tuple(centre.agents)
    messages = tuple(f"wamid.{number}" for number in range(4))
    return {
        "conversation_id": conversations,
        "thread": tuple(threads),
        "agent": agents,
        "agents": (agents[:2],),
        "department": tuple(centre.departments),
        "pool": tuple(centre.pools),
        "language": (*centre.languages, "xx"),
        "reply_id": ("r1", "r2", "r3"),
        "send_id": ("s1", "s2"),
        "message_id": messages,
        "reply_to": messages,
        "channel": tuple({key.split(":", 1)[0] for key in centre.accounts}),
        "account": tuple(key.split(":", 1)[1] for key in centre.accounts),
        "epoch": (0, 1, 2, 3),
        "position": (1, 2),
        "offer_id": ("o1", "o2"),
    }  # fmt: skip


def made_likely(value: Any, chance: random.Random, name: str = "") -> Any:  # noqa: PLR0911 # one return per kind of value: it reads as a table
    """Return an event's data with names and times that fit into the contact centre, mostly."""
    if isinstance(value, dict):
        return {field: made_likely(entry, chance, field) for field, entry in value.items()}
    if isinstance(value, list):
        return [made_likely(entry, chance, name) for entry in value]
    if chance.randrange(100) >= LIKELY_PERCENT:
        return value
    known = likely().get(name)
    if known and not isinstance(value, bool):
        return chance.choice(known)
    if isinstance(value, str) and value[-1:] == "Z" and len(value) == len("2026-11-22T12:00:00.000Z"):
        return format_time(NOW + chance.choice(DELTAS))
    if isinstance(value, str) and name in {"text", "title", "note", "summary", "caption", "explanation"}:
        return planted_text(chance)
    if isinstance(value, str) and name == "phone":
        return planted_phone(chance)
    return value


class RecordMaker:
    """Makes histories of records on `topics`, all with the same kind of key."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self._topics = topics
        self._is_pool = topics[0].key == "pool"

    def keys(self, chance: random.Random) -> tuple[str, str]:
        """Return the key of the history and the key of the one beside it; telephone numbers stand in threads' ids."""
        if self._is_pool:
            pools = likely()["pool"]
            return chance.choice(pools), "a-pool-beside"
        account = chance.choice(likely()["account"])
        channel = chance.choice(likely()["channel"])
        return f"{channel}:{account}:{PHONE_DIGITS}{chance.randrange(5)}", f"{channel}:{account}:{PHONE_DIGITS}9"

    def event(self, key: str, chance: random.Random, draw: int, number: int) -> tuple[Topic, dict[str, Any]]:
        """Return a good event of `key`, as plain data."""
        topic = chance.choice(self._topics)
        model = chance.choice(topic.models)
        document: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"fuzz/{number}",
            "source": chance.choice(("https://crm.example", "parley/ingest", "parley/router/conversation", "parley/router/dispatch")),
            "type": model.event_type(),
            "subject": key,
            "time": format_time(NOW + chance.choice(DELTAS)),
            "datacontenttype": "application/json",
            "data": made_likely(orjson.loads(chance.choice(examples(model, draw))), chance),
        }
        if chance.randrange(3) == 0:
            document |= {"seq": number + 1, "previousseq": number}
        if chance.randrange(6) == 0:
            document["emitter"] = chance.choice(("a-pool", "b"))
        return topic, document

    def history(self, chance: random.Random, draw: int) -> tuple[list[dict[str, Any]], int]:
        """Return a history as plain data, and which of its records is the bad one; the last record is the one beside it."""
        key, beside = self.keys(chance)
        size = chance.randrange(1, HISTORY_MAX + 1)
        bad = chance.randrange(size)
        made: list[dict[str, Any]] = []
        for number in range(size):
            if number == bad:
                topic, document = self.event(key, chance, draw, number)
                made.append(self._spoilt(topic, key, document, chance))
            else:
                made.append(self._good(key, chance, draw, number))
        made.append(self._good(beside, chance, draw, size))
        return made, bad

    def _good(self, key: str, chance: random.Random, draw: int, number: int) -> dict[str, Any]:
        """Return a record that is surely valid."""
        while True:
            topic, document = self.event(key, chance, draw, number)
            value = write(document)
            try:
                topic.decode(value)
            except InvalidEventError:
                continue
            return packed_record(topic, key.encode(), value)

    def _spoilt(self, topic: Topic, key: str, document: dict[str, Any], chance: random.Random) -> dict[str, Any]:  # noqa: C901, PLR0911 # one case per kind: it reads as a table
        """Return a bad record in the place of a good one."""
        raw = key.encode()
        if chance.randrange(LARGE_IN) == 0:
            document["data"] = chance.choice(
                (["x"] * (LARGE_BYTES // 4), {"text": "x" * LARGE_BYTES}, write(any_value(chance)).decode("latin-1"))
            )
            return packed_record(topic, raw, write(document)[: 2 * LARGE_BYTES])
        match chance.randrange(20):
            case 0:
                return packed_record(topic, raw, chance.choice(BODIES)[1]())
            case 1:
                return packed_record(topic, raw, None)
            case 2:
                strange = chance.choice((None, b"", OVERLONG[0], b"x" * 10_000, planted_phone(chance).encode(), b"a:b", b"\x00"))
                return packed_record(topic, strange, write(document))
            case 3:
                return packed_record(topic, raw, mutated_bytes(write(document), chance))
            case 4:
                return packed_record(topic, raw, write(document), partition=chance.randrange(PARTITIONS))
            case 5:
                return packed_record(
                    topic, raw, write({**document, "type": chance.choice(("parley.no.such.v1", "", 7, planted_text(chance)))})
                )
            case 6 | 7:
                name = chance.choice(
                    ("seq", "previousseq", "time", "id", "subject", "source", "emitter", "replayof", "causationid", "data")
                )
                return packed_record(topic, raw, write({**document, name: any_value(chance)}))
            case 8 | 9 | 11 | 12 | 13:
                return packed_record(topic, raw, write(document))
            case 10:
                other = chance.choice(TOPICS)
                return packed_record(other if other.key == topic.key and other in self._topics else topic, raw, write(document))
            case _:
                document["data"] = mutated(document["data"], chance, [])
                return packed_record(topic, raw, write(document))


def packed_record(topic: Topic, key: bytes | None, value: bytes | None, *, partition: int | None = None) -> dict[str, Any]:
    """Return a record as plain data, for a case's body."""
    return {
        "topic": topic.name,
        "partition": partition_of(key or b"", PARTITIONS) if partition is None else partition,
        "key": None if key is None else base64.b64encode(key).decode(),
        "value": None if value is None else base64.b64encode(value).decode(),
    }


def unpacked(history: Sequence[dict[str, Any]]) -> list[Record]:
    """Return the records of a history, with offsets as the broker would give them."""
    records: list[Record] = []
    offsets: dict[tuple[str, int], int] = {}
    for one in history:
        place = one["topic"], one["partition"]
        offset = offsets.setdefault(place, 0)
        offsets[place] += 1
        key = None if one["key"] is None else base64.b64decode(one["key"])
        value = None if one["value"] is None else base64.b64decode(one["value"])
        records.append(Record(TOPIC_BY_NAME[one["topic"]], one["partition"], offset, key, value, int(NOW.timestamp() * 1000)))
    return records
