"""What the router remembers: of one thread (`ConversationState`) and of one pool (`DispatchState`).

Both are frozen, flat and bounded: they are saved whole with every event of their key. Bounds are named where the rule that keeps
them stands.
"""

from __future__ import annotations

from typing import TypedDict

from pydantic import Field

from shared.events.envelope import Frozen, Timestamp
from shared.events.shapes import Customer, Origin
from shared.events.work import AgentStatus

NOBODY = "nobody"
BOT = "bot"
QUEUE = "queue"
AGENT_PREFIX = "agent:"


def agent_owner(agent: str) -> str:
    """Return the owner that stands for `agent`."""
    return AGENT_PREFIX + agent


def agent_of(owner: str) -> str | None:
    """Return the agent's id where an agent is the owner."""
    return owner[len(AGENT_PREFIX) :] if owner.startswith(AGENT_PREFIX) else None


class Remembered(Frozen):
    """A part of a state: a field that an older or newer version wrote and this one does not know is ignored."""


class ConversationState(Remembered):
    """One thread: its running conversation, and what outlives it.

    number              conversations opened so far; the running or last one is `<thread>/<number>`
    position            the last place given to a message, over all conversations of the thread
    owner, epoch        who answers, and how often that changed; the epoch never starts again
    language_certain    the language was set by people, by the account, or by a long enough text: it is no longer guessed
    department_chosen   the department was chosen by a rule or a person and is more than the account's
    pool                the pool whose dispatch knows of the conversation, or knew last
    dispatched          the agent who owns it got it from dispatch; `accept_pending`: and has not accepted it yet
    origin              of the running conversation; without one, of what the customer clicked before writing
    newest_received_at  the youngest provider time of a message taken in
    message_ids         digests of the last messages taken in, reply_ids of the last replies judged (shared.ids.remember_digest)
    deliveries          the furthest status per message of ours, oldest message first
    clocks, windows     the promises that run (clock → due), and what the channel allows (permission → end)
    offer_again_at      when a conversation that still waits is offered to dispatch once more
    """

    channel: str = ""
    account: str = ""
    customer: Customer | None = None
    number: int = 0
    is_open: bool = False
    position: int = 0
    owner: str = NOBODY
    epoch: int = 0
    language: str | None = None
    language_certain: bool = False
    department: str | None = None
    department_chosen: bool = False
    pool: str | None = None
    priority: int = 0
    skills: tuple[str, ...] = ()
    excluded_agents: tuple[str, ...] = ()
    dispatched: bool = False
    accept_pending: bool = False
    last_agent: str | None = None
    last_agent_at: Timestamp | None = None
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = Field(default_factory=dict)
    origin: Origin | None = None
    newest_received_at: Timestamp | None = None
    message_ids: str = ""
    reply_ids: str = ""
    deliveries: dict[str, str] = Field(default_factory=dict)
    opted_out: tuple[str, ...] = ()
    left: bool = False
    clocks: dict[str, Timestamp] = Field(default_factory=dict)
    windows: dict[str, Timestamp] = Field(default_factory=dict)
    snoozed: bool = False
    snoozed_until: Timestamp | None = None
    offer_again_at: Timestamp | None = None


class ConversationChanges(TypedDict, total=False):
    """The fields of ConversationState, for a change of some of them (a test holds the two together)."""

    channel: str
    account: str
    customer: Customer | None
    number: int
    is_open: bool
    position: int
    owner: str
    epoch: int
    language: str | None
    language_certain: bool
    department: str | None
    department_chosen: bool
    pool: str | None
    priority: int
    skills: tuple[str, ...]
    excluded_agents: tuple[str, ...]
    dispatched: bool
    accept_pending: bool
    last_agent: str | None
    last_agent_at: Timestamp | None
    tags: tuple[str, ...]
    attributes: dict[str, str]
    origin: Origin | None
    newest_received_at: Timestamp | None
    message_ids: str
    reply_ids: str
    deliveries: dict[str, str]
    opted_out: tuple[str, ...]
    left: bool
    clocks: dict[str, Timestamp]
    windows: dict[str, Timestamp]
    snoozed: bool
    snoozed_until: Timestamp | None
    offer_again_at: Timestamp | None


class Work(Remembered):
    """A conversation that wants an agent, as it was offered, and what became of it so far.

    entered_at, entered_place  when it came into the queue, and how many stood there then, itself included
    place                      the position that was published last (0: none yet)
    lapsed_agents              agents who had it and did not take it; they get it again only when nobody else is there,
                               and not before `rest_until`
    """

    conversation_id: str
    thread: str
    language: str | None = None
    department: str | None = None
    skills: tuple[str, ...] = ()
    priority: int = 0
    due_at: Timestamp | None = None
    preferred_agent: str | None = None
    excluded_agents: tuple[str, ...] = ()
    channel_class: str = "messaging"
    entered_at: Timestamp
    entered_place: int = 1
    place: int = 0
    lapsed_agents: tuple[str, ...] = ()
    rest_until: Timestamp | None = None


class Assigned(Remembered):
    """Work that an agent has. `accept_by`: the agent has not taken it yet."""

    work: Work
    agent: str
    accept_by: Timestamp | None = None


class WrapUp(Remembered):
    """A slot that stays taken until `until` after its conversation ended."""

    channel_class: str
    until: Timestamp


class Presence(Remembered):
    """An agent who is signed in to the pool, or has conversations of it.

    capacity    what sign-in or a change of capacity said, per channel class; what is not named is as configured
    idle_since  when work last reached or left them, or they became available: the oldest is idle longest
    seen_at     when their desk was last heard of, if it sends heartbeats and the pool expects them
    """

    signed_in: bool = False
    status: AgentStatus = AgentStatus.OFFLINE
    capacity: dict[str, int] = Field(default_factory=dict)
    wrap_ups: tuple[WrapUp, ...] = ()
    idle_since: Timestamp
    seen_at: Timestamp | None = None


class DispatchState(Remembered):
    """One pool: who is there, what waits (most urgent first), who has what (by conversation).

    finished_early  of the last conversations that finished unknown, the seq of that word: an older order to an agent is void
    place_seconds   for the last conversations that stood in the queue, how long one place took
    due_at          when dispatch wants to be asked again
    """

    agents: dict[str, Presence] = Field(default_factory=dict)
    waiting: tuple[Work, ...] = ()
    assigned: dict[str, Assigned] = Field(default_factory=dict)
    finished_early: dict[str, int] = Field(default_factory=dict)
    place_seconds: tuple[float, ...] = ()
    due_at: Timestamp | None = None
