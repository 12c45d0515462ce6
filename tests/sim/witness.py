"""A reducer that writes down, in its own state, what it decided: the product's reducer inside, a short trail of decisions beside it.

The trail is saved with the state, in the same document, so it tells what took effect, in which order and at which moment, and nothing
that was decided and never saved. The rules see only their own state.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, create_model

from shared.clock import to_epoch_milliseconds
from shared.engine.reducer import Decision, Reducer, TimerFired
from shared.events.envelope import Event
from shared.ids import digest
from shared.topics import Topic

TRAIL_ENTRIES_MAX = 64
"""Decisions that the trail keeps: more than one step of the simulated loops can make for one key."""
ENTRY_CHARACTERS = 16 + 14
TIMER_MARK = "t"


class Bookkeeping(Protocol):
    """Decides whether an event is one that makes the rule fail."""

    def spoils(self, reducer: str, event: Event[Any]) -> bool:
        """Return whether the rule should raise at this event."""
        ...


class Witnessed(BaseModel):
    """The reducer's own state and the trail: `count` decisions so far, the last of them in `trail` as fixed-width entries."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)
    count: int
    trail: str
    inner: Any

    def __eq__(self, other: object) -> bool:
        """Return whether the rules would see the same state."""
        return isinstance(other, Witnessed) and bool(self.inner == other.inner)

    __hash__ = None  # type: ignore[assignment] # nothing keeps states in sets


def entry_of(event: Event[Any], now: datetime) -> str:
    """Return the entry of one decision: a mark of the event, and the moment in milliseconds."""
    timer = isinstance(event.data, TimerFired)
    mark = f"{TIMER_MARK}{to_epoch_milliseconds(event.data.due_at):015d}" if timer else digest(event.id)
    return f"{mark}{to_epoch_milliseconds(now):014d}"


class RuleError(Exception):
    """The rule was told to fail."""


class WitnessReducer:
    """Wraps a reducer. `version` 2 keeps a field in its state that version 1 does not know."""

    name: str
    source: str
    inputs: tuple[Topic, ...]
    state: type[Witnessed]
    _models: ClassVar[dict[tuple[type[BaseModel], str], type[Witnessed]]] = {}

    def __init__(self, inner: Reducer[Any], *, version: str, bookkeeping: Bookkeeping) -> None:
        self.inner = inner
        self.name = inner.name
        self.source = inner.source
        self.inputs = inner.inputs
        self._bookkeeping = bookkeeping
        self.state = self.model(inner.state, version)

    @classmethod
    def model(cls, state: type[BaseModel], version: str) -> type[Witnessed]:
        """Return the model of a witnessed state, made once."""
        made = cls._models.get((state, version))
        if made is None:
            optional: Any = state | None
            fields: dict[str, Any] = {"inner": (optional, None)}
            if version != "1":
                fields["since_version_2"] = (str, "unknown to version 1")
            made = cls._models[state, version] = create_model(f"Witnessed{state.__name__}{version}", __base__=Witnessed, **fields)
        return made

    def decide(self, state: Witnessed | None, event: Event[Any], now: datetime) -> Decision[Witnessed]:
        """Ask the rules, and write down that they were asked."""
        if self._bookkeeping.spoils(self.name, event):
            raise RuleError
        decision = self.inner.decide(None if state is None else state.inner, event, now)
        count, trail = (0, "") if state is None else (state.count, state.trail)
        trail = (trail + entry_of(event, now))[-TRAIL_ENTRIES_MAX * ENTRY_CHARACTERS :]
        after = self.state.model_construct(count=count + 1, trail=trail, inner=decision.state)
        return Decision(after, decision.outputs)

    def due(self, state: Witnessed) -> datetime | None:
        """Return when the rules want to be asked again."""
        return None if state.inner is None else self.inner.due(state.inner)
