"""The reducer of sla: one thread's state, one event, the time; out come the new state and what is to be published.

The table at the end is the whole of it: which rule answers which event. Each rule returns a Change; here it becomes a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from services.sla.core.clocks import fired
from services.sla.core.conversation import conversation_closed, conversation_opened, conversation_updated, owner_changed
from services.sla.core.deliveries import message_under_way, send_accepted, send_failed
from services.sla.core.messages import message_appended, message_changed
from services.sla.core.replies import reply_approved
from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.windows import Said, settle_windows
from services.sla.state import Clock, SlaState
from shared.engine.reducer import Decision, Output, TimerFired
from shared.events.conversations import (
    ConversationClosed,
    ConversationOpened,
    ConversationReopened,
    ConversationUpdated,
    MessageAppended,
    MessageChanged,
    OwnerChanged,
    ReplyApproved,
)
from shared.events.deliveries import MessageDelivered, MessageFailed, MessagePlayed, MessageRead, MessageSent, SendAccepted, SendRefused
from shared.events.envelope import Event, EventData, to_milliseconds
from shared.events.sends import SendRequested, SendWithheld
from shared.events.shapes import Customer
from shared.ids import split_thread
from shared.topics import CONVERSATIONS, DELIVERIES, SENDS, SLA, Topic

SENDS_FACTS = (SendRequested, SendWithheld)
"""What goes to the topic of sends; everything else that is said is a fact of sla."""
Rule = Callable[[SlaState, Event[Any], Rules, datetime], Change]


def timer_fired(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Say everything that is due by `now`, oldest first, and each thing once."""
    del event  # what is due is in the state; the timer only says that it is time
    windows, said = settle_windows(state.windows, rules.channels.get(state.channel), now)
    updates: dict[str, object] = {"windows": windows}
    clocks: tuple[tuple[str, Clock | None], ...] = (("response", state.response), ("resolution", state.resolution))
    for name, clock in clocks:
        if clock is not None:
            updates[name], of_clock = fired(clock, rules.target_of(clock), state.conversation_id or "", now)
            said += of_clock
    return Change(updates, [fact for _, fact in sorted(said, key=_moment)]) if said else _unheard(state, updates)


def _unheard(state: SlaState, updates: dict[str, object]) -> Change:
    """Return the change of a timer that had nothing to say: none, or new moments where the configured marks have changed."""
    return Change(updates, []) if updates["windows"] != state.windows else no_change()


def _moment(said: Said) -> datetime:
    """Return the moment that something said is about."""
    return said[0]


@dataclass(frozen=True, slots=True)
class SlaReducer:
    """Windows and promises of one thread. Key: the thread id, for everything that it reads and writes."""

    rules: Rules
    name: ClassVar[str] = "sla"
    source: ClassVar[str] = "parley/sla/sla"
    inputs: ClassVar[tuple[Topic, ...]] = (CONVERSATIONS, DELIVERIES)
    state: ClassVar[type[SlaState]] = SlaState

    def decide(self, state: SlaState | None, event: Event[Any], now: datetime) -> Decision[SlaState]:
        """Return the state after `event` and what to publish; see Reducer.decide.

        Raises ValueError where `event.subject` is no thread id: nobody could be answered there.
        """
        rule = RULES.get(type(event.data))
        if rule is None or (state is None and type(event.data) not in BEGINNINGS):
            return Decision(state)
        current = state or _fresh(event.subject)
        # Whole milliseconds, as on the topics: what is computed from the published events comes out the same.
        change = rule(current, event, self.rules, to_milliseconds(now))
        outputs = tuple(_output(event.subject, fact) for fact in change.facts)
        return Decision(current.model_copy(update=change.updates) if change.updates else state, outputs)

    def due(self, state: SlaState) -> datetime | None:
        """Return the next moment at which a window or a clock has something to say."""
        moments = [window.next_at for window in state.windows if window.next_at is not None]
        moments += [clock.next_at for clock in (state.response, state.resolution) if clock is not None and clock.next_at is not None]
        return min(moments, default=None)


def _fresh(thread: str) -> SlaState:
    """Return the state of a thread that nothing is known of but its id."""
    channel, account, customer = split_thread(thread)
    return SlaState(channel=channel, account=account, customer=Customer(id=customer))


def _output(thread: str, fact: EventData) -> Output:
    """Return `fact` for its topic."""
    return Output(SENDS if isinstance(fact, SENDS_FACTS) else SLA, thread, fact)


RULES: Mapping[type[EventData], Rule] = {
    ConversationOpened: conversation_opened,
    ConversationReopened: conversation_opened,
    ConversationClosed: conversation_closed,
    ConversationUpdated: conversation_updated,
    OwnerChanged: owner_changed,
    MessageAppended: message_appended,
    MessageChanged: message_changed,
    ReplyApproved: reply_approved,
    SendAccepted: send_accepted,
    SendRefused: send_failed,
    MessageSent: message_under_way,
    MessageDelivered: message_under_way,
    MessageRead: message_under_way,
    MessagePlayed: message_under_way,
    MessageFailed: send_failed,
    TimerFired: timer_fired,
}
"""Which rule answers which event; the others (notes, refusals of the router, sends of unknown fate) are of no interest here."""

BEGINNINGS = frozenset(
    {ConversationOpened, ConversationReopened, ConversationUpdated, MessageAppended, MessageChanged, OwnerChanged, ReplyApproved}
)
"""Events that a thread may begin with; what became of sends that we know nothing of is not remembered."""
