"""What conversations ask of dispatch: work offered, changed, withdrawn, finished, taken; and what agents say to an assignment."""

from __future__ import annotations

from typing import Any

from services.router.core.floor import Floor
from services.router.core.matching import suits
from services.router.core.memory import remember_by_name, without
from services.router.state import Assigned, Presence, Work, WrapUp
from shared.events.work import WorkAccepted, WorkDeclined, WorkFinished, WorkOffered, WorkTaken, WorkUrgencyChanged, WorkWithdrawn

WAITING_MAX = 2_000
"""How many conversations one pool lets wait: its state is saved whole. One beyond them stays queued and offers itself again later."""
FINISHED_EARLY_MAX = 50
"""Of how many conversations that finished unknown the pool remembers it: their work.taken may come out of a dead letter yet."""


def take_offer(floor: Floor, offer: WorkOffered) -> None:
    """Let a conversation wait. An offer repeated brings its terms up to date and keeps its age.

    An offer of work that an agent was just given crossed with that assignment: it stands where the agent fits the new terms too.
    """
    held = floor.assigned.get(offer.conversation_id)
    if held is not None:
        held = held.model_copy(update={"work": held.work.model_copy(update=_terms(offer))})
        floor.assigned[offer.conversation_id] = held
        agent = floor.configured(held.agent)
        if agent is None or not suits(held.agent, agent, held.work):
            floor.lapse(held, "withdrawn")
        return
    known = floor.take_waiting(offer.conversation_id)
    if known is not None:
        floor.put_waiting(known.model_copy(update=_terms(offer)))
    elif len(floor.waiting) < WAITING_MAX:
        floor.put_waiting(Work(**_terms(offer), entered_at=floor.now, entered_place=len(floor.waiting) + 1))


def take_urgency(floor: Floor, change: WorkUrgencyChanged) -> None:
    """Move work to its new place in the queue; work that an agent has remembers it, should it come back."""
    update = {"due_at": change.due_at, "priority": change.priority}
    work = floor.take_waiting(change.conversation_id)
    if work is not None:
        floor.put_waiting(work.model_copy(update=update))
        return
    held = floor.assigned.get(change.conversation_id)
    if held is not None:
        floor.assigned[change.conversation_id] = held.model_copy(update={"work": held.work.model_copy(update=update)})


def take_withdrawal(floor: Floor, withdrawal: WorkWithdrawn) -> None:
    """Forget work that wants no agent any more; where one had it, the slot is free at once."""
    floor.take_waiting(withdrawal.conversation_id)
    floor.assigned.pop(withdrawal.conversation_id, None)


def take_finish(floor: Floor, finish: WorkFinished) -> None:
    """Free the agent's slot after the wrap-up time. Work that finished while it waited (a lapse crossed with it) waits no more."""
    held = floor.held_by(finish.agent, finish.conversation_id)
    if held is None:
        floor.take_waiting(finish.conversation_id)
        if floor.seq is not None:
            floor.finished_early = remember_by_name(floor.finished_early, finish.conversation_id, floor.seq, FINISHED_EARLY_MAX)
        return
    del floor.assigned[finish.conversation_id]
    presence = floor.agents[finish.agent]
    seconds = floor.settings.wrap_up_seconds
    wrap_up = (WrapUp(channel_class=held.work.channel_class, until=floor.after(seconds)),) if seconds else ()
    floor.change(finish.agent, presence.model_copy(update={"idle_since": floor.now, "wrap_ups": (*presence.wrap_ups, *wrap_up)}))


def take_taken(floor: Floor, taken: WorkTaken) -> None:
    """Count what somebody gave to an agent by order, also beyond the agent's capacity and whether or not they are there.

    It waits no more, and another agent whom dispatch had given it to has it no more. An order that was replayed after its work had
    finished counts for nothing.
    """
    conversation_id = taken.conversation_id
    if floor.seq is not None and floor.finished_early.get(conversation_id, 0) > floor.seq:
        return
    floor.finished_early = without(floor.finished_early, conversation_id)
    waiting, held = floor.take_waiting(conversation_id), floor.assigned.get(conversation_id)
    known = waiting if held is None else held.work
    work = known or Work(conversation_id=conversation_id, thread=taken.thread, entered_at=floor.now)
    if held is None or held.agent != taken.agent:
        presence = floor.agents.get(taken.agent) or Presence(idle_since=floor.now)
        floor.change(taken.agent, presence.model_copy(update={"idle_since": floor.now}))
    work = work.model_copy(update={"channel_class": taken.channel_class})
    floor.assigned[conversation_id] = Assigned(work=work, agent=taken.agent)


def take_acceptance(floor: Floor, acceptance: WorkAccepted) -> None:
    """The agent takes what was offered: it does not lapse any more."""
    held = floor.held_by(acceptance.agent, acceptance.conversation_id)
    if held is not None:
        floor.assigned[acceptance.conversation_id] = held.model_copy(update={"accept_by": None})


def take_refusal(floor: Floor, refusal: WorkDeclined) -> None:
    """The agent does not take what was offered: the next one gets it. What was accepted is passed on by a transfer instead."""
    held = floor.held_by(refusal.agent, refusal.conversation_id)
    if held is not None and held.accept_by is not None:
        floor.lapse(held, "declined")


def _terms(offer: WorkOffered) -> dict[str, Any]:
    """Return the fields of Work that an offer sets."""
    return {name: value for name, value in offer if name in Work.model_fields}
