"""Headers may have any names: a record is read, and so are its neighbours. The layout is held to aiokafka's own, and to the real broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.connection import client_options
from shared.engine.header_names import _Records, take_any_header_name
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import KEYS, Place, a_loop
from tests.shared.engine.witness import Asked

NAME = b"the name of a header"
NO_TEXT = b"\xff" * len(NAME)
LENGTH_AT, CRC_AT, CRC_COVERS_FROM, BODY_AT = 8, 17, 21, 61
ENCODERS = (bytes, gzip_encode, snappy_encode, lz4_encode, zstd_encode)
"""By Kafka's number of the compression."""
LOG_APPEND_TIME = 0x08

contents = st.none() | st.binary(max_size=300)
Written = tuple[bytes | None, bytes | None, int]
Seen = tuple[int, int, int, bytes | None, bytes | None]


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Topics of this test's own."""
    made = Place(kafka_bootstrap, tmp_path)
    await made.make()
    return made


def batch_of(records: list[Written], *, named: int | None = None) -> bytes:
    """Return a record batch (key, value, timestamp each); record number `named` has a header with the name NAME."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1_000_000
    )
    for number, (key, value, timestamp) in enumerate(records):
        builder.append(number, timestamp=timestamp, key=key, value=value, headers=[(NAME.decode(), b"x")] if number == named else [])
    return bytes(builder.build())


def spoilt(batch: bytes, *, compression: int = 0, attributes: int = 0) -> bytes:
    """Return `batch`, uncompressed so far, with a name that is no text in the place of NAME, packed, measured and sealed anew."""
    body = ENCODERS[compression](batch[BODY_AT:].replace(NAME, NO_TEXT))
    made = bytearray(batch[:BODY_AT] + body)
    made[LENGTH_AT : LENGTH_AT + 4] = (len(made) - LENGTH_AT - 4).to_bytes(4, "big")
    made[CRC_COVERS_FROM : CRC_COVERS_FROM + 2] = (compression | attributes).to_bytes(2, "big")
    made[CRC_AT:CRC_COVERS_FROM] = calc_crc32c(bytes(made[CRC_COVERS_FROM:])).to_bytes(4, "big")
    return bytes(made)


def seen_in(data: bytes) -> list[Seen]:
    """Return what a consumer sees of the batches in `data`."""
    take_any_header_name()
    records, found = _Records(data), list[Seen]()
    assert records.size_in_bytes() == len(data)
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(one.offset, one.timestamp, one.timestamp_type, one.key, one.value) for one in batch]
    return found


@settings(deadline=None)
@given(
    records=st.lists(st.tuples(contents, contents, st.integers(0, 2**41)), min_size=1, max_size=20),
    compression=st.integers(0, len(ENCODERS) - 1),
    attributes=st.sampled_from([0, LOG_APPEND_TIME]),
    data=st.data(),
)
def test_a_batch_with_a_name_that_is_no_text_is_read_whole(
    records: list[Written], compression: int, attributes: int, data: st.DataObject
) -> None:
    """Before the record, the record itself and behind it: offsets, times, keys and values as if there were no header."""
    named = batch_of(records, named=data.draw(st.integers(0, len(records) - 1)))
    unreadable = spoilt(named, compression=compression, attributes=attributes)
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(unreadable).next_batch())
    plain = spoilt(batch_of(records), compression=compression, attributes=attributes)
    assert seen_in(unreadable + plain) == [*seen_in(plain), *seen_in(plain)]


async def test_records_around_a_header_without_a_readable_name_take_effect(place: Place) -> None:
    """However they were compressed. Each would stop the whole partition."""
    for compression in range(len(ENCODERS)):
        asked = [Asked(COMMANDS, KEYS[0], f"{name} {compression}") for name in ("before", "itself", "behind")]
        await write(place, asked, compression)
        place.asked.extend(asked)
    async with a_loop(place):
        await place.await_answers()
    await place.judged()
    assert [event.id for event in await place.events(COMMANDS)] == [one.event_id for one in place.asked]


async def write(place: Place, asked: list[Asked], compression: int) -> None:
    """Write inputs in one batch, the second with a header whose name is no text."""
    topic, partition = place.prefix + asked[0].topic.name, place.shard(asked[0].key)
    async with AIOKafkaProducer(**client_options(place.bootstrap)) as producer:
        batch = producer.create_batch()
        for number, one in enumerate(asked):
            batch.append(key=one.key.encode(), value=one.value, timestamp=None, headers=[(NAME.decode(), b"x")] if number == 1 else [])
        batch._buffer = bytearray(spoilt(bytes(batch._build()), compression=compression))
        await (await producer.send_batch(batch, topic, partition=partition))
