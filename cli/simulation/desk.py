"""The agents: they sign in, take what they are offered (mostly), answer after a while (a few much too late), and close."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from cli.simulation.world import World
from shared.contact_centre.models import ContactCentre
from shared.events.commands import Close, Reply
from shared.events.conversations import ConversationClosed, OwnerChanged
from shared.events.envelope import Event
from shared.events.shapes import Author, AuthorKind, Text
from shared.events.work import AgentSignedIn, AssignmentMade, WorkAccepted
from shared.topics import AGENTS, COMMANDS

SOURCE = "simulation/desk"
OVERLOOKED_SHARE = 0.03
"""Offers that an agent overlooks: they lapse, and the next agent gets them."""
FORGOTTEN_SHARE = 0.02
"""Conversations that are answered only when the reply window may have closed."""
FORGOTTEN_SECONDS = 25 * 3600.0
ANSWER_SECONDS_MEAN = 150.0
CLOSE_SECONDS = (600.0, 2400.0)
ANSWER = "OK, 1 2 3"
"""An agent's words; what they say decides nothing."""


@dataclass(slots=True)
class Desk:
    """All agents of the centre."""

    world: World
    chance: Random
    centre: ContactCentre
    _owners: dict[str, tuple[str, int]] = field(default_factory=dict)

    async def open(self) -> None:
        """Sign every agent in: their shifts, which the router knows, decide who gets work when."""
        for name, agent in self.centre.agents.items():
            await self.world.publish(AGENTS, agent.pool, AgentSignedIn(agent=name), source=SOURCE)

    def hear(self, event: Event[Any]) -> None:
        """React to offers and to conversations that are ours now."""
        match event.data:
            case AssignmentMade(accept_by=moment, agent=agent, conversation_id=conversation) if moment is not None:
                if self.chance.random() >= OVERLOOKED_SHARE:
                    self.world.after(self.chance.uniform(2, 30), lambda: self._accept(agent, conversation))
            case OwnerChanged(to=owner, epoch=epoch):
                self._owners[event.subject] = (owner, epoch)
                if owner.startswith("agent:"):
                    forgotten = self.chance.random() < FORGOTTEN_SHARE
                    seconds = FORGOTTEN_SECONDS if forgotten else 10 + self.chance.expovariate(1 / ANSWER_SECONDS_MEAN)
                    thread = event.subject
                    self.world.after(seconds, lambda: self._answer(thread, owner, epoch))
            case ConversationClosed():
                self._owners.pop(event.subject, None)
            case _:
                return

    async def _accept(self, agent: str, conversation: str) -> None:
        pool = self.centre.agents[agent].pool
        await self.world.publish(AGENTS, pool, WorkAccepted(agent=agent, conversation_id=conversation), source=SOURCE)

    async def _answer(self, thread: str, owner: str, epoch: int) -> None:
        """Answer, if the conversation is still this agent's; close it later."""
        if self._owners.get(thread) != (owner, epoch):
            return
        reply_id = f"desk/{thread}/{epoch}"
        await self.world.publish(
            COMMANDS, thread, Reply(author=self._author(owner), epoch=epoch, reply_id=reply_id, content=Text(text=ANSWER)), source=SOURCE
        )
        self.world.after(self.chance.uniform(*CLOSE_SECONDS), lambda: self._close(thread, owner, epoch))

    async def _close(self, thread: str, owner: str, epoch: int) -> None:
        if self._owners.get(thread) == (owner, epoch):
            await self.world.publish(COMMANDS, thread, Close(author=self._author(owner), epoch=epoch, reason="answered"), source=SOURCE)

    def _author(self, owner: str) -> Author:
        agent = owner.removeprefix("agent:")
        return Author(kind=AuthorKind.AGENT, id=agent, name=self.centre.agents[agent].name)
