"""Who gets what: the most urgent work that somebody can take first, and among those who can, the one who should."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from datetime import datetime
from typing import NamedTuple

from services.router.core.floor import Floor
from services.router.state import Work
from shared.contact_centre.models import Agent
from shared.contact_centre.staffing import same_language
from shared.events.work import AgentStatus

ASSIGNMENTS_MAX = 100
"""How many assignments one decision makes; what could be given besides follows at once by timer."""


class Candidate(NamedTuple):
    """An agent who is there and on shift. `capacity` and `taken` are slots per channel class; `taken` grows with what they are given."""

    name: str
    agent: Agent
    idle_since: datetime
    capacity: dict[str, int]
    taken: dict[str, int]

    def room(self, channel_class: str) -> int:
        """Return how many slots of the class are free; never negative."""
        return max(self.capacity.get(channel_class, 0) - self.taken.get(channel_class, 0), 0)

    def share(self, channel_class: str) -> float:
        """Return which part of the class's slots is taken; asked only of who has room."""
        return self.taken.get(channel_class, 0) / self.capacity[channel_class]


def suits(name: str, agent: Agent, work: Work) -> bool:
    """Return whether the agent can do the work (language, department, every skill) and may (not excluded)."""
    return (
        name not in work.excluded_agents
        and (work.language is None or any(same_language(spoken, work.language) for spoken in agent.languages))
        and (work.department is None or work.department in agent.departments)
        and set(work.skills) <= set(agent.skills)
    )


def present(floor: Floor) -> dict[str, Candidate]:
    """Return the agents who are signed in, heard of, available, configured and on shift."""
    loads = floor.loads()
    candidates: dict[str, Candidate] = {}
    for name, presence in floor.agents.items():
        agent = floor.configured(name)
        if agent is None or not is_available(floor, name) or not floor.rules.on_shift(name, floor.now):
            continue
        capacity = {str(kind): slots for kind, slots in agent.capacity.items()} | presence.capacity
        taken = {channel_class: loads[name, channel_class] for channel_class in capacity}
        candidates[name] = Candidate(name, agent, presence.idle_since, capacity, taken)
    return candidates


def is_available(floor: Floor, agent: str) -> bool:
    """Return whether an agent of the floor is signed in, is heard of and takes new work, on shift or not."""
    presence = floor.agents[agent]
    return presence.signed_in and presence.status is AgentStatus.AVAILABLE and not floor.is_silent(presence)


def match(floor: Floor) -> bool:
    """Give out work as long as some waits that somebody can take; return whether ASSIGNMENTS_MAX ended it.

    Work that asks for the same as other work that nobody could take is passed over: within a decision slots are only taken.
    """
    candidates = present(floor) if floor.waiting else {}
    free = sum(one.room(channel_class) for one in candidates.values() for channel_class in one.capacity)
    without_taker: set[Hashable] = set()
    made = 0
    for work in tuple(floor.waiting):
        if not free:
            break
        kind = _kind(floor, work)
        takers = [] if kind in without_taker else _takers(floor, work, candidates.values())
        if not takers:
            without_taker.add(kind)
            continue
        if made == ASSIGNMENTS_MAX:
            return True
        chosen, why = choose(takers, work)
        floor.assign(work, chosen.name, explain(chosen, work, why))
        chosen.taken[work.channel_class] += 1
        candidates[chosen.name] = chosen._replace(idle_since=floor.now)
        free -= 1
        made += 1
    return False


def choose(takers: list[Candidate], work: Work) -> tuple[Candidate, str]:
    """Return who gets the work and why: who knows the customer, else the least loaded share, else the longest idle, else by name."""
    for taker in takers:
        if taker.name == work.preferred_agent:
            return taker, "who answered this customer before"
    chosen = min(takers, key=lambda one: (one.share(work.channel_class), one.idle_since, one.name))
    if len(takers) == 1:
        return chosen, "the only one who is free"
    share = chosen.share(work.channel_class)
    equals = sum(one.share(work.channel_class) == share for one in takers)
    return chosen, f"the least busy of {len(takers)} who are free" if equals == 1 else f"idle longest of {equals} who are equally busy"


def explain(chosen: Candidate, work: Work, why: str) -> str:
    """Return in words why this agent gets the work."""
    asked = [
        *([f"speaks {work.language}"] if work.language else []),
        *([f"works in {work.department}"] if work.department else []),
        *([f"knows {', '.join(work.skills)}"] if work.skills else []),
    ]
    able = f"{', '.join(asked)}; " if asked else ""
    taken, capacity = chosen.taken[work.channel_class], chosen.capacity[work.channel_class]
    return f"{chosen.agent.name}: {able}{why}; had {taken} of {capacity} conversations."


def _takers(floor: Floor, work: Work, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return who can take the work now.

    Those who let it lapse come only when nobody else who suits is there, however busy, and the work has rested.
    """
    suitable = [one for one in candidates if suits(one.name, one.agent, work)]
    willing = [one for one in suitable if one.name not in work.lapsed_agents]
    if not willing and not _rests(floor, work):
        willing = suitable
    return [one for one in willing if one.room(work.channel_class)]


def _rests(floor: Floor, work: Work) -> bool:
    """Return whether the work lapsed a moment ago."""
    return work.rest_until is not None and work.rest_until > floor.now


def _kind(floor: Floor, work: Work) -> Hashable:
    """Return what decides who can take the work."""
    return (
        work.language,
        work.department,
        work.skills,
        work.channel_class,
        work.excluded_agents,
        work.lapsed_agents,
        _rests(floor, work),
    )
