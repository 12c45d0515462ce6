"""Deliberate mistakes in the product, each as a patch: the simulation is worth something only if it finds every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

import shared.engine.publisher
from services.outbound import app as outbound
from services.outbound.ledger import Stored
from services.outbound.settings import OutboundSettings
from services.outbound.state import LedgerEntry
from services.router.core import replies
from shared.engine.batch import BatchWork
from shared.engine.document import Document
from shared.engine.intake import Failed
from shared.engine.kafka import ReducerLoop
from shared.engine.plan import Plan, publications_of
from shared.engine.records import Record
from shared.engine.shards import Shards
from shared.engine.step import Engine, _Step, emitter_on
from shared.engine.worker import Worker
from shared.events.envelope import Event
from shared.store.memory import MemoryCollection
from shared.store.port import SaveResult, StoredDocument
from shared.topics import Topic


@contextmanager
def publish_before_save() -> Iterator[None]:
    """What follows from a decision is seen before the decision is kept."""
    save, publish = BatchWork._save, BatchWork._publish

    async def mutated(self: BatchWork[Any], plans: Mapping[int, Plan[Any]], rows: Mapping[int, Sequence[StoredDocument]]) -> set[int]:
        await publish(self, plans)
        return await save(self, plans, rows)

    with patch.object(BatchWork, "_save", mutated):
        yield


@contextmanager
def no_version_check() -> Iterator[None]:
    """Whoever saves last wins."""
    save = MemoryCollection.save

    async def mutated(self: MemoryCollection, changes: Sequence[StoredDocument]) -> SaveResult:
        stored = await self.load([change.key for change in changes])
        versions = {key: document.version for key, document in stored.items()}
        return await save(self, [replace(change, version=versions.get(change.key, 0)) for change in changes])

    with patch.object(MemoryCollection, "save", mutated):
        yield


@contextmanager
def commit_before_publish() -> Iterator[None]:
    """The offsets are committed once the states are saved, the outputs go out afterwards."""
    work_on = ReducerLoop._work_on

    async def mutated(self: ReducerLoop[Any], fetched: Any, generation: int) -> Any:
        publish = self._work._publish

        async def after_commit(plans: Mapping[int, Plan[Any]]) -> list[Failed]:
            done = {TopicPartition(topic.name, plan.shard): offset for plan in plans.values() for topic, offset in plan.commits.items()}
            mine = {place: offset for place, offset in done.items() if self._consumer and place in self._consumer.assignment()}
            if mine and self._consumer is not None:
                with suppress(KafkaError):
                    await self._consumer.commit(mine)
            return await publish(plans)

        with patch.object(self._work, "_publish", after_commit):
            return await work_on(self, fetched, generation)

    with patch.object(ReducerLoop, "_work_on", mutated):
        yield


@contextmanager
def outbox_published_per_input() -> Iterator[None]:
    """At the first touch of a key its last output goes out again, not the whole outbox."""

    def mutated(_self: Engine[Any], shard: int, documents: Sequence[Document[Any]]) -> Plan[Any]:
        plan: Plan[Any] = Plan(shard)
        for document in documents:
            plan.touched[document.key] = document
            plan.publishes.extend(_of_the_last_input(document))
        return plan

    with patch.object(Engine, "flush", mutated):
        yield


def _of_the_last_input(document: Document[Any]) -> list[Any]:
    """Return the last output alone."""
    return publications_of(document)[-1:]


@contextmanager
def dirty_timers_not_flushed() -> Iterator[None]:
    """What timers left unpublished is not looked for after an assignment."""
    own = Shards.own

    def mutated(self: Shards[Any], shards: set[int]) -> None:
        own(self, shards)
        self.to_flush = set()

    with patch.object(Shards, "own", mutated):
        yield


@contextmanager
def outbox_emptied_before_the_acknowledgement() -> Iterator[None]:
    """The outputs are handed over, and taken to have arrived."""
    publish = BatchWork._publish

    async def mutated(self: BatchWork[Any], plans: Mapping[int, Plan[Any]]) -> list[Failed]:
        going = asyncio.create_task(publish(self, plans))
        going.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.sleep(0)
        return []

    with patch.object(BatchWork, "_publish", mutated):
        yield


class _OneTopic:
    """A consumer that seeks on one topic and forgets the others."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._topic: str | None = None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Seek, if it is the first topic."""
        self._topic = self._topic or partition.topic
        if partition.topic == self._topic:
            self._consumer.seek(partition, offset)

    def assignment(self) -> set[TopicPartition]:
        """Return what is assigned."""
        return set(self._consumer.assignment())


@contextmanager
def seek_back_one_topic() -> Iterator[None]:
    """After a failure only one topic of the partition is read again."""
    give_back = ReducerLoop._give_back

    async def mutated(self: ReducerLoop[Any], consumer: Any, *rest: Any, **named: Any) -> None:
        await give_back(self, _OneTopic(consumer), *rest, **named)

    with patch.object(ReducerLoop, "_give_back", mutated):
        yield


@contextmanager
def second_batch_before_the_acknowledgement() -> Iterator[None]:
    """All batches of a partition are sent at once."""

    async def mutated(producer: Any, left: Any, *_: Any) -> tuple[list[Any], dict[Any, Exception]]:
        acknowledgements = [
            await producer.send_batch(batch, place.topic, partition=place.partition)
            for place, batches in left
            for batch, _ in list(batches)
        ]
        if acknowledgements:
            await asyncio.wait(acknowledgements)
        for acknowledgement in acknowledgements:
            acknowledgement.result()
        return [], {}

    with patch.object(shared.engine.publisher, "_write_next", mutated):
        yield


@contextmanager
def generation_ignored() -> Iterator[None]:
    """The loop does not hear that its partitions changed hands while it was reading."""
    constant = property(lambda _self: 0, lambda _self, _value: None)
    with patch.object(ReducerLoop, "_generation", constant, create=True):
        yield


@contextmanager
def epoch_ignored() -> Iterator[None]:
    """A reply counts, whoever has the conversation by now."""

    def mutated(*_arguments: object) -> None:
        return None

    with patch.object(replies, "refuse_stale", mutated), patch.object(replies, "refuse_author", mutated):
        yield


@contextmanager
def seq_check_off_by_one() -> Iterator[None]:
    """The last output of a state is taken again when it comes again."""
    seen = _Step._seen

    def mutated(self: _Step[Any], document: Document[Any], topic: Topic, event: Event[Any], seq: int) -> bool:
        return document.seen.get(emitter_on(topic, event)) != seq and seen(self, document, topic, event, seq)

    with patch.object(_Step, "_seen", mutated):
        yield


@contextmanager
def barrier_skipped() -> Iterator[None]:
    """Partitions are given away while a batch of theirs is in hand."""

    async def mutated(self: ReducerLoop[Any], _revoked: Any) -> None:
        self._generation += 1
        self._shards.forget(set(self._shards.owned))
        self._shards.own(set())
        self._done.clear()
        self._committed.clear()

    with patch.object(ReducerLoop, "on_partitions_revoked", mutated):
        yield


@contextmanager
def claimed_after_the_request() -> Iterator[None]:
    """The ledger learns of a request when its answer is there."""

    async def mutated(_self: outbound.Outbound, stored: Stored, entry: LedgerEntry) -> Any:
        return outbound._Claimed(stored, entry)

    with patch.object(outbound.Outbound, "_claim", mutated):
        yield


# --- bugs that the simulation found, put back --------------------------------------------------------------------------


@contextmanager
def failed_commit_left() -> Iterator[None]:
    """A worker's commit that failed is tried again only when another record ends."""
    commit = Worker._commit

    async def mutated(self: Worker, consumer: Any) -> None:
        before, was_set = dict(self._committed), self._crew.changed.is_set()
        await commit(self, consumer)
        if self._committed == before and not was_set:
            self._crew.changed.clear()

    with patch.object(Worker, "_commit", mutated):
        yield


@contextmanager
def unfired_timer_left() -> Iterator[None]:
    """A timer that was due at its look-up, and not at its step, is not armed again."""
    acknowledged = BatchWork._acknowledged

    def mutated(self: BatchWork[Any], plan: Plan[Any], outcome: Any) -> None:
        saved = {document.due_at for document in plan.saves}
        armed = self.shards.timer_armed

        def only_saved(shard: int, due_at: datetime) -> None:
            if due_at in saved:
                armed(shard, due_at)

        with patch.object(self.shards, "timer_armed", only_saved):
            acknowledged(self, plan, outcome)

    with patch.object(BatchWork, "_acknowledged", mutated):
        yield


@contextmanager
def letters_not_in_the_outbox() -> Iterator[None]:
    """A dead letter is written with its batch or never."""
    bury = _Step._bury

    def mutated(self: _Step[Any], record: Record, reason: str, error: str, _document: Document[Any] | None = None) -> None:
        bury(self, record, reason, error)

    with patch.object(_Step, "_bury", mutated):
        yield


Mutation = Callable[[], AbstractContextManager[None]]


@contextmanager
def request_on_a_stale_claim() -> Iterator[None]:
    """Who slept after a claim makes the request, whatever others made of the send and of the thread meanwhile."""
    with patch.object(OutboundSettings, "claim_fresh_seconds", property(lambda _self: float("inf"))):
        yield


MUTATIONS: dict[str, Mutation] = {
    "publish before save": publish_before_save,
    "no version check": no_version_check,
    "commit before publish": commit_before_publish,
    "outbox re-published per input instead of whole": outbox_published_per_input,
    "dirty timers not flushed after assignment": dirty_timers_not_flushed,
    "outbox emptied before the acknowledgement": outbox_emptied_before_the_acknowledgement,
    "seek back only the topic that failed": seek_back_one_topic,
    "second batch before the first is acknowledged": second_batch_before_the_acknowledgement,
    "epoch ignored": epoch_ignored,
    "generation ignored": generation_ignored,
    "seq check off by one": seq_check_off_by_one,
    "barrier skipped": barrier_skipped,
    "ledger claim after HTTP": claimed_after_the_request,
    "failed commit of the worker not tried again": failed_commit_left,
    "timer not armed again when the clock is set back": unfired_timer_left,
    "dead letter not in the outbox": letters_not_in_the_outbox,
    "request on a stale claim": request_on_a_stale_claim,
}
