"""Pass-through of whole record batches: the broker's own limit on this machine. No record is looked at, only the batches' headers.

A fetch's bytes are cut at the batches, each is made as a producer would send it (its offset is the broker's to give; the producer's numbers
are taken out, so that it is nobody's; the checksum is new) and goes to the output topic with acks=all, while the next fetch is under way.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from shared.topics import CONVERSATIONS, INBOUND
from tests.bench.contenders.contest import Contest, Stopwatch

# Offsets in a record batch, magic 2 (Kafka protocol guide, "Record Batch").
LENGTH_AT, CHECKSUM_AT, ATTRIBUTES_AT, LAST_DELTA_AT, PRODUCER_AT, COUNT_AT, HEADER_BYTES = 8, 17, 21, 23, 43, 57, 61
NO_PRODUCER = struct.pack(">qhi", -1, -1, -1)
BASE_BYTES = 12
"""Base offset and length: what the length does not count."""
FETCH_BYTES_PER_PARTITION = 1024 * 1024
FETCH_BYTES = 64 * 1024 * 1024
FETCH_WAIT_MILLISECONDS = 500
PRODUCE_TIMEOUT_MILLISECONDS = 15_000
ACKS_ALL = -1


class Batch:
    """One record batch as the log holds it: how many records, the offset behind it, and bytes that a producer may send."""

    def __init__(self, raw: bytes) -> None:
        (base,) = struct.unpack_from(">q", raw)
        (last_delta,) = struct.unpack_from(">i", raw, LAST_DELTA_AT)
        (self.count,) = struct.unpack_from(">i", raw, COUNT_AT)
        self.next_offset: int = base + last_delta + 1
        sendable = bytearray(raw)
        struct.pack_into(">q", sendable, 0, 0)
        sendable[PRODUCER_AT:COUNT_AT] = NO_PRODUCER
        struct.pack_into(">I", sendable, CHECKSUM_AT, calc_crc32c(bytes(sendable[ATTRIBUTES_AT:])))
        self.sendable = bytes(sendable)


def batches(raw: bytes) -> Iterator[Batch]:
    """Yield the whole batches in a fetch's bytes; a fetch may end in the middle of one."""
    start = 0
    while start + HEADER_BYTES <= len(raw):
        end = start + BASE_BYTES + struct.unpack_from(">i", raw, start + LENGTH_AT)[0]
        if end > len(raw):
            return
        yield Batch(raw[start:end])
        start = end


async def run(contest: Contest) -> None:
    """Move the backlog; measured from the end of the first fetch on."""
    client = AIOKafkaClient(bootstrap_servers=contest.bootstrap, client_id="raw")
    await client.bootstrap()
    try:
        await client.set_topics([contest.prefix + INBOUND.name, contest.prefix + CONVERSATIONS.name])
        await _Mover(client, contest).run()
    finally:
        await client.close()


class _Mover:
    """Moves batches from the inbound topic to the output topic."""

    def __init__(self, client: AIOKafkaClient, contest: Contest) -> None:
        self._client = client
        self._contest = contest
        self._node = client.cluster.leader_for_partition(TopicPartition(contest.prefix + INBOUND.name, 0))
        self._offsets = dict.fromkeys(range(contest.partitions), 0)
        self._moved = 0
        self._written = 0

    async def run(self) -> None:
        found = await self._fetch()
        watch = Stopwatch()
        while True:
            fetching = asyncio.create_task(self._fetch())
            await self._write(found)
            if self._moved >= self._contest.events:
                break
            found = await fetching
        watch.tell(self._moved)
        fetching.cancel()

    async def _fetch(self) -> dict[int, deque[Batch]]:
        """Return the next batches of every partition."""
        asked = [(partition, offset, FETCH_BYTES_PER_PARTITION) for partition, offset in self._offsets.items()]
        topics = [(self._contest.prefix + INBOUND.name, asked)]
        response = await self._client.send(self._node, FetchRequest(FETCH_WAIT_MILLISECONDS, 1, FETCH_BYTES, 0, topics))
        found: dict[int, deque[Batch]] = {}
        for _, partitions in response.topics:
            for partition, code, *_, raw in partitions:
                _check(code)
                found[partition] = deque(batches(raw or b""))
                if found[partition]:
                    self._offsets[partition] = found[partition][-1].next_offset
        return found

    async def _write(self, found: dict[int, deque[Batch]]) -> None:
        """Write them: of each partition one batch in a request, as the protocol wants it, and some again up to our rules' outputs."""
        while any(found.values()):
            chosen = {partition: waiting.popleft() for partition, waiting in found.items() if waiting}
            await self._produce(chosen)
            self._moved += sum(batch.count for batch in chosen.values())
            wanted = round(self._moved * self._contest.outputs_per_event)
            again: dict[int, Batch] = {}
            for partition, batch in chosen.items():
                if self._written + sum(one.count for one in again.values()) + batch.count <= wanted:
                    again[partition] = batch
            await self._produce(again)

    async def _produce(self, chosen: dict[int, Batch]) -> None:
        if not chosen:
            return
        topics: list[tuple[str, list[tuple[int, bytes]]]] = [
            (self._contest.prefix + CONVERSATIONS.name, [(partition, batch.sendable) for partition, batch in chosen.items()])
        ]
        response: Any = await self._client.send(self._node, ProduceRequest(None, ACKS_ALL, PRODUCE_TIMEOUT_MILLISECONDS, topics))
        for _, partitions in response.topics:
            for answer in partitions:
                _check(answer[1])
        self._written += sum(batch.count for batch in chosen.values())


def _check(code: int) -> None:
    error: type[KafkaError] = for_code(code)
    if code:
        raise error
