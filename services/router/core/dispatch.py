"""The dispatch reducer: after every event, whoever can take waiting work gets the most urgent that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from services.router.core import offers, presence
from services.router.core.floor import DispatchRules, Floor
from services.router.core.matching import is_available, match
from services.router.core.places import announce_places
from services.router.state import DispatchState
from shared.engine.reducer import Decision, TimerFired
from shared.events import work
from shared.events.envelope import Event, EventData
from shared.topics import AGENTS, WORK, Topic


def take_time(_floor: Floor, _timer: TimerFired) -> None:
    """Nothing of its own: what time brings is looked at after every event."""


RULES: Mapping[type[EventData], Callable[[Floor, Any], None]] = {
    work.WorkOffered: offers.take_offer,
    work.WorkUrgencyChanged: offers.take_urgency,
    work.WorkWithdrawn: offers.take_withdrawal,
    work.WorkFinished: offers.take_finish,
    work.WorkTaken: offers.take_taken,
    work.WorkAccepted: offers.take_acceptance,
    work.WorkDeclined: offers.take_refusal,
    work.AgentSignedIn: presence.take_sign_in,
    work.AgentSignedOut: presence.take_sign_out,
    work.AgentStatusChanged: presence.take_status,
    work.AgentCapacityChanged: presence.take_capacity,
    work.AgentSeen: presence.take_seen,
    TimerFired: take_time,
}
"""Every event that changes something, and the rule that takes it. Others leave the pool as it is."""


class DispatchReducer:
    """Gives work to agents: one state per pool."""

    name = "dispatch"
    source = "parley/router/dispatch"
    inputs: tuple[Topic, ...] = (WORK, AGENTS)
    state = DispatchState

    def __init__(self, rules: DispatchRules) -> None:
        self._rules = rules

    def decide(self, state: DispatchState | None, event: Event[Any], now: datetime) -> Decision[DispatchState]:
        """Return the pool after `event`, and what to publish."""
        rule = RULES.get(type(event.data))
        if rule is None:
            return Decision(state)
        floor = Floor(self._rules, state, pool=event.subject, seq=event.seq, now=now)
        rule(floor, event.data)
        end_what_is_over(floor)
        more = match(floor)
        announce_places(floor)
        floor.due_at = floor.now if more else min((at for at in _moments(floor) if at > floor.now), default=None)
        return floor.decision()

    def due(self, state: DispatchState) -> datetime | None:
        """Return the next moment that may free a slot, bring an agent on shift, miss one, or let an assignment lapse."""
        return state.due_at


def end_what_is_over(floor: Floor) -> None:
    """Let assignments lapse that were not accepted in time, or whose agent is not heard of any more, and end wrap-ups."""
    late = [held for held in floor.assigned.values() if held.accept_by is not None and held.accept_by <= floor.now]
    for held in sorted(late, key=lambda one: (one.accept_by, one.work.conversation_id)):
        floor.lapse(held, "not_accepted")
    presence.end_silence(floor)
    for name, agent in tuple(floor.agents.items()):
        left = tuple(wrap_up for wrap_up in agent.wrap_ups if wrap_up.until > floor.now)
        if left != agent.wrap_ups:
            floor.change(name, agent.model_copy(update={"wrap_ups": left}))
    floor.forget_gone()


def _moments(floor: Floor) -> Iterator[datetime]:
    """Yield every moment from now on at which something may change by itself."""
    for held in floor.assigned.values():
        if held.accept_by is not None:
            yield held.accept_by
    for agent in floor.agents.values():
        for wrap_up in agent.wrap_ups:
            yield wrap_up.until
        silent_from = floor.silent_from(agent)
        if silent_from is not None:
            yield silent_from
    for waiting in floor.waiting:
        if waiting.rest_until is not None:
            yield waiting.rest_until
    if floor.waiting:
        yield from _shifts(floor)


def _shifts(floor: Floor) -> Iterator[datetime]:
    """Yield when agents who are signed in and not on shift will be: work waits that they may take."""
    for name in floor.agents:
        known = floor.configured(name) is not None
        if known and is_available(floor, name) and not floor.rules.on_shift(name, floor.now):
            opening = floor.rules.next_shift(name, floor.now)
            if opening is not None:
                yield opening
