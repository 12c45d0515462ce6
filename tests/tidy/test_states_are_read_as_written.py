"""States are written without what is None: read again, every such field must be None by itself."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from services.bot.state import BotState
from services.router.state import ConversationState, DispatchState
from services.sla.state import SlaState

STATES: tuple[type[BaseModel], ...] = (ConversationState, DispatchState, BotState, SlaState)


def models_in(model: type[BaseModel], known: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Return `model` and all models that its fields can hold."""
    if model not in known:
        known.add(model)
        for field in model.model_fields.values():
            for part in parts_of(field.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    models_in(part, known)
    return known


def parts_of(annotation: Any) -> Iterator[Any]:
    """Yield a type and every type that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from parts_of(part)


def may_be_none(annotation: Any) -> bool:
    """Return whether a field of this type may be None; JSON of others (Any) loses its nulls on the topics already."""
    return annotation is type(None) or (get_origin(annotation) in {Union, UnionType} and any(map(may_be_none, get_args(annotation))))


def mapping_values(annotation: Any) -> Iterator[Any]:
    """Yield the types of the values of every mapping in a type."""
    for part in parts_of(annotation):
        if get_origin(part) is dict:
            yield get_args(part)[1]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_what_may_be_none_in_a_state_is_none_by_default(state: type[BaseModel]) -> None:
    """Else a document could not be read again, or would be read as something else."""
    fields = [(model, name, field) for model in models_in(state, set()) for name, field in model.model_fields.items()]
    assert [
        f"{model.__name__}.{name}"
        for model, name, field in fields
        if may_be_none(field.annotation) and field.get_default(call_default_factory=True, validated_data={}) is not None
    ] == []
    assert [f"{model.__name__}.{name}" for model, name, field in fields if any(map(may_be_none, mapping_values(field.annotation)))] == []
