"""Replies: may this author say this now? What is approved takes its position and goes on to sla; every refusal says why."""

from __future__ import annotations

from services.router.core.refusals import CLOSED, NO_CONVERSATION, Refusal, refuse_author, refuse_stale
from services.router.core.templates import NoTemplateError, find_template
from services.router.core.turn import Turn
from services.router.state import ConversationState
from shared.events.commands import Reply, SendTemplate
from shared.events.conversations import MessageAppended, ReplyApproved, ReplyRejected
from shared.events.shapes import AuthorKind, Choice, Content, Form, Media, Menu, Order, Text, Unsupported
from shared.events.work import WorkAccepted
from shared.ids import digest, remember_digest, remembers_digest
from shared.topics import AGENTS

REPLY_IDS_MAX = 32
"""How many judged replies of a thread are remembered: a command repeated after its verdict is harmless, the first verdict stands."""


def take_reply(turn: Turn, reply: Reply) -> None:
    """Approve a reply or say why not."""
    if _judged_before(turn, reply.reply_id):
        return
    refusal = refuse_reply(turn.state, reply, even_if_closed=reply.keep_if_closed) or refuse_content(reply.content)
    if refusal is None:
        _approve(turn, reply, reply.content, reply.language)
    else:
        _reject(turn, reply, refusal)


def take_template(turn: Turn, command: SendTemplate) -> None:
    """Approve an approved template as a reply, or say why there is none."""
    if _judged_before(turn, command.reply_id):
        return
    state = turn.state
    refusal = refuse_reply(state, command)
    if refusal is not None:
        _reject(turn, command, refusal)
        return
    try:
        template, language = find_template(
            turn.rules.centre, command, channel=state.channel, account=state.account, language=state.language
        )
    except NoTemplateError as error:
        _reject(turn, command, Refusal("invalid", str(error)))
    else:
        _approve(turn, command, template, language)


def refuse_reply(state: ConversationState, reply: Reply | SendTemplate, *, even_if_closed: bool = False) -> Refusal | None:
    """Return why nobody, or not this author, may answer now; None: they may."""
    if not state.number:
        return NO_CONVERSATION
    if state.left:
        return Refusal("left", "The customer left this channel: nothing can be sent until they write again.")
    if not state.is_open and not even_if_closed:
        return CLOSED
    stale = refuse_stale(state, reply.epoch)
    if stale is not None or not state.is_open:
        return stale
    return refuse_author(state, reply.author, reply.epoch)


def refuse_content(content: Content) -> Refusal | None:
    """Return why `content` is nothing that can be sent, on any channel; None: it is."""
    match content:
        case Text(text=text) | Menu(text=text) if not text.strip():
            return Refusal("invalid", "The reply has no text.")
        case Media(media_id=None, url=None):
            return Refusal("invalid", "The file has neither an address nor an id of the channel.")
        case Choice() | Form() | Order() | Unsupported():
            return Refusal("invalid", f"A {content.kind} is what customers send; it cannot be sent to one.")
        case _:
            return None


def _judged_before(turn: Turn, reply_id: str) -> bool:
    """Return whether this reply was judged before; remember it from now on, where there is a conversation to remember it in."""
    state = turn.state
    judged = digest(reply_id)
    if remembers_digest(state.reply_ids, judged):
        return True
    if state.number:
        turn.update(reply_ids=remember_digest(state.reply_ids, judged, REPLY_IDS_MAX))
    return False


def _approve(turn: Turn, command: Reply | SendTemplate, content: Content, language: str | None) -> None:
    """Give the reply its position and send it on; an agent who answers has accepted the conversation."""
    state = turn.state
    turn.update(position=state.position + 1)
    turn.emit(
        MessageAppended(
            conversation_id=turn.conversation_id,
            position=state.position + 1,
            direction="out",
            reply_id=command.reply_id,
            author=command.author,
            content=content,
            sent_at=turn.now,
        )
    )
    turn.emit(
        ReplyApproved(
            conversation_id=turn.conversation_id,
            reply_id=command.reply_id,
            author=command.author,
            content=content,
            language=language or state.language,
            epoch=state.epoch,
        )
    )
    if state.accept_pending and state.pool is not None and command.author.kind is AuthorKind.AGENT:
        turn.update(accept_pending=False)
        turn.emit_to(AGENTS, state.pool, WorkAccepted(agent=command.author.id, conversation_id=turn.conversation_id))


def _reject(turn: Turn, command: Reply | SendTemplate, refusal: Refusal) -> None:
    """Tell the author why the reply does not go out."""
    turn.emit(
        ReplyRejected(
            conversation_id=turn.conversation_id if turn.state.number else None,
            reply_id=command.reply_id,
            author=command.author,
            reason=refusal.reason,
            explanation=refusal.explanation,
        )
    )
