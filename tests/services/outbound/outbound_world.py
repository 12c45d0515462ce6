"""Outbound with everything around it in memory: a channel of paper, a transport on a script, a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.outbound.app import NEW_BEFORE_TRUST, Outbound
from services.outbound.sender import HttpAnswer
from services.outbound.settings import OutboundSettings
from shared.channels.contract import Accepted, Channels, Handshake, HttpRequest, Item, Limits, Policy, Refused, Role, Unrenderable
from shared.clock import ManualClock
from shared.engine.records import Publication, Record
from shared.engine.worker_job import Job
from shared.engine.worker_sleeper import ManualSleeper
from shared.events.envelope import Event
from shared.events.sends import SendRequested
from shared.events.shapes import FailureClass, Text
from shared.metrics import Metrics
from shared.store.memory import MemoryData, MemoryStore
from shared.store.port import Store
from shared.topics import DELIVERIES, SENDS
from tests.services.outbound.outbound_values import NOON, OWNER, failure_of, requested

QUIET_PASSES = 60


class PaperChannel:
    """A channel whose requests and answers are plain JSON."""

    name = "paper"
    policy = Policy("paper", "messaging")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def limits(self, account: str) -> Limits:
        """Return the same for every account."""
        assert account
        return self._limits

    def missing(self, role: Role) -> tuple[str, ...]:
        """Return no missing settings."""
        assert role
        return ()

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Outbound never asks."""
        raise NotImplementedError(query)

    def verify(self, headers: Mapping[str, str], body: bytes, *, account: str | None = None) -> bool:
        """Outbound never asks."""
        raise NotImplementedError(headers, body, account)

    def parse(self, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        """Outbound never asks."""
        raise NotImplementedError(body, received_at, account)

    def render(self, send: SendRequested) -> HttpRequest:
        """Return the send id as the request's body; some texts cannot be rendered."""
        text = send.content.text if isinstance(send.content, Text) else ""
        if text == "too long":
            raise Unrenderable("The text is longer than the channel takes.")
        if text == "bug":
            raise ZeroDivisionError
        return HttpRequest("POST", f"https://paper.test/{send.account}", {}, send.send_id.encode())

    def interpret(self, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:
        """Return what the JSON says."""
        assert isinstance(headers, Mapping)
        if status == 299:
            raise ZeroDivisionError
        answer = json.loads(body)
        if "class" in answer:
            return Refused(failure_of(FailureClass(answer["class"])), answer.get("retry_after"), maybe_sent="maybe" in answer)
        return Accepted(answer["id"])


Script = Callable[[str], Awaitable[HttpAnswer]]


def accepted(send_id: str) -> HttpAnswer:
    """Return the answer to a send that was taken."""
    return HttpAnswer(200, {}, json.dumps({"id": f"m-{send_id}"}).encode())


def refused(class_: FailureClass, retry_after: float | None = None) -> HttpAnswer:
    """Return the answer to a send that was refused."""
    return HttpAnswer(400, {}, json.dumps({"class": class_, "retry_after": retry_after}).encode())


@dataclass
class Wire:
    """A transport that answers from a script, else accepts; it keeps what was asked, across processes."""

    requests: list[str] = field(default_factory=list)
    answers: dict[str, list[HttpAnswer | Exception | asyncio.Future[HttpAnswer]]] = field(default_factory=dict)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Answer what the script says next for this send."""
        send_id = request.body.decode()
        self.requests.append(send_id)
        script = self.answers.get(send_id)
        answer = script.pop(0) if script else accepted(send_id)
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, asyncio.Future) else answer

    def counts(self) -> Counter[str]:
        """Return how many requests each send made."""
        return Counter(self.requests)


@dataclass
class Sheet:
    """A publisher that keeps what was published, or fails, or never ends."""

    events: list[Event[Any]] = field(default_factory=list)
    dead: list[Publication] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    stuck: bool = False

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Publish."""
        if self.stuck:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)
        for publication in publications:
            if publication.topic is DELIVERIES:
                event = DELIVERIES.decode(publication.value)
                assert publication.key == event.subject
                self.events.append(event)
            else:
                self.dead.append(publication)

    def outcomes(self) -> list[tuple[str, str]]:
        """Return (send id, what became of it), in order."""
        return [(event.data.send_id, event.type.split(".")[2]) for event in self.events]


@dataclass
class World:
    """One process of outbound, and what it shares with the next one."""

    outbound: Outbound
    clock: ManualClock
    sleeper: ManualSleeper
    wire: Wire
    sheet: Sheet
    data: MemoryData
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, *records: Record) -> asyncio.Task[None]:
        """Process records without waiting for the end."""
        task = asyncio.create_task(self.outbound.process(records))
        self.tasks.append(task)
        return task

    async def quiet(self) -> None:
        """Return when nothing goes on without time passing."""
        for _ in range(QUIET_PASSES):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking everybody at his own moment."""
        end = self.clock.now() + timedelta(seconds=seconds)
        await self.quiet()
        while (moment := self.sleeper.next_at) is not None and moment <= end:
            self.sleeper.wake(moment)
            await self.quiet()
        self.sleeper.wake(end)
        await self.quiet()

    async def finish(self, *records: Record, seconds: float = 3_600) -> float:
        """Process records to their end and return the seconds it took."""
        began = self.clock.now()
        task = self.begin(*records)
        await self.quiet()
        while not task.done() and (self.clock.now() - began).total_seconds() < seconds and self.sleeper.next_at is not None:
            self.sleeper.wake(self.sleeper.next_at)
            await self.quiet()
        await asyncio.wait_for(task, 10)
        return (self.clock.now() - began).total_seconds()

    async def close(self) -> None:
        """End what still waits."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.outbound.close()


async def world(
    *,
    store: Store | None = None,
    data: MemoryData | None = None,
    wire: Wire | None = None,
    sheet: Sheet | None = None,
    clock: ManualClock | None = None,
    limits: Limits | None = None,
    instance: str = OWNER,
    partitions: int = 6,
    trusting: bool = False,
    dead_letters_per_minute_max: int = 1_000,
    **settings: Any,
) -> World:
    """Return an open outbound; what is given is shared with another world.

    `trusting`: it has seen so many new sends that it does not ask the ledger before the claim.
    """
    data = data or MemoryData()
    clock = clock or ManualClock(NOON)
    sleeper = ManualSleeper(clock)
    wire, sheet = wire or Wire(), sheet or Sheet()
    outbound = Outbound(
        channels=Channels({"paper": PaperChannel(limits or Limits(1000))}),
        store=store or MemoryStore(data),
        publisher=sheet,
        transport=wire,
        clock=clock,
        sleeper=sleeper,
        settings=OutboundSettings(ledger_linger_seconds=0, **settings),
        metrics=Metrics(),
        instance=instance,
        version="1.2.3",
        partitions=partitions,
        dead_letters_per_minute_max=dead_letters_per_minute_max,
    )
    await outbound.open()
    outbound._new_in_a_row = NEW_BEFORE_TRUST if trusting else 0
    return World(outbound, clock, sleeper, wire, sheet, data)


def record(data: SendRequested, *, thread: str | None = None, offset: int = 0) -> Record:
    """Return the record of a send; its thread is its own unless named."""
    thread = thread or f"paper:sales:{data.send_id}"
    return Record(SENDS, 0, offset, thread.encode(), requested(data, thread).to_json())


def job() -> Job:
    """Return a job that nobody wants to end."""
    return Job()
