"""What dispatch decided: an agent for a conversation that waits, or none after all.

What dispatch says about a thread arrives in its order, so the last word about a wait is how dispatch sees it: assigned to somebody,
or waiting. It may cross with a command on its way. A conversation that left the queue and came back to the same pool meanwhile
cannot tell an old assignment from a new one; it believes every word in turn, and so ends where dispatch does.
"""

from __future__ import annotations

from datetime import timedelta

from services.router.core.ownership import OFFER_AGAIN_SECONDS, change_owner, tell_taken, waiting_pool
from services.router.core.turn import Turn
from services.router.state import QUEUE, agent_of, agent_owner
from shared.events.work import AssignmentLapsed, AssignmentMade, QueuePositionChanged, WorkWithdrawn
from shared.topics import WORK


def take_assignment(turn: Turn, assignment: AssignmentMade) -> None:
    """Make the agent the owner, or tell dispatch that the work is not there any more, which frees the agent's slot.

    A newer assignment of the same pool replaces an older one; one of another pool or conversation is withdrawn. Where an agent of
    the pool has the conversation by somebody's order meanwhile, dispatch hears who: a withdrawal would free that agent's slot.
    """
    state = turn.state
    owner = agent_owner(assignment.agent)
    same_wait = _is_about_this_wait(turn, assignment.conversation_id)
    if same_wait and state.dispatched and state.owner == owner:
        return
    if same_wait and (waiting_pool(state) is not None or state.dispatched):
        change_owner(turn, owner, reason="assignment")
        turn.update(dispatched=True, accept_pending=assignment.accept_by is not None)
    elif same_wait and agent_of(state.owner) is not None:
        tell_taken(turn)
    else:
        _withdraw(turn, turn.emitter or state.pool, assignment.conversation_id)


def take_lapse(turn: Turn, lapse: AssignmentLapsed) -> None:
    """Put the conversation back into the queue, if the agent whom dispatch had chosen still has it. Dispatch knows that it waits."""
    state = turn.state
    if _is_about_this_wait(turn, lapse.conversation_id) and state.dispatched and state.owner == agent_owner(lapse.agent):
        _back_to_queue(turn, f"assignment lapsed: {lapse.reason}")


def take_place(turn: Turn, place: QueuePositionChanged) -> None:
    """Dispatch says that the conversation waits: an agent who has it has it by an assignment that had ended before it arrived."""
    if _is_about_this_wait(turn, place.conversation_id) and turn.state.dispatched:
        _back_to_queue(turn, "assignment ended")


def _is_about_this_wait(turn: Turn, conversation_id: str) -> bool:
    """Return whether dispatch speaks of the running conversation in the pool that it was offered to last."""
    return conversation_id == turn.conversation_id and turn.emitter in {None, turn.state.pool}


def _back_to_queue(turn: Turn, reason: str) -> None:
    """Let the conversation wait again; dispatch knows of it, unless it sleeps: then it is offered when it wakes."""
    change_owner(turn, QUEUE, reason=reason)
    if turn.state.snoozed:
        _withdraw(turn, turn.emitter or turn.state.pool, turn.conversation_id)
    else:
        turn.update(offer_again_at=turn.now + timedelta(seconds=OFFER_AGAIN_SECONDS))


def _withdraw(turn: Turn, pool: str | None, conversation_id: str) -> None:
    """Tell dispatch that the work is not there (any more); without a known pool there is nobody to tell."""
    if pool is not None:
        withdrawal = WorkWithdrawn(conversation_id=conversation_id, thread=turn.thread, reason="the conversation does not wait any more")
        turn.emit_to(WORK, pool, withdrawal)
