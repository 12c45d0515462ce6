"""Who owns a conversation: nobody, the bot, the queue or an agent. Every change grows the epoch and is told to dispatch."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.router.core.turn import Turn
from services.router.state import QUEUE, ConversationState, agent_of, agent_owner
from shared.contact_centre.models import Pool
from shared.events.conversations import ConversationUpdated, OwnerChanged
from shared.events.work import WorkFinished, WorkOffered, WorkTaken, WorkUrgencyChanged, WorkWithdrawn
from shared.topics import WORK

OFFER_AGAIN_SECONDS = 900
"""A conversation that still waits is offered once more after this time: a pool that was full or lost it hears of it again."""


def waiting_pool(state: ConversationState) -> str | None:
    """Return the pool whose dispatch is to find an agent for the conversation now, or None: it does not wait."""
    return state.pool if state.owner == QUEUE and not state.snoozed else None


def nearest_deadline(state: ConversationState) -> datetime | None:
    """Return the earliest of the promises that run and the windows that are open, or None."""
    return min((*state.clocks.values(), *state.windows.values()), default=None)


def change_owner(turn: Turn, owner: str, *, reason: str, summary: str | None = None) -> None:
    """Make `owner` the one who answers. Whoever had it last among agents is remembered for the customer's next visit."""
    state = turn.state
    agent = agent_of(owner) or agent_of(state.owner)
    if agent is not None:
        turn.update(last_agent=agent, last_agent_at=turn.now)
    turn.update(owner=owner, epoch=state.epoch + 1, dispatched=False, accept_pending=False, offer_again_at=None)
    turn.emit(
        OwnerChanged(
            conversation_id=turn.conversation_id, from_=state.owner, to=owner, epoch=state.epoch + 1, reason=reason, summary=summary
        )
    )


def release(turn: Turn) -> None:
    """Tell dispatch that what it knows of the conversation ended: the agent's slot is free, or the work waits no more."""
    state = turn.state
    agent, pool = agent_of(state.owner), waiting_pool(state)
    if agent is not None and state.pool is not None:
        turn.emit_to(WORK, state.pool, WorkFinished(conversation_id=turn.conversation_id, thread=turn.thread, agent=agent))
    elif pool is not None:
        turn.emit_to(WORK, pool, WorkWithdrawn(conversation_id=turn.conversation_id, thread=turn.thread))


def put_into_queue(turn: Turn, *, reason: str, pool: str, department: str | None, summary: str | None = None) -> None:
    """Let the conversation wait for an agent of `pool`; an agent who passes it on does not get it back.

    One that waits there already is only offered with its new terms.
    """
    state = turn.state
    leaving = agent_of(state.owner)
    if waiting_pool(state) != pool:
        release(turn)
    wake(turn)
    if leaving is not None:
        turn.update(excluded_agents=(leaving,))
    turn.update(pool=pool, department=department, department_chosen=True)
    if department != state.department:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes={"department": (state.department, department)}))
    if state.owner != QUEUE:
        change_owner(turn, QUEUE, reason=reason, summary=summary)
    offer(turn)


def give_to_agent(turn: Turn, agent: str, *, reason: str) -> None:
    """Make a configured agent the owner by somebody's order; an agent who has it already keeps it.

    Where that agent has not accepted it yet the order does: dispatch hears that it is taken, and no lapse on its way takes it back.
    """
    if turn.state.owner == agent_owner(agent):
        wake(turn)
        if turn.state.accept_pending:
            turn.update(dispatched=False, accept_pending=False)
            tell_taken(turn)
        return
    release(turn)
    wake(turn)
    change_owner(turn, agent_owner(agent), reason=reason)
    turn.update(pool=turn.rules.centre.agents[agent].pool)
    tell_taken(turn)


def tell_taken(turn: Turn) -> None:
    """Tell dispatch whom the conversation was given to by somebody's order: it takes a slot that dispatch did not give."""
    state = turn.state
    agent = agent_of(state.owner)
    if agent is not None and state.pool is not None:
        turn.emit_to(
            WORK,
            state.pool,
            WorkTaken(
                conversation_id=turn.conversation_id,
                thread=turn.thread,
                agent=agent,
                channel_class=turn.rules.channel_class(state.channel),
            ),
        )


def offer(turn: Turn) -> None:
    """Offer the conversation to its pool, on the terms that hold now; one that does not wait is not offered."""
    state = turn.state
    pool = waiting_pool(state)
    if pool is None:
        return
    turn.update(offer_again_at=turn.now + timedelta(seconds=OFFER_AGAIN_SECONDS))
    turn.emit_to(
        WORK,
        pool,
        WorkOffered(
            conversation_id=turn.conversation_id,
            thread=turn.thread,
            language=state.language,
            department=state.department,
            skills=state.skills,
            priority=state.priority,
            due_at=nearest_deadline(state),
            preferred_agent=_preferred_agent(turn, state, pool),
            excluded_agents=state.excluded_agents,
            channel_class=turn.rules.channel_class(state.channel),
        ),
    )


def tell_urgency(turn: Turn) -> None:
    """Tell dispatch that the conversation became more or less urgent, where it waits."""
    state = turn.state
    pool = waiting_pool(state)
    if pool is not None:
        turn.emit_to(
            WORK,
            pool,
            WorkUrgencyChanged(
                conversation_id=turn.conversation_id, thread=turn.thread, due_at=nearest_deadline(state), priority=state.priority
            ),
        )


def wake(turn: Turn) -> None:
    """End the conversation's snooze, if it sleeps."""
    if turn.state.snoozed:
        turn.update(snoozed=False, snoozed_until=None)
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes={"state": ("snoozed", "open")}))


def _preferred_agent(turn: Turn, state: ConversationState, pool: str) -> str | None:
    """Return the agent whom the customer knows, if that was not too long ago and they are of this pool."""
    agent = turn.rules.centre.agents.get(state.last_agent or "")
    if agent is None or agent.pool != pool or state.last_agent in state.excluded_agents or state.last_agent_at is None:
        return None
    sticky_hours = turn.rules.centre.pools.get(pool, Pool()).sticky_hours
    return state.last_agent if turn.now - state.last_agent_at <= timedelta(hours=sticky_hours) else None
