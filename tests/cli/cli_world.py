"""What the tests of the command line share: running it in this process, and an installation of its own on the real broker."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from cli.main import main
from shared.clock import SystemClock
from shared.engine.document import documents_of
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.reducer import Decision, Output
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.events.commands import AddNote
from shared.events.conversations import NoteAdded
from shared.events.envelope import Event, EventData, new_event
from shared.events.shapes import Author, AuthorKind
from shared.ids import new_id
from shared.metrics import Metrics
from shared.store.memory import MemoryStore
from shared.topics import COMMANDS, CONVERSATIONS, Topic, all_topics

PARTITIONS = 3
PATIENCE_SECONDS = 60.0
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
AUTHOR = Author(kind=AuthorKind.AGENT, id="agent.one")
READER = "recorder"


class Ran(NamedTuple):
    """How a command went."""

    code: int
    out: str
    err: str


def parley(*arguments: str) -> Ran:
    """Run the command line in this process, without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


class Notes(BaseModel):
    """What the recorder remembers of a thread."""

    model_config = ConfigDict(frozen=True)
    texts: tuple[str, ...] = ()


@dataclass
class Recorder:
    """A reducer that repeats every note, and fails on those that `poison` names: a rule with a bug that can be mended."""

    poison: set[str] = field(default_factory=set)
    name: ClassVar[str] = READER
    source: ClassVar[str] = f"parley/test/{READER}"
    inputs: ClassVar[tuple[Topic, ...]] = (COMMANDS,)
    state: ClassVar[type[Notes]] = Notes

    def decide(self, state: Notes | None, event: Event[Any], now: datetime) -> Decision[Notes]:
        """Repeat a note."""
        assert now.tzinfo is not None
        note: AddNote = event.data
        if note.text in self.poison:
            raise ZeroDivisionError
        known = state or Notes()
        output = Output(CONVERSATIONS, event.subject, NoteAdded(conversation_id="c1", author=note.author, text=note.text))
        return Decision(Notes(texts=(*known.texts, note.text)), (output,))

    def due(self, state: Notes) -> datetime | None:
        """Want nothing."""
        assert state is not None
        return None  # as the protocol has it: a moment, or none


@dataclass
class Installation:
    """Topics of a test's own on the broker, and a running recorder."""

    bootstrap: str
    prefix: str
    publisher: KafkaPublisher
    recorder: Recorder = field(default_factory=Recorder)
    store: MemoryStore = field(default_factory=MemoryStore)

    @property
    def where(self) -> tuple[str, ...]:
        """Return the options that name this installation."""
        return ("--bootstrap", self.bootstrap, "--prefix", self.prefix)

    async def parley(self, *arguments: str) -> Ran:
        """Run the command line against this installation, in a thread: it has an event loop of its own."""
        return await asyncio.to_thread(parley, *arguments, *self.where)

    async def publish(self, topic: Topic, key: str, *events: EventData, source: str = "https://test.example") -> None:
        """Publish as an integrator would."""
        records = [
            Publication(topic, key, new_event(data, event_id=new_id(), source=source, subject=key, time=SystemClock().now()).to_json())
            for data in events
        ]
        await self.publisher.publish(records)

    async def note(self, thread: str, *texts: str) -> None:
        """Publish notes on a thread."""
        await self.publish(COMMANDS, thread, *(AddNote(author=AUTHOR, text=text) for text in texts))

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Run the recorder meanwhile."""
        options = LoopOptions(self.bootstrap, self.prefix, PARTITIONS, "0", idle_wait_milliseconds=50, fetch_wait_milliseconds=50)
        publisher = KafkaPublisher(PublisherOptions(self.bootstrap, self.prefix, PARTITIONS, "recorder"))
        loop: ReducerLoop[Notes] = ReducerLoop(
            Engine(self.recorder, partitions=PARTITIONS, version="test"),
            await self.store.open(documents_of(READER)),
            publisher,
            options=options,
            clock=SystemClock(),
            metrics=Metrics(),
            status=LoopStatus(),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(loop.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running
            await publisher.close()

    async def events(self, topic: Topic) -> list[Event[Any]]:
        """Return the valid events that stand on `topic` now."""
        from shared.engine.follower import Follower  # noqa: PLC0415 # only broker tests need it

        async with Follower(self.bootstrap, self.prefix, [topic]) as follower:
            return [seen.event async for batch in follower.read_to_end() for seen in batch if seen.event is not None]

    async def until(self, what: str, done: Callable[[], Awaitable[bool]]) -> None:
        """Return when `done` says so; fail, naming `what`, after PATIENCE_SECONDS."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not await done():
            assert monotonic() < deadline, f"waited too long for {what}"

    async def until_count(self, topic: Topic, number: int) -> list[Event[Any]]:
        """Return the events on `topic` when there are `number` different ones."""
        found: list[Event[Any]] = []

        async def enough() -> bool:
            found[:] = await self.events(topic)
            return len({event.id for event in found}) >= number

        await self.until(f"{number} events on {topic.name}", enough)
        return found


@asynccontextmanager
async def installation(bootstrap: str) -> AsyncIterator[Installation]:
    """Make topics of a test's own: the design's, and the recorder's dead letters."""
    prefix = f"cli{new_id()[:8]}."
    await create_topics(bootstrap, prefix, all_topics((READER, "sla")), TopicLayout(PARTITIONS))
    publisher = KafkaPublisher(PublisherOptions(bootstrap, prefix, PARTITIONS, "test"))
    try:
        yield Installation(bootstrap, prefix, publisher)
    finally:
        await publisher.close()
