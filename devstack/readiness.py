"""When is a Kafka cluster ready? When a client can do what it came for, not when a port is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

PROBE_TOPIC = "readiness-probe"
PROBE_SECONDS_MAX = 5.0
PROBE_PAUSE_SECONDS = 0.05
REPLICAS_MAX = 3


async def is_ready_within(bootstrap_servers: str, *, brokers: int, seconds_max: float, given_up: threading.Event | None = None) -> bool:
    """Return True as soon as the cluster serves, False after `seconds_max` or when `given_up` is set."""
    deadline = monotonic() + seconds_max
    with _quiet_client():
        while monotonic() < deadline and not (given_up is not None and given_up.is_set()):
            try:
                async with asyncio.timeout(PROBE_SECONDS_MAX):
                    if await cluster_is_ready(bootstrap_servers, brokers=brokers):
                        return True
            except (KafkaError, OSError, TimeoutError):
                pass  # not yet: that is what the loop waits for, and its caller reports the end of patience
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
    return False


async def cluster_is_ready(bootstrap_servers: str, *, brokers: int) -> bool:
    """Return whether `brokers` brokers are there, every partition has a leader and a topic could be made (none is).

    Raises:
        KafkaError: The cluster does not answer.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await client.start()
        described = await client.describe_cluster()
        if len(described["brokers"]) < brokers:
            return False
        topics = await client.describe_topics()
        if any(partition["leader"] < 0 for topic in topics for partition in topic["partitions"]):
            return False
        replicas = min(brokers, REPLICAS_MAX)
        answer = await client.create_topics([NewTopic(PROBE_TOPIC, num_partitions=1, replication_factor=replicas)], validate_only=True)
        return all(for_code(error[1]).errno == 0 for error in answer.topic_errors)
    finally:
        await client.close()


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the client from logging the refused connections that waiting for a server means."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
