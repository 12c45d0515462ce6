"""The agents, played through the public topics as any integrator's desk would: they sign in, accept, and answer in the language."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from devstack.demo.day import Day
from shared.events.commands import Reply
from shared.events.conversations import OwnerChanged
from shared.events.envelope import Event
from shared.events.shapes import Author, AuthorKind, Text
from shared.events.work import AgentSignedIn, AssignmentMade, WorkAccepted
from shared.topics import AGENTS, COMMANDS

ANSWERS = {
    "pt": "Boa tarde! Já estou vendo o seu caso.",
    "zh": "您好！我正在为您处理。",
    "lv": "Labdien! Es jau skatos Jūsu jautājumu.",
    "is": "Góðan dag! Ég er að skoða málið.",
    "en": "Hello! I am looking into it.",
    "es": "¡Hola! Ya estoy viendo su caso.",
}


def author(day: Day, agent: str) -> Author:
    """Return the agent as the author of a command."""
    return Author(kind=AuthorKind.AGENT, id=agent, name=day.stack.centre.agents[agent].name)


@dataclass(slots=True)
class Desk:
    """Answers every conversation that an agent is given, unless its thread is on hold."""

    day: Day
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)

    async def open(self) -> None:
        """Sign every agent in and listen."""
        for agent, configured in self.day.stack.centre.agents.items():
            await self.day.publish(AGENTS, configured.pool, AgentSignedIn(agent=agent))
        self.day.on_event.append(self._on_event)

    def _on_event(self, event: Event[Any]) -> None:
        match event.data:
            case AssignmentMade(accept_by=None):
                return
            case AssignmentMade(agent=agent, conversation_id=conversation):
                pool = self.day.stack.centre.agents[agent].pool
                self._start(self.day.publish(AGENTS, pool, WorkAccepted(agent=agent, conversation_id=conversation)))
            case OwnerChanged(to=owner, epoch=epoch) if owner.startswith("agent:") and event.subject not in self.day.held:
                self._start(self.answer(event.subject, owner.removeprefix("agent:"), epoch))
            case _:
                return

    async def answer(self, thread: str, agent: str, epoch: int) -> str:
        """Let `agent` answer in the conversation's language; return the reply's id."""
        row = self.day.board.rows[thread]
        reply_id = f"desk/{row.conversation_id}/{epoch}"
        text = ANSWERS.get(row.language, ANSWERS["en"])
        await self.day.publish(
            COMMANDS, thread, Reply(author=author(self.day, agent), epoch=epoch, reply_id=reply_id, content=Text(text=text))
        )
        return reply_id

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)
