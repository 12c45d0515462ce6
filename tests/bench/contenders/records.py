"""Pass-through, record by record: what aiokafka alone costs. Fetched, put into new record batches, acknowledged; values stay bytes.

No decoding, no rules, no store: the limit for anything that looks at single records with this client.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.engine.options import LoopOptions
from shared.engine.publisher import BATCH_BYTES_MAX
from shared.topics import CONVERSATIONS, INBOUND
from tests.bench.contenders.contest import FIRST_BATCH_SHARE_MAX, Contest, Stopwatch


async def run(contest: Contest) -> None:
    """Move the backlog; measured from the end of the first batch on, unless that was a large part of it."""
    options = LoopOptions(contest.bootstrap, contest.prefix, contest.partitions, instance="0")
    consumer = AIOKafkaConsumer(
        contest.prefix + INBOUND.name,
        bootstrap_servers=contest.bootstrap,
        group_id="records",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=options.fetch_bytes_max_per_partition,
    )
    producer = AIOKafkaProducer(bootstrap_servers=contest.bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES_MAX)
    async with consumer, producer:
        await _move(consumer, producer, contest, options)


async def _move(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, contest: Contest, options: LoopOptions) -> None:
    """Read, write, wait for the acknowledgements, commit now and then: in our loop's manner, as many records as our rules make."""
    moved, first, written = 0, 0, 0
    watch = Stopwatch()
    committed = time.monotonic()
    while moved < contest.events:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=options.records_max)
        records_now = sum(map(len, fetched.values()))
        moved += records_now
        extra = round(moved * contest.outputs_per_event) - written - records_now
        await asyncio.gather(*[_write(producer, contest, partition, records) for partition, records in fetched.items() if records])
        written += records_now
        for partition, records in fetched.items():
            more = records[: max(0, extra)]
            if more:
                await _write(producer, contest, partition, more)
            written += len(more)
            extra -= len(more)
        if time.monotonic() - committed >= options.commit_interval_seconds:
            await consumer.commit()
            committed = time.monotonic()
        if first == 0 < moved <= contest.events * FIRST_BATCH_SHARE_MAX:
            watch, first = Stopwatch(), moved
    watch.tell(moved - first)


async def _write(producer: AIOKafkaProducer, contest: Contest, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
    """Write `records` of one partition as one batch, or more where they do not fit, and wait until they are acknowledged."""
    topic = contest.prefix + CONVERSATIONS.name
    batch: BatchBuilder = producer.create_batch()
    for record in records:
        if batch.append(key=record.key, value=record.value, timestamp=None) is None:
            await _sent(producer, batch, topic, partition.partition)
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=None)
    await _sent(producer, batch, topic, partition.partition)


async def _sent(producer: AIOKafkaProducer, batch: BatchBuilder, topic: str, partition: int) -> None:
    acknowledgement: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    await acknowledgement
