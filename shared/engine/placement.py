"""Which partition a key belongs to: Kafka's default hash (murmur2), as every Java client and the default of most others computes it."""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

KEYS_CACHED_MAX = 100_000


@lru_cache(maxsize=KEYS_CACHED_MAX)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key` among `partitions`. Cached: the hash is pure Python and costs ten microseconds."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
