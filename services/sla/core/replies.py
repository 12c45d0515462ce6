"""Approved replies: each passes the gate once, and once more where the channel says that its window is closed after all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.sla.core.gate import Reply, asks_back, gate
from services.sla.core.rules import Change, Rules, no_change
from services.sla.state import PENDING_CONTENT_BYTES_MAX, PENDING_MAX, REPLIES_REMEMBERED_MAX, Pending, SlaState
from shared.events.conversations import ReplyApproved
from shared.events.envelope import Event
from shared.events.sends import SendRequested
from shared.events.shapes import Content, Template, Text
from shared.ids import digest, remember_digest, remembers_digest

ATTEMPTS_MAX = 2
"""How often one reply may pass the gate: as it was approved, and once more after the channel refused that form."""
UTF8_BYTES_MAX = 4
"""Bytes that one character takes at most."""


def reply_approved(state: SlaState, event: Event[Any], rules: Rules, now: datetime) -> Change:
    """Decide about a reply, exactly once: one that was decided on before says nothing again."""
    data: ReplyApproved = event.data
    reply_digest = digest(data.reply_id)
    if remembers_digest(state.replies, reply_digest):
        return no_change()
    reply = Reply(data.reply_id, data.author.kind, data.content, language=data.language, reply_to=data.reply_to)
    outcome = gate(reply, state, rules, thread=event.subject, now=now)
    change = Change({"replies": remember_digest(state.replies, reply_digest, REPLIES_REMEMBERED_MAX)}, [outcome])
    if not isinstance(outcome, SendRequested):
        return change
    pending = Pending(
        send_id=outcome.send_id,
        reply_id=data.reply_id,
        conversation_id=data.conversation_id,
        attempt=reply.attempt,
        permission=outcome.permission,
        marketing=_is_marketing(outcome.content, state, rules),
        author=reply.author,
        content=_small(data.content),
        language=data.language,
        reply_to=data.reply_to,
        requested_at=now,
        inbound_position=state.inbound_position,
    )
    return change.and_then(_asked_back(state, outcome, reply, now)).and_then(_awaited(state, pending))


def gate_again(refused: Pending, state: SlaState, rules: Rules, thread: str, now: datetime) -> Change:
    """Decide again about a reply whose form the channel refused; `state` no longer holds it as pending."""
    if refused.attempt >= ATTEMPTS_MAX or refused.content is None:
        return no_change()
    reply = Reply(
        refused.reply_id,
        refused.author,
        refused.content,
        language=refused.language,
        reply_to=refused.reply_to,
        attempt=refused.attempt + 1,
    )
    outcome = gate(reply, state, rules, thread=thread, now=now)
    if not isinstance(outcome, SendRequested):
        return Change({}, [outcome])
    fields = {
        "send_id": outcome.send_id,
        "attempt": reply.attempt,
        "permission": outcome.permission,
        "marketing": _is_marketing(outcome.content, state, rules),
        "requested_at": now,
        "message_id": None,
    }
    asked = _asked_back(state, outcome, reply, now)
    return Change({}, [outcome]).and_then(asked).and_then(_awaited(state, refused.model_copy(update=fields)))


def _asked_back(state: SlaState, outcome: SendRequested, reply: Reply, now: datetime) -> Change:
    """Return the note that the customer is asked to come back, where that is what goes out."""
    if not asks_back(outcome, reply.content):
        return no_change()
    return Change({"asked_back_at": now, "asked_back_position": state.inbound_position}, [])


def _awaited(state: SlaState, pending: Pending) -> Change:
    """Return the state with one more send whose fate is awaited."""
    return Change({"pending": (*state.pending, pending)[-PENDING_MAX:]}, [])


def _is_marketing(content: Content, state: SlaState, rules: Rules) -> bool:
    """Return whether `content` is a template that the configuration knows as marketing."""
    return isinstance(content, Template) and rules.is_marketing(state.channel, content) is True


def _small(content: Content) -> Content | None:
    """Return `content`, where it is small enough to be kept."""
    if isinstance(content, Text) and len(content.text) * UTF8_BYTES_MAX <= PENDING_CONTENT_BYTES_MAX:
        return content  # the usual case, without encoding it
    return content if len(content.model_dump_json().encode()) <= PENDING_CONTENT_BYTES_MAX else None
