"""One decision of dispatch in the making: who is there, what waits, who has what, and what is to be published."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from services.router.state import Assigned, DispatchState, Presence, Work
from shared.contact_centre.models import Agent, ContactCentre, Pool
from shared.engine.reducer import Decision, Output
from shared.events.envelope import EventData, to_milliseconds
from shared.events.work import AssignmentLapsed, AssignmentMade
from shared.topics import ASSIGNMENTS

LapseReason = Literal["not_accepted", "declined", "signed_out", "withdrawn"]

LAPSED_REST_SECONDS = 30
"""Before work goes again to an agent who did not take it, because nobody else is there, it rests so long."""
LAPSED_AGENTS_MAX = 50
"""How many agents who did not take it one piece of work remembers."""
PLACE_SECONDS_MAX = 20
"""Over how many waits the expected wait is averaged."""

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """The frozen surroundings of every decision: the contact centre, and its shifts as deterministic functions.

    `on_shift(agent, at)`; `next_shift(agent, after)` is when a configured agent who is not on shift will be, or None.
    """

    centre: ContactCentre
    on_shift: Callable[[str, datetime], bool]
    next_shift: Callable[[str, datetime], datetime | None]


def urgency(work: Work) -> tuple[int, datetime, datetime, str, str]:
    """Return the order of waiting work: priority, then the earliest deadline (none: last), then age, then names."""
    return (-work.priority, work.due_at or _NEVER, work.entered_at, work.thread, work.conversation_id)


class Floor:
    """What the rules of dispatch work on. `waiting` is always in order of urgency."""

    def __init__(self, rules: DispatchRules, state: DispatchState | None, *, pool: str, seq: int | None, now: datetime) -> None:
        """Begin with `state`; `seq` is the event's place among all that its emitting state said, where it is known."""
        self.rules = rules
        self.pool = pool
        self.seq = seq
        self.now = to_milliseconds(now)
        self.outputs: list[Output] = []
        self._before = state
        start = state or DispatchState()
        self.agents = dict(start.agents)
        self.waiting = list(start.waiting)
        self.assigned = dict(start.assigned)
        self.finished_early = start.finished_early
        self.place_seconds = start.place_seconds
        self.due_at: datetime | None = None

    @property
    def settings(self) -> Pool:
        """Return the pool's settings; a pool that is not configured has the usual ones, and no agents."""
        return self.rules.centre.pools.get(self.pool) or Pool()

    def configured(self, agent: str) -> Agent | None:
        """Return the agent where they are configured for this pool."""
        known = self.rules.centre.agents.get(agent)
        return known if known is not None and known.pool == self.pool else None

    def after(self, seconds: float) -> datetime:
        """Return the moment so many seconds from now."""
        return self.now + timedelta(seconds=seconds)

    def silent_from(self, presence: Presence) -> datetime | None:
        """Return when an agent whose desk sends heartbeats counts as signed out, if no other follows; None: never."""
        seconds = self.settings.seen_seconds
        return None if presence.seen_at is None or seconds is None else presence.seen_at + timedelta(seconds=seconds)

    def is_silent(self, presence: Presence) -> bool:
        """Return whether an agent's heartbeats ended."""
        silent_from = self.silent_from(presence)
        return silent_from is not None and silent_from <= self.now

    def emit(self, thread: str, data: EventData) -> None:
        """Publish to a thread."""
        self.outputs.append(Output(ASSIGNMENTS, thread, data))

    def loads(self) -> Counter[tuple[str, str]]:
        """Return how many slots are taken, per agent and channel class: conversations, and slots that are wrapped up."""
        taken = Counter((held.agent, held.work.channel_class) for held in self.assigned.values())
        for agent, presence in self.agents.items():
            taken.update((agent, wrap_up.channel_class) for wrap_up in presence.wrap_ups)
        return taken

    def take_waiting(self, conversation_id: str) -> Work | None:
        """Take a conversation out of the queue and return it, or None where it does not wait."""
        for index, work in enumerate(self.waiting):
            if work.conversation_id == conversation_id:
                return self.waiting.pop(index)
        return None

    def put_waiting(self, work: Work) -> None:
        """Put work into its place in the queue."""
        insort(self.waiting, work, key=urgency)

    def held_by(self, agent: str, conversation_id: str) -> Assigned | None:
        """Return what `agent` has of this conversation, or None."""
        held = self.assigned.get(conversation_id)
        return held if held is not None and held.agent == agent else None

    def assign(self, work: Work, agent: str, explanation: str) -> None:
        """Give waiting work to `agent`, and learn from how long it waited, if it had to."""
        self.take_waiting(work.conversation_id)
        accept_seconds = self.settings.accept_seconds
        accept_by = None if accept_seconds is None else self.after(accept_seconds)
        self.assigned[work.conversation_id] = Assigned.model_construct(work=work, agent=agent, accept_by=accept_by)
        self.agents[agent] = self.agents[agent].model_copy(update={"idle_since": self.now})
        if self.now > work.entered_at:
            seconds = (self.now - work.entered_at).total_seconds() / work.entered_place
            self.place_seconds = (*self.place_seconds[-(PLACE_SECONDS_MAX - 1) :], seconds)
        self.emit(
            work.thread,
            AssignmentMade(conversation_id=work.conversation_id, agent=agent, accept_by=accept_by, explanation=explanation),
        )

    def lapse(self, held: Assigned, reason: LapseReason) -> None:
        """Take work back from the agent who did not take it: it waits again, for somebody else."""
        work = held.work
        del self.assigned[work.conversation_id]
        lapsed = tuple(agent for agent in work.lapsed_agents if agent != held.agent)[-(LAPSED_AGENTS_MAX - 1) :]
        rest = {"lapsed_agents": (*lapsed, held.agent), "rest_until": self.after(LAPSED_REST_SECONDS), "place": 0}
        self.put_waiting(work.model_copy(update=rest))
        self.emit(work.thread, AssignmentLapsed(conversation_id=work.conversation_id, agent=held.agent, reason=reason))

    def forget_gone(self) -> None:
        """Forget the agents who signed out and have nothing any more."""
        busy = {held.agent for held in self.assigned.values()}
        self.agents = {name: one for name, one in self.agents.items() if one.signed_in or one.wrap_ups or name in busy}

    def change(self, agent: str, presence: Presence) -> None:
        """Remember an agent."""
        self.agents[agent] = presence

    def decision(self) -> Decision[DispatchState]:
        """Return the decision. A pool about which nothing was learned stays without a state."""
        start = self._before or DispatchState()
        after = start.model_copy(
            update={
                "agents": self.agents,
                "waiting": tuple(self.waiting),
                "assigned": self.assigned,
                "finished_early": self.finished_early,
                "place_seconds": self.place_seconds,
                "due_at": self.due_at,
            }
        )
        unchanged = self._before is None and after == start
        return Decision(None if unchanged else after, tuple(self.outputs))
