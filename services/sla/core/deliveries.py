"""What became of our sends: the channel's answers correct our windows, keep promises and let a reply try its next form.

A status never opens a window. A send whose answer was lost (send.unknown) changes nothing here: whether the customer has got it,
only a later status can tell, and then it counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.sla.core.gate import SCOPE_MARKETING, is_of_reply_among
from services.sla.core.replies import gate_again
from services.sla.core.rules import Change, Rules, no_change
from services.sla.core.waits import answered, taken_back
from services.sla.core.windows import close_refused
from services.sla.state import Pending, SlaState
from shared.events.deliveries import MessageFailed, SendAccepted, SendRefused
from shared.events.envelope import Event
from shared.events.sends import Permission
from shared.events.shapes import FailureClass, Reaction, Template


def send_accepted(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Take an accepted answer for given. It stays pending: the channel may still give it back."""
    data: SendAccepted = event.data
    pending = _find(state, data.send_id, data.message_id)
    if pending is None or pending.message_id is not None:
        return no_change()
    change, accepted = _counted(state, pending, rules, data.message_id, min(data.at, now))
    kept = tuple(accepted if other is pending else other for other in state.pending)
    return change.and_then(Change({"pending": kept}, []))


def message_under_way(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Forget a send that the channel has sent on (or more); where its acceptance was lost or is late, it counts as an answer now."""
    pending = _find(state, event.data.send_id, event.data.message_id)
    if pending is None:
        return no_change()
    change = no_change()
    if pending.message_id is None:
        change, _ = _counted(state, pending, rules, event.data.message_id, min(event.data.at, now))
    return change.and_then(Change({"pending": _without(state, pending)}, []))


def send_failed(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Draw the conclusion from a refusal: close the window, try the next form, note what the customer does not want."""
    data: SendRefused | MessageFailed = event.data
    failure_class = data.failure.class_
    if isinstance(data, SendRefused) and not data.final and failure_class is not FailureClass.TEMPLATE_NEEDED:
        return no_change()  # outbound tries again by itself
    message_id = data.message_id if isinstance(data, MessageFailed) else None
    pending = _find(state, data.send_id, message_id)
    if pending is None and data.send_id is not None and is_of_reply_among(data.send_id, state.replies):
        return no_change()  # told before: the conclusion was drawn then
    change = no_change()
    if failure_class is FailureClass.TEMPLATE_NEEDED:
        change = _window_refused(state, pending, min(data.at, now), now)
    if pending is None:
        return change
    change = change.and_then(Change({"pending": _without(state, pending)}, []))
    if pending.permission is Permission.TEMPLATE and not isinstance(pending.content, Template):
        change = change.and_then(Change({"asked_back_at": None}, []))  # the template did not reach the customer: nobody was asked
    if failure_class is FailureClass.SUPPRESS:
        change = change.and_then(_suppressed(state, pending, min(data.at, now)))
    after = state.model_copy(update=change.updates)
    if failure_class is FailureClass.TEMPLATE_NEEDED and pending.permission is not Permission.TEMPLATE:
        again = gate_again(pending, after, rules, event.subject, now)
        change = change.and_then(again)
        if "pending" in again.updates:
            return change
    # No other form goes out: the customer has got nothing, and a promise that this answer kept is open again.
    return change.and_then(taken_back(after, rules, pending.met, now)) if _concerns(state, pending) else change


def _counted(state: SlaState, pending: Pending, rules: Rules, message_id: str, at: datetime) -> tuple[Change, Pending]:
    """Return what the answer changes, and the send as accepted. A reaction of ours is no answer."""
    if isinstance(pending.content, Reaction) or not _concerns(state, pending):
        return no_change(), pending.model_copy(update={"message_id": message_id})
    result = answered(state, rules, pending.author, at, pending.inbound_position)
    return result.change, pending.model_copy(update={"message_id": message_id, "met": result.met or pending.met})


def _concerns(state: SlaState, pending: Pending) -> bool:
    """Return whether the send belongs to the conversation that the clocks are about."""
    return pending.conversation_id == state.conversation_id


def _window_refused(state: SlaState, pending: Pending | None, at: datetime, now: datetime) -> Change:
    """Return the window closed, as it was when the refused send was asked for; of a send we do not know, when it was refused."""
    permission = Permission.FREE_FORM if pending is None else pending.permission
    asked_at = at if pending is None else pending.requested_at
    windows, facts = close_refused(state.windows, permission, asked_at=asked_at, now=now)
    return Change({"windows": windows} if facts else {}, facts)


def _suppressed(state: SlaState, pending: Pending, at: datetime) -> Change:
    """Return what the customer does not want, by what was refused: marketing alone, or everything until the customer writes again."""
    if pending.marketing:
        return Change({"opted_out": tuple(sorted({*state.opted_out, SCOPE_MARKETING}))}, [])
    return Change({"blocked_since": at}, [])


def _find(state: SlaState, send_id: str | None, message_id: str | None) -> Pending | None:
    """Return the pending send, by our id where it came back, else by the channel's."""
    if send_id is not None:
        return next((pending for pending in state.pending if pending.send_id == send_id), None)
    return next((pending for pending in state.pending if pending.message_id == message_id), None)


def _without(state: SlaState, settled: Pending) -> tuple[Pending, ...]:
    """Return the pending sends without one."""
    return tuple(pending for pending in state.pending if pending is not settled)
