"""The clocks of a thread set going, paused, taken up and ended, each with what is said of it. The steps that the promises are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.sla.core.clocks import fact_of, paused, resumed, unsaid_breach
from services.sla.core.rules import Change, Rules
from services.sla.state import Clock, ClockKind, SlaState
from shared.events.envelope import EventData
from shared.events.sla import ClockCancelled, ClockMet, ClockPaused, ClockResumed, ClockStarted

Field = Literal["response", "resolution"]
"""The two places for a clock in the state."""
Step = tuple[Clock, list[EventData]]
"""A clock after one step, and what is said of it."""


def clocks_of(state: SlaState) -> list[tuple[Field, Clock]]:
    """Return the clocks that the thread has, paused ones too."""
    clocks: tuple[tuple[Field, Clock | None], ...] = (("response", state.response), ("resolution", state.resolution))
    return [(name, clock) for name, clock in clocks if clock is not None]


def response_kind(state: SlaState) -> ClockKind:
    """Return which promise an unanswered customer has."""
    return "next_response" if state.responded else "first_response"


def start(state: SlaState, rules: Rules, name: Field, clock: Clock, now: datetime) -> Change:
    """Return a fresh clock set going; in a snoozed conversation it is paused at once."""
    facts = [fact_of(ClockStarted, clock, rules.target_of(clock), state.conversation_id or "", now)]
    if state.snoozed:
        clock, of_pause = pause(state, rules, clock, now)
        facts += of_pause
    return Change({name: clock}, facts)


def pause(state: SlaState, rules: Rules, clock: Clock, at: datetime, *, rests: bool = False) -> Step:
    """Return `clock` paused: a breach that nobody was told of is said first, and nothing at all where it is paused already.

    `rests`: because a bot has answered; that is noted of a paused one too.
    """
    if clock.counting_since is None:
        return (clock.model_copy(update={"rests": True}) if rests else clock), []
    target, conversation_id = rules.target_of(clock), state.conversation_id or ""
    facts = unsaid_breach(clock, target, conversation_id, at)
    clock = paused(clock, target, at, rests=rests)
    return clock, [*facts, fact_of(ClockPaused, clock, target, conversation_id, at)]


def resume(state: SlaState, rules: Rules, clock: Clock, at: datetime) -> Step:
    """Return `clock` running, for whatever reason it was paused: since `at`, or as it ran before."""
    target = rules.target_of(clock)
    if clock.counting_since is None:
        clock = resumed(clock, target, at)
    return clock, [fact_of(ClockResumed, clock, target, state.conversation_id or "", at)]


def end(state: SlaState, rules: Rules, clock: Clock, fact: type[ClockMet | ClockCancelled], at: datetime) -> list[EventData]:
    """Return what is said of a clock that ends at `at`: a breach that nobody was told of first."""
    target, conversation_id = rules.target_of(clock), state.conversation_id or ""
    return [*unsaid_breach(clock, target, conversation_id, at), fact_of(fact, clock, target, conversation_id, at)]
