"""A batch of records that arrived with a wrong checksum.

aiokafka raises in the middle of a read: what it had taken from other partitions goes down with the error, and the next read goes on
behind it (seen with aiokafka 0.14). So the loops let go of a client that met one, and a new one begins where was committed.
"""

from __future__ import annotations

import structlog
from aiokafka.errors import CorruptRecordException

from shared.metrics import Metrics

logger = structlog.get_logger(__name__)


def tell_corruption(error: CorruptRecordException, *, reader: str, metrics: Metrics) -> None:
    """Say that a batch was broken, and where. Once is the network's or a memory's mistake; again and again the broker's disk."""
    metrics.failures.labels(reader, type(error).__name__).inc()
    logger.error("batch.corrupt", reader=reader, detail=str(error), hint="again and again: the broker's copy is broken, let another lead")
