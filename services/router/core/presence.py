"""Who is there: sign-in, sign-out, status, capacity, heartbeats. Who is not configured for the pool cannot sign in to it."""

from __future__ import annotations

from typing import get_args

from services.router.core.floor import Floor
from services.router.core.matching import is_available
from services.router.state import Presence
from shared.contact_centre.models import ChannelClass
from shared.events.work import AgentCapacityChanged, AgentSeen, AgentSignedIn, AgentSignedOut, AgentStatus, AgentStatusChanged

CAPACITY_MAX = 100
"""No person holds more conversations of one channel class at once."""
CHANNEL_CLASSES: tuple[str, ...] = get_args(ChannelClass)


def take_sign_in(floor: Floor, event: AgentSignedIn) -> None:
    """The agent is here and available, with the capacity that was said, else the configured one."""
    if floor.configured(event.agent) is None:
        return
    was_available = event.agent in floor.agents and is_available(floor, event.agent)
    presence = floor.agents.get(event.agent) or Presence(idle_since=floor.now)
    update = {
        "signed_in": True,
        "status": AgentStatus.AVAILABLE,
        "capacity": _bounded(event.capacity or {}),
        "idle_since": presence.idle_since if was_available else floor.now,
        # Who signs in again was alive just now; a desk that sent heartbeats goes on with them.
        "seen_at": presence.seen_at and floor.now,
    }
    floor.change(event.agent, presence.model_copy(update=update))


def take_sign_out(floor: Floor, event: AgentSignedOut) -> None:
    """The agent left: what they had not accepted goes to others, what they had accepted stays theirs until it is transferred."""
    presence = floor.agents.get(event.agent)
    if presence is None:
        return
    floor.change(event.agent, presence.model_copy(update={"signed_in": False, "status": AgentStatus.OFFLINE, "seen_at": None}))
    for held in tuple(floor.assigned.values()):
        if held.agent == event.agent and held.accept_by is not None:
            floor.lapse(held, "signed_out")


def take_seen(floor: Floor, event: AgentSeen) -> None:
    """The agent's desk is alive. Where the pool expects it, heartbeats that began must go on; who was silent is back with the next.

    After an outage of ours the timers come before the heartbeats that waited meanwhile: nobody has to sign in again for that.
    """
    presence = floor.agents.get(event.agent)
    if presence is None or not presence.signed_in or floor.settings.seen_seconds is None:
        return
    idle_since = floor.now if floor.is_silent(presence) else presence.idle_since
    floor.change(event.agent, presence.model_copy(update={"seen_at": floor.now, "idle_since": idle_since}))


def end_silence(floor: Floor) -> None:
    """Whoever is not heard of any more counts as signed out: what they had not accepted goes to others."""
    for held in tuple(floor.assigned.values()):
        if held.accept_by is not None and floor.is_silent(floor.agents[held.agent]):
            floor.lapse(held, "signed_out")


def take_status(floor: Floor, event: AgentStatusChanged) -> None:
    """The agent became available, away, busy or offline; only who signed in has a status."""
    presence = floor.agents.get(event.agent)
    if presence is None or not presence.signed_in or presence.status is event.status:
        return
    idle_since = floor.now if event.status is AgentStatus.AVAILABLE else presence.idle_since
    floor.change(event.agent, presence.model_copy(update={"status": event.status, "idle_since": idle_since}))


def take_capacity(floor: Floor, event: AgentCapacityChanged) -> None:
    """The agent takes this many conversations at once from now on; what they have beyond it they keep."""
    presence = floor.agents.get(event.agent)
    if presence is not None and presence.signed_in:
        floor.change(event.agent, presence.model_copy(update={"capacity": {**presence.capacity, **_bounded(event.capacity)}}))


def _bounded(capacity: dict[str, int]) -> dict[str, int]:
    """Return the capacity of the channel classes that there are, each within its bounds."""
    return {name: min(max(capacity[name], 0), CAPACITY_MAX) for name in CHANNEL_CLASSES if name in capacity}
