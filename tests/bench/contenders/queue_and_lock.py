"""Queue plus lock, as the open-source desks do it: one job per message, a lock per conversation, a row per message, one worker.

Everything is in one SQLite file with the durability of our store (WAL, synchronous FULL), and each step is a transaction of its own,
as with a job library on a database: claim the job, take the conversation's lock, write (message row and conversation together),
publish the outputs and wait for the broker, then finish the job and free the lock. The rules are the same. The queue is filled from
the topic before the measurement begins, in bulk: that much the baseline gets for nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.router.app import build_reducers
from shared.clock import Clock, SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec
from shared.engine.plan import Plan
from shared.engine.records import Publication, Record
from shared.engine.step import Engine
from shared.store.port import StoredDocument
from shared.topics import INBOUND
from tests.bench.contenders.contest import Contest, Stopwatch
from tests.bench.world import CONFIG

SCHEMA = """
CREATE TABLE jobs (id INTEGER PRIMARY KEY, thread TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL,
                   claimed_by TEXT, claimed_at INTEGER, attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX jobs_ready ON jobs (id) WHERE claimed_by IS NULL;
CREATE TABLE locks (thread TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL);
CREATE TABLE conversations (thread TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE messages (id INTEGER PRIMARY KEY, thread TEXT NOT NULL, event BLOB NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX messages_of_thread ON messages (thread, id);
"""
WORKER = "worker-1"
LOCK_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed job: the record of a message."""

    number: int
    record: Record


class Database:
    """The desk's database."""

    def __init__(self, contest: Contest) -> None:
        self._connection = sqlite3.connect(contest.path / "queue.sqlite3", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536", "wal_autocheckpoint = 4000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def enqueue(self, records: list[Record]) -> None:
        """Put a job for each of `records` into the queue."""
        rows = [(one.key and one.key.decode(), one.partition, one.offset, one.value) for one in records]
        with self._transaction():
            self._connection.executemany("INSERT INTO jobs (thread, place, number, value) VALUES (?, ?, ?, ?)", rows)

    def claim(self, now: int) -> Job | None:
        """Claim the oldest job that nobody has."""
        with self._transaction():
            row = self._connection.execute(
                "UPDATE jobs SET claimed_by = ?, claimed_at = ?, attempts = attempts + 1 WHERE id ="
                " (SELECT id FROM jobs WHERE claimed_by IS NULL ORDER BY id LIMIT 1) RETURNING id, thread, place, number, value",
                (WORKER, now),
            ).fetchone()
        return None if row is None else Job(row[0], Record(INBOUND, row[2], row[3], row[1].encode(), row[4]))

    def lock(self, thread: str, now: int) -> bool:
        """Take the conversation's lock, also one that a dead worker has left."""
        with self._transaction():
            taken = self._connection.execute(
                "INSERT INTO locks VALUES (?, ?, ?) ON CONFLICT (thread) DO UPDATE SET owner = excluded.owner, until = excluded.until"
                " WHERE until < ?",
                (thread, WORKER, now + LOCK_MILLISECONDS, now),
            ).rowcount
        return taken == 1

    def conversation(self, thread: str) -> tuple[int, bytes] | None:
        """Return a conversation's version and body."""
        row: tuple[int, bytes] | None = self._connection.execute(
            "SELECT version, body FROM conversations WHERE thread = ?", (thread,)
        ).fetchone()
        return row

    def write(self, thread: str, body: bytes, events: list[bytes], now: int) -> None:
        """Write a row per event and the conversation, together."""
        with self._transaction():
            rows = [(thread, event, now) for event in events]
            self._connection.executemany("INSERT INTO messages (thread, event, created_at) VALUES (?, ?, ?)", rows)
            self._connection.execute(
                "INSERT INTO conversations VALUES (?, 1, ?, ?) ON CONFLICT (thread)"
                " DO UPDATE SET version = version + 1, body = excluded.body, updated_at = excluded.updated_at",
                (thread, body, now),
            )

    def finish(self, job: Job, thread: str) -> None:
        """Take the job from the queue and free the lock."""
        with self._transaction():
            self._connection.execute("DELETE FROM locks WHERE thread = ? AND owner = ?", (thread, WORKER))
            self._connection.execute("DELETE FROM jobs WHERE id = ?", (job.number,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


class Worker:
    """The one worker: a job at a time."""

    def __init__(self, database: Database, producer: AIOKafkaProducer, contest: Contest, clock: Clock) -> None:
        reducer = build_reducers(load_contact_centre(CONFIG))[0]
        self._database = database
        self._producer = producer
        self._prefix = contest.prefix
        self._clock = clock
        self._engine: Engine[Any] = Engine(reducer, partitions=contest.partitions, version="bench")
        self._codec: DocumentCodec[Any] = DocumentCodec(reducer.state)

    async def work(self) -> bool:
        """Do one job; return whether there was one."""
        now = int(self._clock.now().timestamp() * 1000)
        job = self._database.claim(now)
        if job is None:
            return False
        thread = (job.record.key or b"").decode()
        if not self._database.lock(thread, now):
            raise RuntimeError(f"{thread} is locked, and there is no other worker")
        plan = self._decide(job, thread)
        for document in plan.saves:
            self._database.write(thread, self._codec.to_stored(document).body, [one.value for one in plan.publishes], now)
        await self._publish(plan.publishes)
        self._database.finish(job, thread)
        return True

    def _decide(self, job: Job, thread: str) -> Plan[Any]:
        """Return what the rules make of the job's message."""
        documents: dict[str, Document[Any]] = {}
        if (row := self._database.conversation(thread)) is not None:
            documents[thread] = self._codec.from_stored(StoredDocument(thread, row[0], row[1], {"shard": job.record.partition}))
            documents[thread].outbox.clear()
        return self._engine.step(job.record.partition, [job.record], documents, self._clock.now())

    async def _publish(self, publications: list[Publication]) -> None:
        """Write the outputs of one message together and wait until the broker has them."""
        waiting = [await self._producer.send(self._prefix + one.topic.name, key=one.key.encode(), value=one.value) for one in publications]
        for acknowledgement in waiting:
            await acknowledgement


async def run(contest: Contest) -> None:
    """Fill the queue, then work it off; measured from the end of the first job on."""
    database = Database(contest)
    producer = AIOKafkaProducer(bootstrap_servers=contest.bootstrap, acks="all", enable_idempotence=True)
    try:
        async for records in _backlog(contest):
            database.enqueue(records)
        async with producer:
            worker = Worker(database, producer, contest, SystemClock())
            await worker.work()
            watch, done = Stopwatch(), 0
            while await worker.work():
                done += 1
            watch.tell(done)
    finally:
        database.close()


async def _backlog(contest: Contest) -> AsyncIterator[list[Record]]:
    """Yield the topic's records, `contest.events` of them."""
    left = contest.events
    consumer = AIOKafkaConsumer(
        contest.prefix + INBOUND.name, bootstrap_servers=contest.bootstrap, group_id="queue", auto_offset_reset="earliest"
    )
    async with consumer:
        while left > 0:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=left)
            records = [Record(INBOUND, one.partition, one.offset, one.key, one.value) for some in fetched.values() for one in some]
            left -= len(records)
            yield records
