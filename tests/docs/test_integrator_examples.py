"""The integrators' examples, run as they stand on the real broker."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.engine.follower import Follower, Seen
from shared.engine.placement import partition_of
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.events.commands import Reply
from shared.events.conversations import MessageAppended
from shared.events.envelope import new_event
from shared.events.shapes import Author, AuthorKind, Text
from shared.ids import new_id
from shared.topics import COMMANDS, CONVERSATIONS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PARTITIONS = 6
PATIENCE_SECONDS = 60.0
THREAD = "whatsapp:100000000000001:351912000007"
WORDS = 'Your parcel "blue box" is on its way, ção \\ 包裹'

KCAT = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
CONSUMERS = [
    pytest.param((sys.executable, "consume.py"), id="python"),
    pytest.param(("sh", "consume.sh", "-e"), id="kcat", marks=KCAT),
]
PRODUCERS = [
    pytest.param((sys.executable, "publish.py"), id="python"),
    pytest.param(("sh", "publish.sh"), id="kcat", marks=KCAT),
]

pytestmark = pytest.mark.broker


@dataclass(frozen=True, slots=True)
class House:
    """An installation of its own on the shared broker: its prefix keeps it apart from those of other tests."""

    bootstrap_servers: str
    prefix: str

    @asynccontextmanager
    async def running(self, command: tuple[str, ...]) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run an example, and end it if it does not end by itself."""
        program, script, *arguments = command
        process = await asyncio.create_subprocess_exec(
            program,
            str(EXAMPLES / script),
            *arguments,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers, "PARLEY_TOPIC_PREFIX": self.prefix},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture
async def house(kafka_bootstrap: str) -> House:
    """Topics of our own."""
    house = House(kafka_bootstrap, f"examples-{new_id()[:8]}.")
    await create_topics(kafka_bootstrap, house.prefix, (CONVERSATIONS, COMMANDS), TopicLayout(PARTITIONS))
    return house


@pytest.mark.parametrize("command", CONSUMERS)
async def test_example_reads_the_messages_of_conversations(house: House, command: tuple[str, ...]) -> None:
    """Started after the fact, the example prints the message that was appended, under its thread."""
    now = datetime.now(UTC)
    appended = MessageAppended(
        conversation_id="c-1", position=1, direction="in", message_id="m-1", content=Text(text="Where is my parcel?"), sent_at=now
    )
    event = new_event(appended, event_id="conversation/1", source="parley/router/conversation", subject=THREAD, time=now, seq=1)
    publisher = KafkaPublisher(PublisherOptions(house.bootstrap_servers, house.prefix, PARTITIONS, "test"))
    await publisher.publish([Publication(CONVERSATIONS, THREAD, event.to_json())])
    await publisher.close()
    async with house.running(command) as example:
        assert example.stdout is not None
        line = (await example.stdout.readline()).decode()
    assert line.startswith(THREAD)
    assert "Where is my parcel?" in line


@pytest.mark.parametrize("command", PRODUCERS)
async def test_example_publishes_a_reply_that_is_understood(house: House, command: tuple[str, ...]) -> None:
    """The command is valid, keyed by its thread and on the partition that the router expects."""
    async with house.running((*command, THREAD, WORDS)) as example:
        output, errors = await example.communicate()
    assert example.returncode == 0, errors.decode()
    seen = await only_record(house)
    assert seen.event is not None, seen.problem
    assert isinstance(seen.event.data, Reply)
    assert seen.event.data.content == Text(text=WORDS)
    assert seen.event.data.author == Author(kind=AuthorKind.INTEGRATION, id="parcel-tracking")
    assert seen.event.subject == THREAD
    assert seen.record.key == THREAD.encode()
    assert seen.record.partition == partition_of(THREAD.encode(), PARTITIONS)
    assert output.decode().strip() == seen.event.id


async def only_record(house: House) -> Seen:
    """Return the one record of `commands`."""
    async with Follower(house.bootstrap_servers, house.prefix, (COMMANDS,)) as follower:
        (seen,) = [one async for page in follower.read_to_end() for one in page]
    return seen
