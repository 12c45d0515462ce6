"""`work` (key: pool), `agents` (key: pool) and `assignments` (key: thread): who gets which conversation."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from shared.events.envelope import EventData, Key, Timestamp


class WorkOffered(EventData):
    """A conversation waits for an agent. `due_at` is its nearest deadline (promise or window)."""

    NAME: ClassVar[str] = "work.offered"
    conversation_id: str
    thread: Key
    language: str | None = None
    department: str | None = None
    skills: tuple[str, ...] = ()
    priority: int = 0
    due_at: Timestamp | None = None
    preferred_agent: str | None = None
    excluded_agents: tuple[str, ...] = ()
    channel_class: str = "messaging"


class WorkUrgencyChanged(EventData):
    """A waiting conversation became more or less urgent."""

    NAME: ClassVar[str] = "work.urgency_changed"
    conversation_id: str
    thread: Key
    due_at: Timestamp | None = None
    priority: int = 0


class WorkWithdrawn(EventData):
    """A conversation does not want an agent (any more)."""

    NAME: ClassVar[str] = "work.withdrawn"
    conversation_id: str
    thread: Key
    reason: str | None = None


class WorkFinished(EventData):
    """The agent is done with the conversation: the slot becomes free after the wrap-up time."""

    NAME: ClassVar[str] = "work.finished"
    conversation_id: str
    thread: Key
    agent: str


class WorkTaken(EventData):
    """An agent has the conversation by somebody's order (assign, transfer, reopen): it takes a slot of theirs, free or not."""

    NAME: ClassVar[str] = "work.taken"
    conversation_id: str
    thread: Key
    agent: str
    channel_class: str = "messaging"


WorkData = WorkOffered | WorkUrgencyChanged | WorkWithdrawn | WorkFinished | WorkTaken


class AgentStatus(StrEnum):
    """What an agent says of themselves; only `available` gets new work."""

    AVAILABLE = "available"
    AWAY = "away"
    WRAP_UP = "wrap_up"
    OFFLINE = "offline"


class AgentSignedIn(EventData):
    """An agent is here. `capacity` (channel class → conversations at once) replaces the configured one where given."""

    NAME: ClassVar[str] = "agent.signed_in"
    agent: str
    capacity: dict[str, int] | None = None


class AgentSignedOut(EventData):
    """An agent left; their open conversations stay theirs until they are transferred."""

    NAME: ClassVar[str] = "agent.signed_out"
    agent: str


class AgentStatusChanged(EventData):
    """An agent became available, away, busy wrapping up, or offline."""

    NAME: ClassVar[str] = "agent.status_changed"
    agent: str
    status: AgentStatus


class AgentCapacityChanged(EventData):
    """An agent takes this many conversations at once, per channel class."""

    NAME: ClassVar[str] = "agent.capacity_changed"
    agent: str
    capacity: dict[str, int] = Field(min_length=1)


class AgentSeen(EventData):
    """A heartbeat of an agent's desk."""

    NAME: ClassVar[str] = "agent.seen"
    agent: str


class WorkAccepted(EventData):
    """The agent takes the offered conversation."""

    NAME: ClassVar[str] = "work.accepted"
    agent: str
    conversation_id: str


class WorkDeclined(EventData):
    """The agent does not take the offered conversation."""

    NAME: ClassVar[str] = "work.declined"
    agent: str
    conversation_id: str


AgentsData = AgentSignedIn | AgentSignedOut | AgentStatusChanged | AgentCapacityChanged | AgentSeen | WorkAccepted | WorkDeclined


class AssignmentMade(EventData):
    """This agent gets the conversation; `explanation` says why this one. Without `accept_by` it is accepted already."""

    NAME: ClassVar[str] = "assignment.made"
    conversation_id: str
    agent: str
    accept_by: Timestamp | None = None
    explanation: str


class AssignmentLapsed(EventData):
    """The agent did not take it (in time), or it asks for somebody else meanwhile (`withdrawn`): it is offered to the next."""

    NAME: ClassVar[str] = "assignment.lapsed"
    conversation_id: str
    agent: str
    reason: Literal["not_accepted", "declined", "signed_out", "withdrawn"]


class QueuePositionChanged(EventData):
    """Where a waiting conversation stands (1 is next) and how long it may take."""

    NAME: ClassVar[str] = "queue.position_changed"
    conversation_id: str
    position: int = Field(ge=1)
    expected_wait_seconds: int | None = None


AssignmentsData = AssignmentMade | AssignmentLapsed | QueuePositionChanged
