"""Commands that give a conversation to somebody: hand_off, assign, transfer."""

from __future__ import annotations

from typing import Any, NamedTuple

from services.router.core.languages import bounded
from services.router.core.memory import remember
from services.router.core.ownership import give_to_agent, put_into_queue
from services.router.core.refusals import permit, reject
from services.router.core.turn import Turn
from shared.contact_centre.models import ContactCentre
from shared.events.commands import Assign, HandOff, Transfer
from shared.events.conversations import ConversationUpdated, NoteAdded

SKILLS_MAX = 16
"""How many skills one conversation can ask for."""
SKILL_CHARACTERS_MAX = 64
PRIORITY_MAX = 10


class _Queue(NamedTuple):
    """Where a conversation is to wait. Without a department any agent of the pool will do."""

    pool: str
    department: str | None


def take_hand_off(turn: Turn, command: HandOff) -> None:
    """Give the conversation to people: it waits in the queue of its department's pool."""
    if not permit(turn, command):
        return
    centre = turn.rules.centre
    # A thread whose account was taken out of the configuration has no department: the first one takes it.
    department = command.department or turn.state.department or next(iter(centre.departments), "")
    queue = _queue_of_department(centre, department)
    problem = _terms_problem(centre, command)
    if queue is None:
        reject(turn, command, "invalid", _unknown("department", department))
    elif problem is not None:
        reject(turn, command, "invalid", problem)
    else:
        _take_terms(turn, command)
        put_into_queue(turn, reason="hand_off", pool=queue.pool, department=queue.department, summary=command.summary)


def take_assign(turn: Turn, command: Assign) -> None:
    """Give the conversation to a named agent, who may be its author: that is how one takes over."""
    if not permit(turn, command):
        return
    if command.agent in turn.rules.centre.agents:
        give_to_agent(turn, command.agent, reason="assign")
    else:
        reject(turn, command, "invalid", _unknown("agent", command.agent))


def take_transfer(turn: Turn, command: Transfer) -> None:
    """Pass the conversation on to an agent, a department or a pool; a note goes along."""
    if not permit(turn, command):
        return
    centre = turn.rules.centre
    match (command.agent, command.department, command.pool):
        case (str(agent), None, None):
            known = agent in centre.agents
            if known:
                give_to_agent(turn, agent, reason="transfer")
            _conclude(turn, command, "agent", agent, known=known)
        case (None, str(department), None):
            _conclude(turn, command, "department", department, known=_move(turn, _queue_of_department(centre, department)))
        case (None, None, str(pool)):
            _conclude(turn, command, "pool", pool, known=_move(turn, _queue_of_pool(centre, pool, turn.state.department)))
        case _:
            reject(turn, command, "invalid", "Transfer to one of: an agent, a department, a pool.")


def priority_problem(priority: int) -> str | None:
    """Return what is wrong with a priority, or None."""
    return None if 0 <= priority <= PRIORITY_MAX else f"A priority is 0 (normal) to {PRIORITY_MAX} (most urgent), not {priority}."


def _move(turn: Turn, queue: _Queue | None) -> bool:
    """Put the conversation into `queue` and return True; where there is no such queue, do nothing and return False."""
    if queue is not None:
        put_into_queue(turn, reason="transfer", pool=queue.pool, department=queue.department)
    return queue is not None


def _conclude(turn: Turn, command: Transfer, kind: str, name: str, *, known: bool) -> None:
    """Leave the note of a transfer for whoever gets the conversation, or say that its target is not known."""
    if not known:
        reject(turn, command, "invalid", _unknown(kind, name))
    elif command.note:
        turn.emit(NoteAdded(conversation_id=turn.conversation_id, author=command.author, text=command.note))


def _queue_of_department(centre: ContactCentre, department: str) -> _Queue | None:
    """Return where work for `department` waits, or None: it is not configured."""
    known = centre.departments.get(department)
    return None if known is None else _Queue(known.pool, department)


def _queue_of_pool(centre: ContactCentre, pool: str, department: str | None) -> _Queue | None:
    """Return where work waits in `pool`: for `department` where the pool serves it, else for the first that it serves."""
    if pool not in centre.pools:
        return None
    served = [name for name, one in centre.departments.items() if one.pool == pool]
    return _Queue(pool, department if department in served else next(iter(served), None))


def _terms_problem(centre: ContactCentre, command: HandOff) -> str | None:
    """Return what is wrong with the terms of a hand-off, or None."""
    if command.language is not None and bounded(command.language, centre.languages) is None:
        return _unknown("language", command.language)
    if command.skill is not None and not 0 < len(command.skill) <= SKILL_CHARACTERS_MAX:
        return f"A skill's name has 1 to {SKILL_CHARACTERS_MAX} characters."
    return None if command.priority is None else priority_problem(command.priority)


def _take_terms(turn: Turn, command: HandOff) -> None:
    """Take over language, skill and priority of a hand-off."""
    state = turn.state
    changes: dict[str, tuple[Any, Any]] = {}
    if command.language is not None:
        language = bounded(command.language, turn.rules.centre.languages)
        turn.update(language=language, language_certain=True)
        if language != state.language:
            changes["language"] = (state.language, language)
    if command.priority is not None and command.priority != state.priority:
        turn.update(priority=command.priority)
        changes["priority"] = (state.priority, command.priority)
    if command.skill is not None and command.skill not in state.skills:
        skills = remember(state.skills, command.skill, SKILLS_MAX)
        turn.update(skills=skills)
        changes["skills"] = (list(state.skills), list(skills))
    if changes:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes=changes))


def _unknown(kind: str, name: str) -> str:
    """Return the explanation for a name that the configuration does not know."""
    return f"There is no {kind} {name} in this contact centre."
