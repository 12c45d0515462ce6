"""What the scenes of the day work with: the channels' side, the public topics, and a board that they can wait on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from devstack.demo.board import Board
from devstack.emulator.client import EmulatorClient
from devstack.stack import Stack
from shared.clock import SystemClock
from shared.contact_centre.staffing import Staffing
from shared.engine.follower import Follower
from shared.engine.publisher import KafkaPublisher
from shared.engine.records import Publication
from shared.errors import ParleyError
from shared.events.envelope import Event, EventData, new_event
from shared.ids import new_id, thread_id
from shared.topics import Topic

WAIT_SECONDS_MAX = 60.0
"""How long a scene waits for one thing to happen: longer than the restart of a service that was killed."""
INTEGRATOR = "https://desk.example/agents"
CHANNEL = "whatsapp"
T = TypeVar("T")


class SceneFailedError(ParleyError):
    """Something that the day expects did not happen."""


@dataclass(slots=True)
class Scene:
    """One story of the day and how it ended."""

    title: str
    outcome: str = "…"
    failed: bool = False


@dataclass(slots=True)
class Day:
    """Everything the scenes share."""

    stack: Stack
    emulator: EmulatorClient
    follower: Follower
    publisher: KafkaPublisher
    board: Board = field(default_factory=Board)
    scenes: list[Scene] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    say: Callable[[str], None] = lambda _line: None
    on_event: list[Callable[[Event[Any]], Any]] = field(default_factory=list)
    clock: SystemClock = field(default_factory=SystemClock)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def staffing(self) -> Staffing:
        """Return who is on shift, as configured."""
        return Staffing(self.stack.centre)

    def account_of(self, department: str) -> str:
        """Return the number of a department."""
        return next(key.split(":", 1)[1] for key, account in self.stack.centre.accounts.items() if account.department == department)

    async def customer(self, name: str, phone: str, department: str) -> str:
        """Introduce a customer who will write to `department`; return the thread."""
        made = await self.emulator.put_customer(name, name=name, phone=phone)
        thread = thread_id(CHANNEL, self.account_of(department), made.get("bsuid") or made["phone"])
        self.labels[thread] = name
        return thread

    async def writes(self, name: str, department: str, content: Any, **options: Any) -> Any:
        """Let a customer write to `department`; return the emulator's answer."""
        return await self.emulator.send(name, self.account_of(department), content, **options)

    async def publish(self, topic: Topic, key: str, data: EventData) -> str:
        """Publish as any integrator would; return the event's id."""
        event = new_event(data, event_id=new_id(), source=INTEGRATOR, subject=key, time=self.clock.now())
        await self.publisher.publish([Publication(topic, key, event.to_json())])
        return event.id

    async def follow(self) -> None:
        """Read the topics until cancelled, and wake whoever waits."""
        while True:
            fresh = [seen.event for seen in await self.follower.read() if seen.event is not None and self.board.take(seen.event)]
            for event in fresh:
                for callback in self.on_event:
                    callback(event)
            if fresh:
                async with self._news:
                    self._news.notify_all()

    async def until(self, what: str, found: Callable[[], T | None]) -> T:
        """Return what `found` finds on the board as soon as it is there; raise SceneFailedError, naming `what`, when it does not come."""
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX), self._news:
                while not (result := found()):
                    await self._news.wait()
                return result
        except TimeoutError:
            raise SceneFailedError(f"{what} did not happen within {WAIT_SECONDS_MAX:.0f} s") from None

    async def until_event(self, thread: str, *kinds: type[Any], where: Callable[[Any], bool] = lambda _data: True) -> Any:
        """Return the data of the first event of these kinds on `thread` that fulfils `where`."""
        names = " or ".join(kind.NAME for kind in kinds)

        def first() -> Any:
            return next((event.data for event in self.board.of_thread(thread, *kinds) if where(event.data)), None)

        return await self.until(f"{names} for {self.labels.get(thread, thread)}", first)

    def now(self) -> datetime:
        """Return the moment."""
        return self.clock.now()
