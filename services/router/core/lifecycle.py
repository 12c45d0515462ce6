"""Commands and timers that end a conversation, begin it again, or put it away: close, reopen, snooze."""

from __future__ import annotations

from services.router.core.ownership import change_owner, offer, release, tell_taken, waiting_pool, wake
from services.router.core.refusals import NO_CONVERSATION, permit, refuse_stale, reject
from services.router.core.turn import Turn
from services.router.state import BOT, NOBODY, agent_owner
from shared.engine.reducer import TimerFired
from shared.events.commands import Close, Reopen, Snooze
from shared.events.conversations import ConversationClosed, ConversationReopened, ConversationUpdated
from shared.events.shapes import AuthorKind


def take_close(turn: Turn, command: Close) -> None:
    """End the conversation; the customer's next message opens another."""
    if not permit(turn, command):
        return
    release(turn)
    change_owner(turn, NOBODY, reason="closed")
    turn.emit(ConversationClosed(conversation_id=turn.conversation_id, reason=command.reason, by=command.author, resolved=command.resolved))
    turn.update(is_open=False, pool=None, snoozed=False, snoozed_until=None, origin=None, clocks={})


def take_reopen(turn: Turn, command: Reopen) -> None:
    """Let a closed conversation go on: with the agent who reopens it, else with the bot."""
    state = turn.state
    refusal = refuse_stale(state, command.epoch) if state.number else NO_CONVERSATION
    if refusal is not None:
        reject(turn, command, *refusal)
        return
    if state.is_open or state.customer is None:
        reject(turn, command, "open", "The conversation is open already.")
        return
    author = command.author
    agent = turn.rules.centre.agents.get(author.id) if author.kind is AuthorKind.AGENT else None
    turn.update(is_open=True, pool=None if agent is None else agent.pool, excluded_agents=())
    turn.emit(
        ConversationReopened(
            conversation_id=turn.conversation_id,
            channel=state.channel,
            account=state.account,
            customer=state.customer,
            language=state.language,
            department=state.department,
            priority=state.priority,
        )
    )
    change_owner(turn, BOT if agent is None else agent_owner(author.id), reason="reopened")
    tell_taken(turn)


def take_snooze(turn: Turn, command: Snooze) -> None:
    """Put the conversation away until a moment or until the customer writes, which ends every snooze."""
    if not permit(turn, command):
        return
    if command.until is None and not command.until_reply:
        reject(turn, command, "invalid", "Say until when: a moment, or the customer's next message.")
    elif command.until is not None and command.until <= turn.now:
        reject(turn, command, "invalid", "The moment to come back has passed already.")
    else:
        _put_away(turn, command)


def _put_away(turn: Turn, command: Snooze) -> None:
    """Snooze; a conversation that waits in the queue leaves it meanwhile."""
    if waiting_pool(turn.state) is not None:
        release(turn)
    if not turn.state.snoozed:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes={"state": ("open", "snoozed")}))
    turn.update(snoozed=True, snoozed_until=command.until, offer_again_at=None)


def take_timer(turn: Turn, _timer: TimerFired) -> None:
    """End a snooze whose time has come; offer once more what still waits."""
    state = turn.state
    if state.snoozed_until is not None and state.snoozed_until <= turn.now:
        wake(turn)
        offer(turn)
    elif state.offer_again_at is not None and state.offer_again_at <= turn.now:
        turn.update(offer_again_at=None)
        offer(turn)
