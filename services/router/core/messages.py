"""What customers write: the first message opens a conversation, every message takes the next position."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.router.core.customers import CUSTOMER, LEFT, OPTED_OUT, as_json, merge
from services.router.core.languages import Heard, hear, opening_language, written_text
from services.router.core.ownership import change_owner, offer
from services.router.core.turn import Turn
from services.router.state import BOT, ConversationState
from shared.events.conversations import ConversationOpened, ConversationUpdated, MessageAppended, MessageChanged
from shared.events.inbound import MessageDeleted, MessageEdited, MessageReceived, ReactionChanged
from shared.events.shapes import Content
from shared.ids import digest, remember_digest, remembers_digest

MESSAGE_IDS_MAX = 32
"""How many messages of a thread are remembered, so that one delivered again under another event id is not appended twice."""


def take_message(turn: Turn, message: MessageReceived) -> None:
    """Append a customer's message; the first one, and the first after a close, opens a conversation."""
    message_id = digest(message.message_id)
    if remembers_digest(turn.state.message_ids, message_id):
        return
    if turn.state.is_open:
        _refresh(turn, message)
    else:
        _open(turn, message)
    state = turn.state
    newest = state.newest_received_at
    late = newest is not None and message.sent_at < newest
    turn.update(position=state.position + 1, message_ids=remember_digest(state.message_ids, message_id, MESSAGE_IDS_MAX))
    if not late:
        turn.update(newest_received_at=message.sent_at)
    turn.emit(
        MessageAppended(
            conversation_id=turn.conversation_id,
            position=state.position + 1,
            direction="in",
            message_id=message.message_id,
            content=message.content,
            sent_at=message.sent_at,
            late=late,
        )
    )


def _open(turn: Turn, message: MessageReceived) -> None:
    """Open the thread's next conversation: what belonged to the last one is forgotten, the bot answers first."""
    state = turn.state
    account = turn.rules.centre.accounts.get(f"{message.channel}:{message.account}")
    customer = merge(state.customer, message.customer)
    text = written_text(message.content)
    heard = hear(turn.rules, opening_language(turn.rules, account, customer, state.language), text)
    origin = message.origin or state.origin
    chosen = _choose_department(turn, message, text) or (origin and turn.rules.keywords.of_origin(origin))
    turn.update(
        channel=message.channel,
        account=message.account,
        customer=customer,
        number=state.number + 1,
        is_open=True,
        language=heard.language,
        language_certain=heard.certain,
        department=chosen or (account.department if account else None),
        department_chosen=chosen is not None,
        pool=None,
        priority=account.priority if account else 0,
        skills=(),
        excluded_agents=(),
        tags=(),
        attributes={},
        origin=origin,
        left=False,
        clocks={},
    )
    opened = turn.state
    turn.emit(
        ConversationOpened(
            conversation_id=turn.conversation_id,
            channel=opened.channel,
            account=opened.account,
            customer=customer,
            language=opened.language,
            department=opened.department,
            origin=origin,
            priority=opened.priority,
        )
    )
    lasting: dict[str, tuple[Any, Any]] = {}
    if state.left:
        lasting[LEFT] = (True, False)
    if state.opted_out:
        lasting[OPTED_OUT] = ([], list(state.opted_out))
    if lasting:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes=lasting))
    change_owner(turn, BOT, reason="opened")


def _refresh(turn: Turn, message: MessageReceived) -> None:
    """Learn from a further message what it tells about customer, origin, language and department; it also ends a snooze."""
    state = turn.state
    changes: dict[str, tuple[Any, Any]] = {}
    customer = merge(state.customer, message.customer)
    if customer != state.customer:
        changes[CUSTOMER] = (as_json(state.customer), as_json(customer))
        turn.update(customer=customer)
    if message.origin is not None and message.origin != state.origin:
        before = state.origin
        changes["origin"] = (before and before.model_dump(exclude_none=True), message.origin.model_dump(exclude_none=True))
        turn.update(origin=message.origin)
    if state.left:
        changes[LEFT] = (True, False)
        turn.update(left=False)
    terms = _refresh_terms(turn, state, message)
    if state.snoozed:
        terms["state"] = ("snoozed", "open")
        turn.update(snoozed=False, snoozed_until=None)
    changes.update(terms)
    if changes:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes=changes))
    if terms:
        offer(turn)


def _refresh_terms(turn: Turn, state: ConversationState, message: MessageReceived) -> dict[str, tuple[Any, Any]]:
    """Return how the message changes what an agent must be able to do: language, and the department while the bot still asks."""
    changes: dict[str, tuple[Any, Any]] = {}
    text = written_text(message.content)
    if not state.language_certain:
        fallback = turn.rules.centre.fallback_language
        heard = hear(turn.rules, Heard(state.language or fallback, certain=False), text)
        if heard.language != state.language:
            changes["language"] = (state.language, heard.language)
        if heard.certain or heard.language != state.language:
            turn.update(language=heard.language, language_certain=heard.certain)
    if state.owner == BOT and not state.department_chosen:
        chosen = _choose_department(turn, message, text)
        if chosen is not None:
            turn.update(department_chosen=True, department=chosen)
            if chosen != state.department:
                changes["department"] = (state.department, chosen)
    return changes


def _choose_department(turn: Turn, message: MessageReceived, text: str | None) -> str | None:
    """Return the department that the message's referral or its words name, or None."""
    keywords = turn.rules.keywords
    return (message.origin and keywords.of_origin(message.origin)) or (keywords.of_text(text) if text else None)


def take_edit(turn: Turn, edit: MessageEdited) -> None:
    """A customer changed an earlier message."""
    _tell_change(turn, edit.message_id, edit.sent_at, change="edited", content=edit.content)


def take_deletion(turn: Turn, deletion: MessageDeleted) -> None:
    """A customer took back an earlier message."""
    _tell_change(turn, deletion.message_id, deletion.sent_at, change="deleted")


def take_reaction(turn: Turn, reaction: ReactionChanged) -> None:
    """A customer reacted to a message, or took the reaction back (no emoji)."""
    _tell_change(turn, reaction.message_id, reaction.sent_at, change="reaction", emoji=reaction.emoji)


def _tell_change(
    turn: Turn, message_id: str, sent_at: datetime, *, change: Any, content: Content | None = None, emoji: str | None = None
) -> None:
    """Publish a change of a message. It takes no position and opens nothing: a thread without a conversation has no such message."""
    if turn.state.number:
        turn.emit(
            MessageChanged(
                conversation_id=turn.conversation_id, message_id=message_id, change=change, content=content, emoji=emoji, sent_at=sent_at
            )
        )
