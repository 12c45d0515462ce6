"""The envelope: every record on a topic is a CloudEvents 1.0 document in structured JSON.

`Event[D]` carries the CloudEvents attributes and our extensions; `D` is the frozen model of `data`. The `type` attribute
(`parley.<name>.v<version>`) is derived from `D`, so it is written down once, beside the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, cast

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError, create_model

from shared.errors import InvalidEventError
from shared.json_bytes import json_bytes

TYPE_PREFIX = "parley."
TIMES_CACHED_MAX = 4_096
TIME_MIN = datetime(1970, 1, 1, tzinfo=UTC)
TIME_MAX = datetime(9000, 1, 1, tzinfo=UTC)
"""Between these is every time on a topic, so that whoever adds a year to it, or counts its milliseconds, meets no end of the calendar."""
SEQ_MAX = 2**63 - 1
"""The largest seq: documents keep it as an integer of 64 bits."""


def to_milliseconds(value: datetime) -> datetime:
    """Return `value` in UTC, cut to whole milliseconds: what a topic can carry. Refuses a time without a zone."""
    if value.tzinfo is None:
        message = "a time needs a zone, for example 2026-11-22T12:00:00.000Z"
        raise ValueError(message)
    if value.tzinfo is not UTC:
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            message = "a time outside the years 1 to 9999 in UTC"
            raise ValueError(message) from None
    surplus = value.microsecond % 1000
    return value.replace(microsecond=value.microsecond - surplus) if surplus else value


def on_the_calendar(value: datetime) -> datetime:
    """Return `value` as a topic carries it; refuses a time without a zone, and one outside of TIME_MIN to TIME_MAX."""
    value = to_milliseconds(value)
    if not TIME_MIN <= value < TIME_MAX:
        message = "a time outside the years 1970 to 8999"
        raise ValueError(message)
    return value


@lru_cache(maxsize=TIMES_CACHED_MAX)
def format_time(value: datetime) -> str:
    """Return the time as RFC 3339 UTC with milliseconds: `2026-11-22T12:00:00.000Z`. Cached: a batch has one `now`."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, AfterValidator(on_the_calendar), PlainSerializer(format_time, return_type=str, when_used="json")]
"""A moment in UTC with milliseconds."""
Key = Annotated[str, Field(min_length=1, max_length=512)]
"""What an event may have as its subject, and a record as its key."""


class Frozen(BaseModel):  # noqa: PLW1641 # pydantic makes the hash of every frozen model
    """A value: it never changes, ignores fields it does not know, and leaves out what is None when written."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    def __eq__(self, other: object) -> bool:
        """Return whether `other` is the same value: as pydantic's own, whose generality costs several times as much."""
        return self is other or (type(self) is type(other) and self.__dict__ == other.__dict__)

    def but(self, **changes: Any) -> Self:
        """Return this value with some fields changed, by their Python names; the changes are not validated."""
        copy = object.__new__(type(self))
        object.__setattr__(copy, "__dict__", {**self.__dict__, **changes})
        told = self.__pydantic_fields_set__
        object.__setattr__(copy, "__pydantic_fields_set__", told if changes.keys() <= told else told | changes.keys())
        object.__setattr__(copy, "__pydantic_extra__", None)
        object.__setattr__(copy, "__pydantic_private__", None)
        return copy

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, as pydantic's own does, at a third of its cost: values have no private and no extra fields."""
        return super().model_copy(update=update, deep=True) if deep else self.but(**(update or {}))


class EventData(Frozen):
    """What happened (past tense) or what is asked for (imperative). `NAME` is the middle of the event's type."""

    NAME: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1

    @classmethod
    @cache
    def event_type(cls) -> str:
        """Return the CloudEvents type, for example `parley.message.received.v1`."""
        return f"{TYPE_PREFIX}{cls.NAME}.v{cls.VERSION}"


D = TypeVar("D", bound=EventData)
D_co = TypeVar("D_co", bound=EventData, covariant=True)


class Event(Frozen, Generic[D_co]):
    """One event. `subject` is the Kafka key: the thread id, or the pool on `work` and `agents`, or the account on `rejected`.

    `seq` counts the outputs of the emitting state and is absent from sources without state; `previousseq` is the seq of that
    state's output before this one on the same topic and key (0: none), so that a reader of one topic can tell a gap from an
    output that went elsewhere. `emitter` is the key of the emitting state where it is not the subject. `replayof` is set by
    `parley replay`: such a record is judged by its id, not by `seq`. `replayafter`, set beside it, is the id of the event whose
    replay goes before: as long as that has not taken effect, this one is put aside again.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=512)
    source: str = Field(min_length=1, max_length=512)
    type: str
    subject: Key
    time: Timestamp
    datacontenttype: Literal["application/json"] = "application/json"
    seq: int | None = Field(default=None, ge=1, le=SEQ_MAX)
    previousseq: int | None = Field(default=None, ge=0, le=SEQ_MAX)
    emitter: Key | None = None
    causationid: str | None = None
    traceparent: str | None = None
    replayof: str | None = None
    replayafter: str | None = None
    data: D_co

    def to_json(self) -> bytes:
        """Return the record's value: UTF-8 JSON without absent fields."""
        return self.model_dump_json(exclude_none=True).encode()


@cache
def event_class(data: type[EventData]) -> type[Event[Any]]:
    """Return the concrete envelope of `data`, whose `type` is fixed."""
    name = data.event_type()
    generic: Any = Event
    base: Any = generic[data]
    fixed: Any = Literal[name]
    return cast("type[Event[Any]]", create_model(f"{data.__name__}Event", __base__=base, type=(fixed, name)))


def new_event(
    data: D,
    *,
    event_id: str,
    source: str,
    subject: str,
    time: datetime,
    seq: int | None = None,
    previousseq: int | None = None,
    emitter: str | None = None,
    causationid: str | None = None,
    traceparent: str | None = None,
) -> Event[D]:
    """Return `data` in its envelope."""
    return event_class(type(data))(
        id=event_id,
        type=data.event_type(),
        source=source,
        subject=subject,
        time=time,
        seq=seq,
        previousseq=previousseq,
        emitter=emitter,
        causationid=causationid,
        traceparent=traceparent,
        data=data,
    )


def encode_event(
    data: EventData,
    *,
    event_id: str,
    source: str,
    subject: str,
    time: datetime,
    seq: int | None = None,
    previousseq: int | None = None,
    emitter: str | None = None,
    causationid: str | None = None,
    traceparent: str | None = None,
) -> bytes:
    """Return the record of an event of ours: what `new_event(…).to_json()` returns, without building and checking the envelope.

    For those whose ids are bounded by themselves (shared/ids.py); raises ValueError where `data` cannot be written.
    """
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": data.event_type(),
        "subject": subject,
        "time": format_time(to_milliseconds(time)),
        "datacontenttype": "application/json",
    }
    if seq is not None:
        document["seq"] = seq
    if previousseq is not None:
        document["previousseq"] = previousseq
    if emitter is not None:
        document["emitter"] = emitter
    if causationid is not None:
        document["causationid"] = causationid
    if traceparent is not None:
        document["traceparent"] = traceparent
    document["data"] = orjson.Fragment(data.__pydantic_serializer__.to_json(data, exclude_none=True, by_alias=True))
    return json_bytes(document)


class UnknownTypeError(InvalidEventError):
    """The document is an event of a type this topic does not know (yet): skipped with a counter, never a dead letter."""


class EventCodec:
    """Reads the events of one union of data models."""

    def __init__(self, data_models: Iterable[type[EventData]]) -> None:
        classes = tuple(event_class(model) for model in data_models)
        union: Any = classes[0]
        for other in classes[1:]:
            union |= other
        if len(classes) > 1:
            union = Annotated[union, Field(discriminator="type")]
        self._adapter: TypeAdapter[Event[Any]] = TypeAdapter(union)
        self._validate = self._adapter.validator.validate_json  # without the adapter's own arguments, which cost half a microsecond

    @cached_property
    def _names(self) -> frozenset[str]:
        """Return the names that an error may repeat: fields and tags. A key of a mapping is content, though it stands in the path."""
        names: set[str] = set()
        waiting: list[Any] = [self._adapter.json_schema()]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                names.update(node.get("properties", ()), node.get("discriminator", {}).get("mapping", ()))
                waiting.extend(node.values())
            elif isinstance(node, list):
                waiting.extend(node)
        return frozenset(names)

    def decode(self, value: bytes) -> Event[Any]:
        """Return the event in `value`.

        Raises UnknownTypeError for a type that is not in the union, InvalidEventError for anything else that does not fit;
        neither message repeats content of the document.
        """
        try:
            return cast("Event[Any]", self._validate(value))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            first = problems[0]
            if first["type"] in {"union_tag_invalid", "literal_error"} and (not first["loc"] or first["loc"][-1] == "type"):
                raise UnknownTypeError("an event type that this topic does not know") from None
            where = ".".join(str(part) if isinstance(part, int) or part in self._names else "*" for part in first["loc"]) or "document"
            raise InvalidEventError(f"{where}: {first['type']} ({len(problems)} problems)") from None
