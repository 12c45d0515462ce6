"""A batch whose checksum is wrong, once: what the client had taken from other partitions in the same read is not lost. Real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from shared.clock import SystemClock
from shared.engine.header_names import _Batch
from shared.engine.records import Publication
from shared.engine.status import LoopStatus
from shared.engine.worker import Worker
from shared.engine.worker_options import WorkerOptions
from shared.metrics import Metrics
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import KEYS, Place, a_loop, until
from tests.shared.engine.worker_world import ScriptedHandler

GOOD_BATCHES = 2
"""So many are taken, of other partitions, in the read that meets the broken one."""


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Topics of this test's own."""
    made = Place(kafka_bootstrap, tmp_path)
    await made.make()
    return made


def break_a_batch(patch: pytest.MonkeyPatch) -> list[int]:
    """Let the next read find several partitions' batches, one of them broken; return what tells how many batches were looked at."""
    looked_at: list[int] = []
    getmany = AIOKafkaConsumer.getmany

    def validate_crc(batch: Any) -> bool:
        looked_at.append(batch.base_offset)
        return len(looked_at) != GOOD_BATCHES + 1 and bool(batch._batch.validate_crc())

    async def of_several_partitions(consumer: Any, **options: Any) -> Any:
        if consumer.assignment() and not looked_at:
            await until(lambda: len(consumer._fetcher._records) > GOOD_BATCHES)
        return await getmany(consumer, **options)

    patch.setattr(_Batch, "validate_crc", validate_crc, raising=False)
    patch.setattr(AIOKafkaConsumer, "getmany", of_several_partitions)
    return looked_at


async def test_a_reducer_reads_again_what_a_broken_batch_took_with_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every input takes effect once, in order."""
    await place.write(place.batch(60))
    async with a_loop(place):
        await place.await_answers()
    await place.write(place.batch(60))
    looked_at = break_a_batch(monkeypatch)
    async with a_loop(place):
        await until(lambda: len(looked_at) > GOOD_BATCHES)
        await place.await_answers()
    await place.judged()


async def test_a_worker_reads_again_what_a_broken_batch_took_with_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is skipped."""
    await work_off(place, [f"first-{number}" for number in range(len(KEYS))])
    names = [f"second-{number}" for number in range(len(KEYS))]
    looked_at = break_a_batch(monkeypatch)
    await work_off(place, names)
    assert len(looked_at) > GOOD_BATCHES


async def work_off(place: Place, names: Sequence[str]) -> None:
    """Write a record for each name, and let a worker handle all of them."""
    publisher = place.publisher("writer")
    await publisher.publish([Publication(COMMANDS, key, f"{name} ok".encode()) for name, key in zip(names, KEYS, strict=True)])
    await publisher.close()
    handler, stop = ScriptedHandler(), asyncio.Event()
    worker = Worker(
        handler, (COMMANDS,), options=WorkerOptions(place.options()), clock=SystemClock(), metrics=Metrics(), status=LoopStatus()
    )
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: set(handler.done) == set(names), seconds=30)
    stop.set()
    await task
