"""What the benchmarks share: the customers who write, the topics they write to, and processes that are measured apart."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.clock import SystemClock
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import ParleyError
from shared.events.envelope import new_event
from shared.events.inbound import MessageReceived
from shared.events.shapes import Customer, Text
from shared.ids import new_id, thread_id, webhook_item_id
from shared.topics import INBOUND, Topic, all_topics

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
VAR = ROOT / "var"
CHANNEL = "whatsapp"
ACCOUNT = "100000000000002"
TEXTS = (
    "Bom dia, qual é o prazo de entrega?",
    "Labdien, kāds ir darba laiks?",
    "Góðan dag, hver er opnunartíminn?",
    "What are your opening hours on Saturday?",
    "¿Cuánto tarda el envío a Canarias?",
)
PUBLICATIONS_PER_CALL = 10_000
FILL_TIMEOUT_SECONDS = 120.0
LEADERS_SECONDS_MAX = 30.0
LEADERS_POLL_SECONDS = 0.05


class ApartError(ParleyError):
    """A process that was to be measured ended by itself; its own words stand on standard error."""


def phone_of(conversation: int) -> str:
    """Return the phone number of customer number `conversation`."""
    return f"3519{conversation:08d}"


def thread_of(conversation: int) -> str:
    """Return the thread id of customer number `conversation`."""
    return thread_id(CHANNEL, ACCOUNT, phone_of(conversation))


def message(conversation: int, number: int, now: datetime) -> Publication:
    """Return inbound message `number` of the run, written by customer `conversation` at `now`."""
    phone, native = phone_of(conversation), f"wamid.{number}"
    data = MessageReceived(
        channel=CHANNEL,
        account=ACCOUNT,
        message_id=native,
        customer=Customer(id=phone, phone=f"+{phone}", display_name="A customer"),
        content=Text(text=TEXTS[number % len(TEXTS)]),
        sent_at=now,
        received_at=now,
    )
    event_id = webhook_item_id(CHANNEL, ACCOUNT, "message", native)
    event = new_event(data, event_id=event_id, source="parley/ingest", subject=thread_of(conversation), time=now)
    return Publication(INBOUND, event.subject, event.to_json())


def messages(count: int, conversation_of: Callable[[int], int]) -> Iterator[Publication]:
    """Yield `count` inbound messages; `conversation_of` says who wrote each."""
    now = SystemClock().now()
    return (message(conversation_of(number), number, now) for number in range(count))


@dataclass(frozen=True, slots=True)
class Place:
    """Topics of one benchmark on a broker."""

    bootstrap: str
    prefix: str
    partitions: int

    async def make(self, topics: Sequence[Topic] | None = None) -> None:
        """Make `topics` (all ten where none are named) and return when every partition can be written."""
        chosen = all_topics(()) if topics is None else topics
        await create_topics(self.bootstrap, self.prefix, chosen, TopicLayout(self.partitions))
        async with asyncio.timeout(LEADERS_SECONDS_MAX):
            for topic in chosen:
                await self._await_leaders(topic)

    async def _await_leaders(self, topic: Topic) -> None:
        """Return when each partition of `topic` answers; a topic that was just made has no leaders for a moment."""
        while True:
            try:
                await self.ends(topic)
            except KafkaError:
                await asyncio.sleep(LEADERS_POLL_SECONDS)
            else:
                return

    def publisher(self, client: str, *, timeout_seconds: float = FILL_TIMEOUT_SECONDS) -> KafkaPublisher:
        """Return a publisher."""
        return KafkaPublisher(PublisherOptions(self.bootstrap, self.prefix, self.partitions, client, timeout_seconds=timeout_seconds))

    async def fill(self, publications: Iterable[Publication]) -> None:
        """Write `publications`, in order per key."""
        publisher = self.publisher("bench")
        try:
            waiting: list[Publication] = []
            for publication in publications:
                waiting.append(publication)
                if len(waiting) == PUBLICATIONS_PER_CALL:
                    await publisher.publish(waiting)
                    waiting = []
            await publisher.publish(waiting)
        finally:
            await publisher.close()

    async def ends(self, topic: Topic) -> int:
        """Return how many records stand on `topic`, all partitions together."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            found = await consumer.end_offsets([TopicPartition(self.prefix + topic.name, number) for number in range(self.partitions)])
        finally:
            await consumer.stop()
        return int(sum(found.values()))


def fresh_prefix(name: str) -> str:
    """Return a prefix of topics and groups that no earlier run on the same broker had."""
    return f"bench.{name}.{new_id()[:12]}."


def cores() -> list[int]:
    """Return the cores we may use, sorted; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(core: int | None) -> None:
    """Keep this process on `core`; nothing where the system cannot."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


async def until(condition: Callable[[], bool], every_seconds: float = 0.003) -> None:
    """Look now and then; a loop under measurement should carry no callbacks of the benchmark."""
    while not condition():  # noqa: ASYNC110 # see above
        await asyncio.sleep(every_seconds)


def keep_output_clean() -> None:
    """Let a measured process write its figures alone to standard output: warnings go to the other one, and nothing below them.

    Of aiokafka's loggers not even those: it tells each step of joining a group as an error.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )


async def run_apart(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run `module` as a process of its own; return the JSON object in its last line.

    Raises ApartError where it ends with another code than 0.
    """
    process = await asyncio.create_subprocess_exec(python, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        output, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise ApartError(f"{module} {' '.join(arguments[:1])} ended with {process.returncode}; its own words are above")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found
