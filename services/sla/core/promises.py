"""What the conversation's own course does to the promises: it begins, rests, changes hands and ends."""

from __future__ import annotations

from datetime import datetime

from services.sla.core.clocks import carried_over, fact_of, started
from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.watch import Field, clocks_of, end, pause, response_kind, resume, start
from services.sla.state import Clock, ClockKind, SlaState
from shared.events.envelope import EventData
from shared.events.sla import ClockCancelled, ClockMet, ClockStarted


def began(state: SlaState, rules: Rules, at: datetime) -> Change:
    """Return the clock that runs from the opening to the close."""
    target = rules.target_for(state, "resolution")
    return no_change() if target is None else start(state, rules, "resolution", started("resolution", target, at), at)


def ended(state: SlaState, rules: Rules, at: datetime, *, resolved: bool) -> Change:
    """Return what the close changes: nobody waits any more; an unanswered customer's clock is cancelled, not met."""
    facts: list[EventData] = []
    for name, clock in clocks_of(state):
        facts += end(state, rules, clock, ClockMet if name == "resolution" and resolved else ClockCancelled, at)
    return Change({"response": None, "resolution": None, "waiting_since": None, "snoozed": False}, facts)


def snoozed(state: SlaState, rules: Rules, at: datetime) -> Change:
    """Return what happens when the conversation is put aside: every clock that runs is paused."""
    change = Change({"snoozed": True}, [])
    for name, running in clocks_of(state):
        clock, facts = pause(state, rules, running, at)
        change = change.and_then(Change({name: clock}, facts))
    return change


def woken(state: SlaState, rules: Rules, at: datetime) -> Change:
    """Return what happens when the conversation is taken up again: the clocks run on, but for one that rests for another reason."""
    change = Change({"snoozed": False}, [])
    for name, resting in clocks_of(state):
        if not resting.rests:
            clock, facts = resume(state, rules, resting, at)
            change = change.and_then(Change({name: clock}, facts))
    return change


def reconsidered(state: SlaState, rules: Rules, at: datetime) -> Change:
    """Return what a new department or priority changes, `state` being the new one: another promise may hold now, from the same start."""
    waiting = _reconsidered(state, rules, "response", at, kind=response_kind(state), since=state.waiting_since)
    return waiting.and_then(_reconsidered(state, rules, "resolution", at, kind="resolution", since=state.opened_at))


def _reconsidered(state: SlaState, rules: Rules, name: Field, at: datetime, *, kind: ClockKind, since: datetime | None) -> Change:
    """Return one clock under the promise that holds now; `kind` and `since` are those of a clock that would have to be started."""
    clock: Clock | None = getattr(state, name)
    if clock is None:
        target = rules.target_for(state, kind)
        return no_change() if target is None or since is None else start(state, rules, name, started(kind, target, since), at)
    target = rules.target_for(state, clock.kind)
    if target is not None and target.policy == clock.policy:
        return no_change()
    facts = end(state, rules, clock, ClockCancelled, at)
    if target is None:
        return Change({name: None}, facts)
    clock = carried_over(clock, target, at)
    return Change({name: clock}, [*facts, fact_of(ClockStarted, clock, target, state.conversation_id or "", at)])
