"""The conversation's own story, as the router tells it: who the customer is, who answers, when it began, rests and ends.

Moments are those at which the router decided (the event's `time`, never later than now), so that a late reader counts the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.sla.core.promises import began, ended, reconsidered, snoozed, woken
from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.waits import OWNER_BOT, handed_over
from services.sla.state import SlaState
from shared.events.conversations import ConversationClosed, ConversationOpened, ConversationReopened, ConversationUpdated, OwnerChanged
from shared.events.envelope import Event
from shared.events.shapes import Customer

OWNER_NOBODY = "nobody"
STATE_SNOOZED = "snoozed"


def conversation_opened(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Take up a conversation that begins or goes on. One that goes on has had its first response, if it had one."""
    data: ConversationOpened | ConversationReopened = event.data
    at = min(event.time, now)
    facts: dict[str, object] = {
        "channel": data.channel,
        "account": data.account,
        "customer": data.customer,
        "language": data.language or state.language,
        "department": data.department,
        "priority": data.priority,
    }
    same = state.conversation_id == data.conversation_id
    if state.open and same:
        return Change(facts, [])
    # One that is open still was left behind by a close that we were never told of.
    change = ended(state, rules, at, resolved=False)
    fresh: dict[str, object] = {"conversation_id": data.conversation_id, "open": True, "opened_at": at}
    change = change.and_then(Change(facts | fresh | {"responded": state.responded and same}, []))
    return change.and_then(began(state.model_copy(update=change.updates), rules, at))


def conversation_closed(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """End the conversation's clocks. Its windows stay: the customer gave them to us, not to the conversation."""
    data: ConversationClosed = event.data
    if not state.open or data.conversation_id != state.conversation_id:
        return no_change()
    return ended(state, rules, min(event.time, now), resolved=data.resolved).and_then(Change({"open": False}, []))


def owner_changed(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Note who answers now; where a bot hands over, the customer waits for a person."""
    data: OwnerChanged = event.data
    if data.to == state.owner:
        return no_change()
    change = Change({"owner": data.to}, [])
    if state.owner != OWNER_BOT or data.to == OWNER_NOBODY or not state.open:
        return change
    return change.and_then(handed_over(state, rules, min(event.time, now)))


def conversation_updated(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Keep what we know of the conversation current; a new department or priority may bring another promise."""
    data: ConversationUpdated = event.data
    at = min(event.time, now)
    updates = _updates(state, data.changes, at)
    change = Change(updates, [])
    if not state.open:
        return change
    if "department" in updates or "priority" in updates:
        change = change.and_then(reconsidered(state.model_copy(update=updates), rules, at))
    if "state" not in data.changes:
        return change
    asleep = data.changes["state"][1] == STATE_SNOOZED
    if asleep == state.snoozed:
        return change
    current = state.model_copy(update=change.updates)
    return change.and_then(snoozed(current, rules, at) if asleep else woken(current, rules, at))


def _updates(state: SlaState, changes: Mapping[str, tuple[Any, Any]], at: datetime) -> dict[str, object]:
    """Return the fields of the state that `changes` (name: old, new) sets. Names that do not concern us are left out.

    `opted_out` lists the scopes that the customer does not want; `left` says that the customer left the channel or blocked us.
    """
    updates: dict[str, object] = {}
    for name, (_, new) in changes.items():
        match name:
            case "language" | "department":
                updates[name] = new
            case "opted_out":
                updates[name] = (new,) if isinstance(new, str) else tuple(new or ())
            case "priority":
                updates[name] = new or 0
            case "customer":
                updates[name] = Customer.model_validate(new)
            case "left":
                updates["blocked_since"] = (state.blocked_since or at) if new else None
            case _:
                continue
    return updates
