"""Random events: any model of a topic, filled according to the types and bounds of its fields."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

from shared.events.envelope import EventData
from shared.topics import TOPICS, Topic, dead_letters_of

ALL_TOPICS: tuple[Topic, ...] = (*TOPICS, dead_letters_of("conversation"))
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=13)), timezone(timedelta(hours=-9, minutes=-30))])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(datetime(1970, 1, 2), datetime(8999, 12, 30), timezones=ZONES)  # noqa: DTZ001 # `timezones` adds the zone
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def _bound(metadata: tuple[Any, ...], name: str) -> Any:
    return next((getattr(one, name) for one in metadata if getattr(one, name, None) is not None), None)


def _of(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Return values of a field's type, within its bounds."""
    if get_origin(annotation) is not None:
        return _of_generic(get_origin(annotation), get_args(annotation), metadata)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models(annotation)
    size = _bound(metadata, "min_length") or 0
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: texts.filter(lambda text: len(text) >= size),
        int: st.integers(_bound(metadata, "ge"), 2**62),
        float: st.floats(_bound(metadata, "ge"), _bound(metadata, "le"), allow_nan=False),
        bool: st.booleans(),
        datetime: moments,
        type(None): st.none(),
        Any: json_values,
    }
    return plain[annotation]


def _of_generic(origin: Any, arguments: tuple[Any, ...], metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Return values of a type that is made of others."""
    size = _bound(metadata, "min_length") or 0
    made: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        Annotated: lambda: _of(arguments[0], (*metadata, *arguments[1:])),
        Union: lambda: st.one_of(*(_of(one, metadata) for one in arguments)),
        types.UnionType: lambda: st.one_of(*(_of(one, metadata) for one in arguments)),
        Literal: lambda: st.sampled_from(arguments),
        dict: lambda: st.dictionaries(_of(arguments[0]), _of(arguments[1]), min_size=size, max_size=3),
        tuple: lambda: (
            st.lists(_of(arguments[0]), min_size=size, max_size=3).map(tuple)
            if arguments[-1] is Ellipsis
            else st.tuples(*(_of(one) for one in arguments))
        ),
    }
    return made[origin]()


@cache
def models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Return instances of `model`; optional fields are now and then left out."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        chosen = required if field.is_required() else optional
        chosen[name] = _of(field.annotation, tuple(field.metadata))
    return st.fixed_dictionaries(required, optional=optional).map(model.model_validate)


every_model: list[tuple[Topic, type[EventData]]] = [(topic, model) for topic in ALL_TOPICS for model in topic.models]
data_on_topics: st.SearchStrategy[tuple[Topic, EventData]] = st.sampled_from(every_model).flatmap(
    lambda place: st.tuples(st.just(place[0]), models(place[1]))
)
identifiers = texts.filter(bool)
envelopes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "event_id": identifiers,
        "source": identifiers,
        "subject": identifiers,
        "time": moments,
        "seq": st.integers(1, 2**63 - 1),
        "previousseq": st.none() | st.integers(0, 2**63 - 1),
        "emitter": st.none() | identifiers,
        "causationid": texts,
        "traceparent": st.none() | texts,
    }
)
