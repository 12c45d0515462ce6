"""Messages that took their place in the thread: the customer's open windows and begin waits, ours from elsewhere end them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.waits import answered, customer_wrote
from services.sla.core.windows import act_of, believed, open_windows
from services.sla.state import SlaState
from shared.events.conversations import MessageAppended, MessageChanged
from shared.events.envelope import Event
from shared.events.shapes import AuthorKind

ACT_REACTION = "reaction"


def message_appended(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Take note of a message. A repeated one opens nothing that is not open already and begins no second wait."""
    data: MessageAppended = event.data
    at = believed(data.sent_at, now)
    adopted: dict[str, object] = {}
    if state.conversation_id is None:
        # The thread is older than what we were shown of it: the conversation is taken up where we find it.
        adopted = {"conversation_id": data.conversation_id, "open": True, "opened_at": at}
        state = state.model_copy(update=adopted)
    change = _from_customer(state, data, rules, at, now) if data.direction == "in" else _from_elsewhere(state, data, rules, at)
    return Change(adopted, []).and_then(change)


def message_changed(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Open what the channel's policy gives for a reaction. Edits, deletions and reactions taken back are no acts of any policy."""
    data: MessageChanged = event.data
    return _opened(state, rules, ACT_REACTION, data.sent_at, now) if data.change == ACT_REACTION and data.emoji else no_change()


def _from_customer(state: SlaState, data: MessageAppended, rules: Rules, at: datetime, now: datetime) -> Change:
    """Return what a message of the customer changes: windows, by when it was sent; the wait, by its place in the thread."""
    change = _opened(state, rules, act_of(data.content), at, now)
    if state.blocked_since is not None and at > state.blocked_since:
        change = change.and_then(Change({"blocked_since": None}, []))
    if data.position <= state.inbound_position:
        return change
    change = change.and_then(Change({"inbound_position": data.position, "inbound_at": at}, []))
    return change.and_then(customer_wrote(state, rules, at, now)) if state.open else change


def _from_elsewhere(state: SlaState, data: MessageAppended, rules: Rules, at: datetime) -> Change:
    """Return what a message of ours changes that did not pass our gate (a colleague wrote on the phone): it has been sent already.

    A reply of ours counts when the channel accepts it, see `deliveries.py`.
    """
    if data.reply_id is not None:
        return no_change()
    author = AuthorKind.AGENT if data.author is None else data.author.kind
    return answered(state, rules, author, at, data.position).change


def _opened(state: SlaState, rules: Rules, act: str, acted_at: datetime, now: datetime) -> Change:
    """Return the windows after an act of the customer."""
    channel = rules.channels.get(state.channel)
    if channel is None:
        return no_change()
    windows, facts = open_windows(state.windows, channel, act, acted_at=acted_at, now=now)
    return Change({} if windows is state.windows else {"windows": windows}, facts)
