"""Stores that already hold many conversations: documents written in bulk through the engine's own codec.

One conversation is played through the rules, message by message. Its document is then written for every other customer, with that
customer's key, shard, name and number in it; so a million of them take a minute, and each is what the rules would have left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from services.router.app import build_reducers
from services.router.state import ConversationState
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec, documents_of
from shared.engine.placement import partition_of
from shared.engine.records import Record
from shared.engine.step import Engine
from shared.events.shapes import Customer
from shared.store.port import StoredDocument
from shared.store.sqlite import SqliteStore, Synchronous
from shared.topics import INBOUND
from tests.bench.reporting import progress
from tests.bench.world import CONFIG, message, phone_of, thread_of

DOCUMENTS_PER_SAVE = 5_000
DOCUMENTS_PER_PROGRESS = 250_000
MESSAGES_PLAYED = 5
FIRST_SEEDED_NUMBER = 1_000_000_000
"""Native ids of the messages that were played: none of a run has them."""


def played_conversation(now: datetime) -> Document[ConversationState]:
    """Return the document of customer 0 after MESSAGES_PLAYED messages at `now`, all of its outputs acknowledged."""
    engine: Engine[Any] = Engine(build_reducers(load_contact_centre(CONFIG))[0], partitions=1, version="bench")
    document: Document[ConversationState] | None = None
    for number in range(MESSAGES_PLAYED):
        publication = message(0, FIRST_SEEDED_NUMBER + number, now)
        record = Record(INBOUND, 0, number, publication.key.encode(), publication.value)
        [document] = engine.step(0, [record], {} if document is None else {publication.key: document}, now).saves
        document.outbox.clear()
    assert document is not None  # there was a message
    document.applied.clear()  # the topic of the run begins at 0
    document.last_topic = None
    return document


def conversations(count: int, partitions: int) -> Iterator[StoredDocument]:
    """Yield the documents of `count` customers."""
    codec: DocumentCodec[ConversationState] = DocumentCodec(ConversationState)
    pattern = played_conversation(SystemClock().now())
    assert pattern.state is not None  # it was played
    for number in range(count):
        document = pattern.copy()
        document.key = thread_of(number)
        document.shard = partition_of_key(document.key, partitions)
        phone = phone_of(number)
        customer = Customer(id=phone, phone=f"+{phone}", display_name="A customer")
        document.state = pattern.state.model_copy(update={"customer": customer})
        yield codec.to_stored(document)


def partition_of_key(key: str, partitions: int) -> int:
    """Return the shard of `key`, without the cache that a million keys would wash out."""
    return int(partition_of.__wrapped__(key.encode(), partitions))


async def seed(path: Path, reducer: str, documents: Iterable[StoredDocument]) -> int:
    """Write `documents` of `reducer` into the SQLite store at `path`; return how many they were."""
    store = SqliteStore(path, synchronous=Synchronous.NORMAL)
    collection = await store.open(documents_of(reducer))
    written = 0
    iterator = iter(documents)
    try:
        while batch := list(islice(iterator, DOCUMENTS_PER_SAVE)):
            result = await collection.save(batch)
            assert result.complete
            written += len(batch)
            if written % DOCUMENTS_PER_PROGRESS == 0:
                progress(f"{written:,} documents seeded")
    finally:
        await store.close()
    return written


def file_megabytes(path: Path) -> float:
    """Return the size of an SQLite database with its log."""
    return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / 1_000_000
