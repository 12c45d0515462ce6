"""What a reducer is: data, and one pure function.

The engine loads a key's state, asks `decide`, saves, publishes and commits. A reducer does no I/O, reads no clock and draws no
random number, so every decision can be repeated in a test, a simulation or a replay.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

from shared.events.envelope import Event, EventData, Timestamp
from shared.topics import Topic

S = TypeVar("S", bound=BaseModel)


class TimerFired(EventData):
    """The moment that a state asked for with `due` has come. `late`: by more than TIMER_LATE_SECONDS, after an outage.

    It never stands on a topic: the engine hands it to `decide` like an event of the key.
    """

    NAME: ClassVar[str] = "timer.fired"
    due_at: Timestamp
    late: bool = False


class Output(NamedTuple):
    """An event to publish: `key` is its subject and Kafka key. The engine adds id, seq, emitter, time, cause and trace."""

    topic: Topic
    key: str
    data: EventData


class Decision(NamedTuple, Generic[S]):
    """What `decide` returns: the new state (None: nothing is to be remembered) and what to publish, in order."""

    state: S | None
    outputs: tuple[Output, ...] = ()


class Reducer(Protocol[S]):
    """A service's rules as the engine sees them."""

    @property
    def name(self) -> str:
        """Return the name of the consumer group, the store's collection and the dead-letter topic."""
        ...

    @property
    def source(self) -> str:
        """Return the CloudEvents source of what it emits: `parley/<service>/<reducer>`."""
        ...

    @property
    def inputs(self) -> tuple[Topic, ...]:
        """Return the topics it reads; all have the same kind of key."""
        ...

    @property
    def state(self) -> type[S]:
        """Return the frozen model of its state."""
        ...

    def decide(self, state: S | None, event: Event[Any], now: datetime) -> Decision[S]:
        """Return the state after `event` and what to publish.

        `event.subject` is the key; `event.data` is a model of one of the inputs, or TimerFired. An event that is of no
        interest leaves the state as it is. Raising parks the key: an exception here is a bug, never an answer.
        """
        ...

    def due(self, state: S) -> datetime | None:
        """Return when the state wants to be asked again, or None. A moment that has passed fires at once, once per save."""
        ...
