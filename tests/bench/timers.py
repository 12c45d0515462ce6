"""Timers: a million armed reply windows, some of which end while 500 messages a second flow; how late each end is told.

The real sla service runs on a store that was seeded in bulk: one conversation played through the rules, its document written for every
customer with a window of its own. Most windows end hours later; some hundred a second end during the run. Lateness is counted from the
window's end to the arrival of `window.closed` at a reader of the topic: the way through Kafka, twice, is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from devstack.kafka import kafka_bootstrap_servers
from devstack.load.pace import quantile
from devstack.stack import READERS
from services.sla.app import build_reducer
from services.sla.state import SlaState, Window
from shared.channels.discover import discover
from shared.clock import SystemClock, from_epoch_milliseconds, to_epoch_milliseconds
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec
from shared.engine.records import Publication, Record
from shared.engine.step import Engine
from shared.events.conversations import ConversationOpened, MessageAppended
from shared.events.envelope import EventData, new_event
from shared.events.shapes import Customer, Text
from shared.store.port import StoredDocument
from shared.topics import CONVERSATIONS, SLA, all_topics
from tests.bench.flow import Flow, Reader, Seen, running
from tests.bench.reporting import progress, report
from tests.bench.seeding import file_megabytes, partition_of_key, seed
from tests.bench.services import Service, running_service
from tests.bench.world import ACCOUNT, CHANNEL, CONFIG, TEXTS, Place, fresh_prefix, phone_of, thread_of, until

NAME = "timers"
PARTITIONS = 6
REDUCER = "sla"
ARMED = 1_000_000
SECONDS = 60.0
ENDING_PER_SECOND = 200.0
MESSAGES_PER_SECOND = 500.0
START_SECONDS = 20.0
"""From the end of the seeding to the first window's end: in this time the service has to start."""
FAR = timedelta(hours=1)
FAR_SPREAD = timedelta(hours=23)
GOAL_P99_SECONDS = 1.0
FIRST_POSITION = 10
"""The place in its thread that the first message of the run takes: behind the one that was played."""
READY_MARGIN_SECONDS = 1.0
SETTLE_SECONDS_MAX = 120.0
POLL_SECONDS = 0.2
MEGABYTE = 1024 * 1024
CLOSED, OPENED = ".window.closed.v1", ".window.opened.v1"


@dataclass(frozen=True, slots=True)
class Plan:
    """`armed` windows, of which those of the first customers end one after the other from `begins_at` on, `ending_per_second` a second."""

    armed: int
    seconds: float
    ending_per_second: float
    messages_per_second: float
    begins_at: datetime

    @property
    def ending(self) -> int:
        """Return how many windows end during the run."""
        return min(self.armed // 2, round(self.seconds * self.ending_per_second))

    def ends_at(self, customer: int) -> datetime:
        """Return when the window of `customer` ends, in whole milliseconds."""
        if customer < self.ending:
            at = self.begins_at + timedelta(seconds=customer / self.ending_per_second)
        else:
            at = self.begins_at + FAR + FAR_SPREAD * ((customer - self.ending) / self.armed)
        return from_epoch_milliseconds(to_epoch_milliseconds(at))

    def writer(self, number: int) -> int:
        """Return which customer writes message `number`: all over the store, and none whose window ends in the run."""
        return self.ending + (number * 7_919) % (self.armed - self.ending)


def played_thread(now: datetime) -> Document[SlaState]:
    """Return the document that sla keeps of customer 0 after a first message at `now`, all of its outputs acknowledged."""
    policies = {name: channel.policy for name, channel in discover().by_name.items()}
    engine: Engine[Any] = Engine(build_reducer(load_contact_centre(CONFIG), policies), partitions=1, version="bench")
    customer = Customer(id=phone_of(0), phone=f"+{phone_of(0)}", display_name="A customer")
    conversation_id = f"{thread_of(0)}/1"
    facts: tuple[EventData, ...] = (
        ConversationOpened(conversation_id=conversation_id, channel=CHANNEL, account=ACCOUNT, customer=customer, priority=0),
        _appended(0, 1, now),
    )
    document: Document[SlaState] | None = None
    for offset, fact in enumerate(facts):
        event = new_event(fact, event_id=f"seed/{offset}", source="parley/bench", subject=thread_of(0), time=now)
        record = Record(CONVERSATIONS, 0, offset, event.subject.encode(), event.to_json())
        [document] = engine.step(0, [record], {} if document is None else {event.subject: document}, now).saves
        document.outbox.clear()
    assert document is not None  # there were facts
    document.applied.clear()  # the topic of the run begins at 0
    document.last_topic = None
    return document


def threads(plan: Plan, customers: Iterable[int]) -> Iterator[StoredDocument]:
    """Yield the documents of `customers`, each with its window and no promise that runs."""
    codec: DocumentCodec[SlaState] = DocumentCodec(SlaState)
    pattern = played_thread(SystemClock().now())
    assert pattern.state is not None  # it was played
    for number in customers:
        document = pattern.copy()
        document.key = thread_of(number)
        document.shard = partition_of_key(document.key, PARTITIONS)
        document.due_at = ends_at = plan.ends_at(number)
        window = Window(permission="free_form", acted_at=ends_at - timedelta(days=1), ends_at=ends_at, next_at=ends_at)
        customer = Customer(id=phone_of(number), phone=f"+{phone_of(number)}", display_name="A customer")
        changes = {"windows": (window,), "customer": customer, "conversation_id": f"{document.key}/1", "response": None, "resolution": None}
        document.state = pattern.state.model_copy(update=changes)
        yield codec.to_stored(document)


def _appended(customer: int, position: int, now: datetime) -> MessageAppended:
    return MessageAppended(
        conversation_id=f"{thread_of(customer)}/1",
        position=position,
        direction="in",
        message_id=f"wamid.{position}",
        content=Text(text=TEXTS[position % len(TEXTS)]),
        sent_at=now,
        late=False,
    )


async def run(
    *,
    armed: int = ARMED,
    seconds: float = SECONDS,
    ending_per_second: float = ENDING_PER_SECOND,
    messages_per_second: float = MESSAGES_PER_SECOND,
    start_seconds: float = START_SECONDS,
) -> None:
    """Seed, start, let it run, report."""
    async with AsyncExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        place = Place(await exits.enter_async_context(kafka_bootstrap_servers(directory / "kafka")), fresh_prefix("timers"), PARTITIONS)
        await place.make(all_topics(READERS))
        store = directory / "data" / "sla.sqlite3"
        plan = Plan(armed, seconds, ending_per_second, messages_per_second, SystemClock().now())
        progress(f"seeding {armed:,} windows")
        began = time.monotonic()
        await seed(store, REDUCER, threads(plan, range(plan.ending, armed)))
        plan = replace(plan, begins_at=SystemClock().now() + timedelta(seconds=start_seconds))
        await seed(store, REDUCER, threads(plan, range(plan.ending)))
        report(NAME, "size of the database", file_megabytes(store), "MB", armed=armed, seeding_seconds=round(time.monotonic() - began, 1))
        service = await exits.enter_async_context(running_service(Service("sla", "0", place, store.parent)))
        await service.owns(REDUCER, lambda count: count == PARTITIONS)
        await _observed(place, plan, service)


async def _observed(place: Place, plan: Plan, service: Service) -> None:
    """Let messages flow until the last window's end was told, report."""
    # Windows that ended before the service was up are late by its start; they are counted, and no part of the lateness.
    ready_at = time.time() + READY_MARGIN_SECONDS
    reader = Reader(place, SLA, (CLOSED, OPENED))
    flow = Flow(place, plan.messages_per_second, lambda number: _message(plan, number))
    process = psutil.Process(service.pid)
    async with running(flow, reader):
        cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
        progress(f"{plan.ending:,} windows end within {plan.seconds:g} s, {plan.messages_per_second:g} messages a second flow")
        await asyncio.sleep(max(0.0, (plan.begins_at - SystemClock().now()).total_seconds()) + plan.seconds)
        busy = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - began) * 100
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            await until(lambda: sum(seen.event["type"].endswith(CLOSED) for seen in reader.seen) >= plan.ending, POLL_SECONDS)
        memory = process.memory_info().rss / MEGABYTE
    _report(plan, [seen for seen in reader.seen if seen.event["type"].endswith(CLOSED)], ready_at)
    _report_messages(plan, flow, [seen for seen in reader.seen if seen.event["type"].endswith(OPENED)])
    report(NAME, "CPU of the service", busy, "% of one core", armed=plan.armed)
    report(NAME, "memory of the service", memory, "MB", armed=plan.armed)


def _report(plan: Plan, closed: list[Seen], ready_at: float) -> None:
    """Report how late the windows' ends were told. Raises RuntimeError where one was told twice or not at all."""
    told = Counter(seen.event["subject"] for seen in closed)
    wanted = {thread_of(number) for number in range(plan.ending)}
    if told.keys() != wanted or max(told.values()) > 1:
        raise RuntimeError(f"of {len(wanted)} windows' ends {len(told.keys() & wanted)} were told, {sum(told.values())} times in all")
    lateness = [(seen.received_at - _ended_at(seen), _ended_at(seen)) for seen in closed]
    counted = [seconds for seconds, ended_at in lateness if ended_at >= ready_at] or [seconds for seconds, _ in lateness]
    details = {"armed": plan.armed, "fired": len(counted), "before_the_start": len(lateness) - len(counted)}
    details["messages_per_second"] = round(plan.messages_per_second)
    report(NAME, "lateness of timers p50", quantile(counted, 0.5) * 1000, "ms", **details)
    report(NAME, "lateness of timers p99", quantile(counted, 0.99) * 1000, "ms", goal=GOAL_P99_SECONDS * 1000, **details)
    report(NAME, "lateness of timers, the worst", max(counted) * 1000, "ms", **details)


def _report_messages(plan: Plan, flow: Flow, opened: list[Seen]) -> None:
    """Report how long the messages between the timers took, from written to their effect told."""
    took = []
    for seen in opened:
        number = int(seen.event["causationid"].rpartition("/")[2])
        if number < len(flow.written_at):
            took.append(max(0.0, seen.received_at - flow.written_at[number]) * 1000)
    details = {"messages": len(took), "messages_per_second": round(plan.messages_per_second)}
    report(NAME, "messages meanwhile, written to effect p99", quantile(took, 0.99), "ms", **details)


def _ended_at(seen: Seen) -> float:
    """Return when the window ended that an event tells of, in seconds since 1970."""
    return datetime.fromisoformat(seen.event["data"]["ended_at"]).timestamp()


def _message(plan: Plan, number: int) -> Publication:
    """Return message `number` as the router would have appended it."""
    now = SystemClock().now()
    customer = plan.writer(number)
    fact = _appended(customer, FIRST_POSITION + number, now)
    event = new_event(fact, event_id=f"bench/{number}", source="parley/bench", subject=thread_of(customer), time=now)
    return Publication(CONVERSATIONS, event.subject, event.to_json())


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.timers --armed 20000 --seconds 10")
    parser.add_argument("--armed", type=int, default=ARMED, help="windows in the store (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the run (default: %(default)s)")
    parser.add_argument("--ending", type=float, default=ENDING_PER_SECOND, help="windows that end per second (default: %(default)s)")
    parser.add_argument("--messages", type=float, default=MESSAGES_PER_SECOND, help="messages per second (default: %(default)s)")
    parsed = parser.parse_args()
    asyncio.run(run(armed=parsed.armed, seconds=parsed.seconds, ending_per_second=parsed.ending, messages_per_second=parsed.messages))


if __name__ == "__main__":
    main()
