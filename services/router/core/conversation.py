"""The conversation reducer: which rule takes which event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.router.core import assignments, customers, deadlines, deliveries, facts, lifecycle, messages, replies, routing
from services.router.core.rules import ConversationRules
from services.router.core.turn import Turn
from services.router.state import ConversationState
from shared.engine.reducer import Decision, TimerFired
from shared.events import commands, inbound, sla, work
from shared.events import deliveries as delivered
from shared.events.envelope import Event, EventData
from shared.topics import ASSIGNMENTS, COMMANDS, DELIVERIES, INBOUND, SLA, Topic

RULES: Mapping[type[EventData], Callable[[Turn, Any], None]] = {
    inbound.MessageReceived: messages.take_message,
    inbound.MessageEdited: messages.take_edit,
    inbound.MessageDeleted: messages.take_deletion,
    inbound.ReactionChanged: messages.take_reaction,
    inbound.ThreadReferred: customers.take_referral,
    inbound.CustomerIdentified: customers.take_identification,
    inbound.CustomerLeft: customers.take_leave,
    inbound.CustomerOptedOut: customers.take_opt_out,
    inbound.CustomerOptedIn: customers.take_opt_in,
    commands.Reply: replies.take_reply,
    commands.SendTemplate: replies.take_template,
    commands.HandOff: routing.take_hand_off,
    commands.Assign: routing.take_assign,
    commands.Transfer: routing.take_transfer,
    commands.Close: lifecycle.take_close,
    commands.Reopen: lifecycle.take_reopen,
    commands.Snooze: lifecycle.take_snooze,
    commands.AddNote: facts.take_note,
    commands.SetAttribute: facts.take_attribute,
    commands.SetLanguage: facts.take_language,
    commands.SetPriority: facts.take_priority,
    commands.Tag: facts.take_tag,
    commands.Untag: facts.take_untag,
    commands.PrivateReply: facts.refuse_unavailable,
    commands.AskCsat: facts.refuse_unavailable,
    work.AssignmentMade: assignments.take_assignment,
    work.AssignmentLapsed: assignments.take_lapse,
    work.QueuePositionChanged: assignments.take_place,
    delivered.MessageSent: deliveries.take_status,
    delivered.MessageDelivered: deliveries.take_status,
    delivered.MessageRead: deliveries.take_status,
    delivered.MessagePlayed: deliveries.take_status,
    delivered.MessageFailed: deliveries.take_status,
    sla.WindowOpened: deadlines.take_open_window,
    sla.WindowClosing: deadlines.take_open_window,
    sla.WindowClosed: deadlines.take_closed_window,
    sla.ClockStarted: deadlines.take_running_clock,
    sla.ClockResumed: deadlines.take_running_clock,
    sla.ClockWarned: deadlines.take_running_clock,
    sla.ClockBreached: deadlines.take_running_clock,
    sla.ClockPaused: deadlines.take_stopped_clock,
    sla.ClockMet: deadlines.take_stopped_clock,
    sla.ClockCancelled: deadlines.take_stopped_clock,
    TimerFired: lifecycle.take_timer,
}
"""Every event that changes something, and the rule that takes it. Others leave the thread as it is."""


class ConversationReducer:
    """Opens, appends and owns: one state per thread."""

    name = "conversation"
    source = "parley/router/conversation"
    inputs: tuple[Topic, ...] = (INBOUND, COMMANDS, ASSIGNMENTS, DELIVERIES, SLA)
    state = ConversationState

    def __init__(self, rules: ConversationRules) -> None:
        self._rules = rules

    def decide(self, state: ConversationState | None, event: Event[Any], now: datetime) -> Decision[ConversationState]:
        """Return the thread after `event`, and what to publish."""
        rule = RULES.get(type(event.data))
        if rule is None:
            return Decision(state)
        turn = Turn(self._rules, state, thread=event.subject, emitter=event.emitter, now=now)
        rule(turn, event.data)
        return turn.decision()

    def due(self, state: ConversationState) -> datetime | None:
        """Return when a snooze ends, or what waits is offered once more."""
        if state.snoozed_until is None or state.offer_again_at is None:
            return state.snoozed_until or state.offer_again_at
        return min(state.snoozed_until, state.offer_again_at)
