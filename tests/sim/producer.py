"""The simulated AIOKafkaProducer: hand-made batches, an acknowledgement for each, and every way in which one can go wrong.

A batch is written whole or not at all. Its acknowledgement may be refused, may be lost after the write, and a batch whose producer
was given up or whose process died may still arrive: the request had left.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaConnectionError

from shared.clock import to_epoch_milliseconds
from tests.sim.log import Entry
from tests.sim.loop import Process

if TYPE_CHECKING:
    from tests.sim.broker import Broker


class Batch:
    """Records for one partition, up to a bound."""

    def __init__(self, process: Process, records_max: int) -> None:
        self._process = process
        self._records_max = records_max
        self.entries: list[Entry] = []

    def append(self, *, key: bytes | None, value: bytes | None, timestamp: int | None) -> object | None:
        """Take a record, or return None where the batch is full."""
        if len(self.entries) >= self._records_max:
            return None
        moment = to_epoch_milliseconds(self._process.now()) if timestamp is None else timestamp
        self.entries.append(Entry(key, value, moment))
        return self


class SimulatedProducer:
    """One producer of one process."""

    def __init__(self, broker: Broker, process: Process, **_options: Any) -> None:
        self._broker = broker
        self._process = process
        self._closed = False
        self._sender = SimpleNamespace(sender_task=None)
        self.client = SimpleNamespace(close=self.stop)

    async def start(self) -> None:
        """Connect."""
        await self._broker.cross(self._process, "connect")
        if self._broker.log.is_down:
            raise KafkaConnectionError("the simulated broker is down")

    async def stop(self) -> None:
        """End; what is on its way arrives or not."""
        self._closed = True
        await asyncio.sleep(0)

    def create_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._process, self._broker.batch_records_max)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        """Send a batch; the future ends with its acknowledgement, or with the error that stands for it."""
        self._process.check_alive()
        return self._broker.take(self._process, batch.entries, topic, partition)
