"""The textbook handler: FastStream as its documentation shows it. One message: load, decide, save, publish, acknowledge."""

from __future__ import annotations

import asyncio
from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from services.router.app import build_reducers
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec, documents_of
from shared.engine.placement import partition_of
from shared.engine.records import Record
from shared.engine.step import Engine
from shared.store.sqlite import SqliteStore
from shared.topics import INBOUND
from tests.bench.contenders.contest import Contest, Stopwatch
from tests.bench.world import CONFIG


async def run(contest: Contest) -> None:
    """Work the backlog off; measured from the end of the first message on."""
    reducer = build_reducers(load_contact_centre(CONFIG))[0]
    engine: Engine[Any] = Engine(reducer, partitions=contest.partitions, version="bench")
    codec: DocumentCodec[Any] = DocumentCodec(reducer.state)
    store = SqliteStore(contest.path / "textbook.sqlite3")
    collection = await store.open(documents_of(reducer.name))
    broker = KafkaBroker(contest.bootstrap, acks="all", enable_idempotence=True, logger=None)
    clock, done = SystemClock(), asyncio.Event()
    handled = 0
    watch: Stopwatch | None = None

    @broker.subscriber(
        contest.prefix + INBOUND.name,
        group_id="textbook",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        decoder=lambda message: message.body,
    )
    async def handle(body: bytes, message: KafkaMessage) -> None:
        nonlocal handled, watch
        raw: Any = message.raw_message
        key = raw.key.decode()
        stored = (await collection.load([key])).get(key)
        documents: dict[str, Document[Any]] = {} if stored is None else {key: codec.from_stored(stored)}
        for document in documents.values():
            document.outbox.clear()
        record = Record(INBOUND, partition_of(raw.key, contest.partitions), raw.offset, raw.key, body)
        plan = engine.step(record.partition, [record], documents, clock.now())
        await collection.save([codec.to_stored(document) for document in plan.saves])
        for publication in plan.publishes:
            await broker.publish(publication.value, contest.prefix + publication.topic.name, key=publication.key.encode())
        handled += 1
        if watch is None:
            watch = Stopwatch()
        elif handled == contest.events:
            watch.tell(handled - 1)
            done.set()

    async with broker:
        await broker.start()
        await done.wait()
    await store.close()
