"""Who waits for an answer, since when, and what ends the wait.

The customer waits from the first message that nobody has answered. A promise about the first response runs until that was given,
then each further wait runs against the promise about the next one. An answer counts when the channel has *accepted* it, not when
it was approved: a withheld or refused answer has reached nobody, so it keeps no promise; a template that went out in its place
does. Where only a person keeps a promise, the answer of a bot that owns the conversation lets the clock rest, until the customer
writes again or the bot hands over.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from services.sla.core.clocks import fact_of, moved_earlier, run_out, started
from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.watch import end, pause, response_kind, resume, start
from services.sla.state import Clock, SlaState
from shared.events.shapes import AuthorKind
from shared.events.sla import ClockMet, ClockStarted

OWNER_BOT = "bot"


class Answered(NamedTuple):
    """What an answer changed, and the clock that it stopped for good, as it was before."""

    change: Change
    met: Clock | None = None


def customer_wrote(state: SlaState, rules: Rules, since: datetime, now: datetime) -> Change:
    """Return what a customer's new message at `since` changes: a wait begins, or goes on, or turns out to be older."""
    clock = state.response
    if state.waiting_since is None:
        return _begin_wait(state, rules, since, now)
    if clock is not None and clock.rests:
        return _stirred(state, rules, clock, since)
    if since >= state.waiting_since:
        return no_change()
    older = Change({"waiting_since": since}, [])
    if clock is None or clock.counting_since != clock.started_at:
        return older  # without a clock, or with one that was paused, there is no start to move
    target = rules.target_of(clock)
    clock = moved_earlier(clock, target, since)
    return older.and_then(Change({"response": clock}, [fact_of(ClockStarted, clock, target, state.conversation_id or "", now)]))


def handed_over(state: SlaState, rules: Rules, at: datetime) -> Change:
    """Return what a bot's handing over to people changes: from now on the customer waits for a person."""
    clock = state.response
    if clock is not None and clock.rests:
        return _stirred(state, rules, clock, at)
    return _begin_wait(state, rules, at, at) if state.waiting_since is None else no_change()


def answered(state: SlaState, rules: Rules, author: AuthorKind, at: datetime, seen_position: int) -> Answered:
    """Return what an answer that reached the channel at `at` changes. `seen_position`: the customer's last message its author saw."""
    clock = state.response
    if state.waiting_since is None:
        return Answered(no_change())
    unseen = state.inbound_position > seen_position
    if author is AuthorKind.AGENT or (clock is not None and rules.target_of(clock).met_by == "anyone"):
        facts = [] if clock is None else end(state, rules, clock, ClockMet, at)
        change = Change({"response": None, "waiting_since": None, "responded": True}, facts)
        if unseen:
            # Which of the messages since then came first is not kept: the wait is counted from the last of them.
            change = change.and_then(_begin_wait(state.model_copy(update=change.updates), rules, state.inbound_at or at, at))
        return Answered(change, None if clock is None else run_out(clock, at))
    if state.owner != OWNER_BOT or unseen:
        return Answered(no_change())
    if clock is None:
        return Answered(Change({"waiting_since": None}, []))
    clock, facts = pause(state, rules, clock, at, rests=True)
    return Answered(Change({"response": clock}, facts))


def taken_back(state: SlaState, rules: Rules, clock: Clock | None, now: datetime) -> Change:
    """Return what the channel's giving back of an answer changes: the promise that it kept runs again, as if it had not been."""
    if clock is None or not state.open or state.response is not None:
        return no_change()
    since = clock.started_at
    clock, facts = resume(state, rules, clock, now)
    if state.snoozed:
        clock, of_pause = pause(state, rules, clock, now)
        facts += of_pause
    responded = state.responded and clock.kind != "first_response"
    return Change({"response": clock, "waiting_since": since, "responded": responded}, facts)


def _begin_wait(state: SlaState, rules: Rules, since: datetime, now: datetime) -> Change:
    """Return the beginning of a wait at `since`, with a clock where one was promised."""
    waiting = Change({"waiting_since": since}, [])
    kind = response_kind(state)
    target = rules.target_for(state, kind)
    if target is None:
        return waiting
    return waiting.and_then(start(state, rules, "response", started(kind, target, since), now))


def _stirred(state: SlaState, rules: Rules, clock: Clock, at: datetime) -> Change:
    """Return the response clock no longer at rest: it runs again, unless the conversation is snoozed."""
    if state.snoozed:
        return Change({"response": clock.model_copy(update={"rests": False})}, [])
    clock, facts = resume(state, rules, clock, at)
    return Change({"response": clock}, facts)
