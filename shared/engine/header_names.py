"""Records whose headers have names that are not UTF-8.

Kafka takes any bytes for a name, and so do clients in C and Go. aiokafka reads names as text and raises UnicodeDecodeError at every
read of the partition (seen with aiokafka 0.14): one such record would stop everybody's work there. We use no headers, so a batch that
cannot be read is read again without them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher

# The layout of a record batch (kafka.apache.org/documentation, "Record Batch", message format 2).
_LENGTH = struct.Struct(">8xi")
_HEAD = struct.Struct(">q13xh4xqq14xi")
"""Base offset, attributes, base timestamp, newest timestamp, count of records."""
_PREFIX_BYTES = 12
"""What stands before the bytes that a batch's length counts."""
_CODEC_BITS = 0x07
_LOG_APPEND_TIME_BIT = 0x08
_DECODERS: Mapping[int, Callable[[bytes], bytes]] = {0: bytes, 1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}


class _Plain(NamedTuple):
    """A record without its headers, with what aiokafka's fetcher asks of one."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    checksum: None = None
    headers: tuple[()] = ()


def take_any_header_name() -> None:
    """Let every consumer of aiokafka in this process read such records; a second call does nothing."""
    if not issubclass(fetcher.MemoryRecords, _Records):
        _Records.read_by = fetcher.MemoryRecords
        fetcher.MemoryRecords = _Records


class _Records:
    """The batches of one partition in one answer of the broker: aiokafka's own, each with its bytes at hand."""

    read_by: Callable[[bytes], Any]

    def __init__(self, data: bytes) -> None:
        self._records = type(self).read_by(data)
        self._data = memoryview(data)
        self._position = 0

    def has_next(self) -> bool:
        """Return whether there is another batch."""
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        """Return how long the answer is."""
        return int(self._records.size_in_bytes())

    def next_batch(self) -> _Batch:
        """Return the next batch."""
        (length,) = _LENGTH.unpack_from(self._data, self._position)
        start, self._position = self._position, self._position + _PREFIX_BYTES + length
        return _Batch(self._records.next_batch(), self._data[start : self._position])


class _Batch:
    """A batch as aiokafka reads it, and without headers from the record on that it cannot read."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_without_headers(self._data), read, None)


def _without_headers(data: memoryview) -> Iterator[_Plain]:
    """Yield the records of a batch, of each only what stands before its headers."""
    base_offset, attributes, base_timestamp, newest_timestamp, count = _HEAD.unpack_from(data)
    body = _DECODERS[attributes & _CODEC_BITS](bytes(data[_HEAD.size :]))
    is_appended_at = bool(attributes & _LOG_APPEND_TIME_BIT)
    position = 0
    for _ in range(count):
        length, start = _varint(body, position)
        timestamp_delta, at = _varint(body, start + 1)  # behind the record's own attributes, which mean nothing yet
        offset_delta, at = _varint(body, at)
        key, at = _bytes(body, at)
        value, _ = _bytes(body, at)
        timestamp = newest_timestamp if is_appended_at else base_timestamp + timestamp_delta
        yield _Plain(base_offset + offset_delta, timestamp, int(is_appended_at), key, value)
        position = start + length


def _bytes(body: bytes, position: int) -> tuple[bytes | None, int]:
    """Return a field that says its own length (-1: there is none), and where the next begins."""
    length, start = _varint(body, position)
    return (None, start) if length < 0 else (body[start : start + length], start + length)


def _varint(body: bytes, position: int) -> tuple[int, int]:
    """Return a number in Kafka's variable length (seven bits a byte, the lowest first, zigzag), and where the next field begins."""
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 # the eighth bit says that more follows
            return (value >> 1) ^ -(value & 1), position
        shift += 7
