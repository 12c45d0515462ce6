"""The router's conversation reducer on a backlog, beside a textbook handler that does the same work one message at a time.

Both read the same topic of the same real broker, keep the same state in SQLite with the same durability, and publish the same outputs
with acks=all. The textbook handler is FastStream as its documentation shows it: one message, load, decide, save, publish, acknowledge.
Each runs as a process of its own on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from devstack.kafka import kafka_bootstrap_servers
from services.router.app import build_reducers
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec, documents_of
from shared.engine.kafka import ReducerLoop
from shared.engine.options import LoopOptions
from shared.engine.placement import partition_of
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.records import Publication, Record
from shared.engine.status import LoopStatus
from shared.engine.step import Engine
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.events.envelope import new_event
from shared.events.inbound import MessageReceived
from shared.events.shapes import Customer, Text
from shared.ids import thread_id, webhook_item_id
from shared.metrics import Metrics
from shared.running import collect_garbage_rarely
from shared.store.sqlite import SqliteStore
from shared.topics import INBOUND, all_topics
from tests.bench.reporting import progress, report

NAME = "backlog"
PARTITIONS = 6
PREFIX = "bench."
CONFIG = Path(__file__).resolve().parents[2] / "config"
ACCOUNT = "100000000000002"
TEXTS = (
    "Bom dia, qual é o prazo de entrega?",
    "Labdien, kāds ir darba laiks?",
    "Góðan dag, hver er opnunartíminn?",
    "What are your opening hours on Saturday?",
    "¿Cuánto tarda el envío a Canarias?",
)
TEXTBOOK_SHARE = 20
"""The textbook handler gets one in so many of the events: it would take minutes for all."""


def publications(count: int, conversations: int) -> Iterator[Publication]:
    """Yield `count` inbound messages of `conversations` customers, in turns."""
    now = SystemClock().now()
    for number in range(count):
        phone = f"3519{number % conversations:08d}"
        thread = thread_id("whatsapp", ACCOUNT, phone)
        native = f"wamid.{number}"
        data = MessageReceived(
            channel="whatsapp",
            account=ACCOUNT,
            message_id=native,
            customer=Customer(id=phone, phone=f"+{phone}", display_name="A customer"),
            content=Text(text=TEXTS[number % len(TEXTS)]),
            sent_at=now,
            received_at=now,
        )
        event_id = webhook_item_id("whatsapp", ACCOUNT, "message", native)
        event = new_event(data, event_id=event_id, source="parley/ingest", subject=thread, time=now)
        yield Publication(INBOUND, thread, event.to_json())


async def run(events: int, conversations: int) -> None:
    """Fill the topic, run both in turn, report."""
    with tempfile.TemporaryDirectory() as directory:
        async with kafka_bootstrap_servers(Path(directory) / "kafka") as bootstrap:
            await create_topics(bootstrap, PREFIX, all_topics(()), TopicLayout(PARTITIONS))
            progress(f"publishing {events} messages of {conversations} customers")
            publisher = KafkaPublisher(PublisherOptions(bootstrap, PREFIX, PARTITIONS, "bench", timeout_seconds=120))
            batch = list(publications(events, conversations))
            for start in range(0, events, 10_000):
                await publisher.publish(batch[start : start + 10_000])
            await publisher.close()
            ours = await _measure("parley", bootstrap, Path(directory), events)
            textbook = await _measure("textbook", bootstrap, Path(directory), events // TEXTBOOK_SHARE)
    details = {"events": events, "conversations": conversations}
    report(NAME, "reducer events per second", ours["events_per_second"], "1/s", goal=10_000, **details)
    report(NAME, "reducer CPU per event", ours["cpu_microseconds"], "µs", **details)
    report(NAME, "reducer memory after the backlog", ours["memory_megabytes"], "MB", goal=400)
    report(NAME, "textbook events per second", textbook["events_per_second"], "1/s", events=events // TEXTBOOK_SHARE)
    report(NAME, "textbook CPU per event", textbook["cpu_microseconds"], "µs", events=events // TEXTBOOK_SHARE)
    report(NAME, "reducer against textbook", ours["events_per_second"] / textbook["events_per_second"], "times", goal=10)


async def _measure(what: str, bootstrap: str, directory: Path, events: int) -> dict[str, float]:
    """Run one of the two in a process of its own; return what it measured."""
    progress(f"running {what} over {events} events")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.backlog",
        what,
        bootstrap,
        str(directory / f"{what}.sqlite3"),
        str(events),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        message = f"{what} ended with {process.returncode}"
        raise RuntimeError(message)
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


# --- in the process that is measured ----------------------------------------------------------------------------------


async def parley(bootstrap: str, path: Path, events: int) -> None:
    """Work the backlog off with the engine."""
    reducer = build_reducers(load_contact_centre(CONFIG))[0]
    store = SqliteStore(path)
    metrics, clock, stop = Metrics(), SystemClock(), asyncio.Event()
    publisher = KafkaPublisher(PublisherOptions(bootstrap, PREFIX, PARTITIONS, "out"))
    loop: ReducerLoop[Any] = ReducerLoop(
        Engine(reducer, partitions=PARTITIONS, version="bench"),
        await store.open(documents_of(reducer.name)),
        publisher,
        options=LoopOptions(bootstrap_servers=bootstrap, topic_prefix=PREFIX, partitions=PARTITIONS, instance="0"),
        clock=clock,
        metrics=metrics,
        status=LoopStatus(),
    )
    decided = metrics.decided.labels(reducer.name)._value  # the registry's own accessor walks all metrics
    running = asyncio.create_task(loop.run(stop))
    await _until(lambda: decided.get() > 0)
    first, started, cpu = decided.get(), time.perf_counter(), time.process_time()
    await _until(lambda: decided.get() >= events or running.done())
    _print(events - first, time.perf_counter() - started, time.process_time() - cpu)
    stop.set()
    await running
    await publisher.close()
    await store.close()


async def _until(condition: Callable[[], bool]) -> None:
    """Look every few milliseconds; the loop under measurement should carry no callbacks of the benchmark."""
    while not condition():  # noqa: ASYNC110 # see above
        await asyncio.sleep(0.003)


async def textbook(bootstrap: str, path: Path, events: int) -> None:
    """Work the backlog off as FastStream's documentation shows it: a message at a time."""
    from faststream import AckPolicy  # noqa: PLC0415 # only the baseline needs the framework
    from faststream.kafka import KafkaBroker, KafkaMessage  # noqa: PLC0415

    reducer = build_reducers(load_contact_centre(CONFIG))[0]
    engine: Engine[Any] = Engine(reducer, partitions=PARTITIONS, version="bench")
    codec: DocumentCodec[Any] = DocumentCodec(reducer.state)
    store = SqliteStore(path)
    collection = await store.open(documents_of(reducer.name))
    broker = KafkaBroker(bootstrap, acks="all", enable_idempotence=True, logger=None)
    clock, done = SystemClock(), asyncio.Event()
    handled = 0
    times: list[tuple[float, float]] = []

    @broker.subscriber(
        PREFIX + INBOUND.name,
        group_id="textbook",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        decoder=lambda message: message.body,
    )
    async def handle(body: bytes, message: KafkaMessage) -> None:
        nonlocal handled
        raw: Any = message.raw_message
        key = raw.key.decode()
        stored = (await collection.load([key])).get(key)
        documents: dict[str, Document[Any]] = {} if stored is None else {key: codec.from_stored(stored)}
        for document in documents.values():
            document.outbox.clear()
        record = Record(INBOUND, partition_of(raw.key, PARTITIONS), raw.offset, raw.key, body)
        plan = engine.step(record.partition, [record], documents, clock.now())
        await collection.save([codec.to_stored(document) for document in plan.saves])
        for publication in plan.publishes:
            await broker.publish(publication.value, PREFIX + publication.topic.name, key=publication.key.encode())
        handled += 1
        if handled in (1, events):
            times.append((time.perf_counter(), time.process_time()))
        if handled == events:
            done.set()

    async with broker:
        await broker.start()
        await done.wait()
    (started, cpu), (ended, cpu_ended) = times
    _print(events - 1, ended - started, cpu_ended - cpu)
    await store.close()


def _print(events: float, seconds: float, cpu: float) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"events_per_second": events / seconds, "cpu_microseconds": cpu / events * 1e6, "memory_megabytes": memory}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python -m tests.bench.backlog --events 20000")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=5_000)
    if len(sys.argv) > 1 and sys.argv[1] in {"parley", "textbook"}:
        what, bootstrap, path, events = sys.argv[1:5]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        collect_garbage_rarely()
        asyncio.run((parley if what == "parley" else textbook)(bootstrap, Path(path), int(events)))
        return
    parsed = parser.parse_args()
    asyncio.run(run(parsed.events, parsed.conversations))


if __name__ == "__main__":
    main()
