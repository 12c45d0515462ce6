"""When is a Kafka cluster ready? When a client can do what it came for, not when a port is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

PROBE_TOPIC = "readiness-probe"
PROBE_GROUP = "readiness-probe"
PROBE_SECONDS_MAX = 5.0
PROBE_PAUSE_SECONDS = 0.05
REPLICAS_MAX = 3


async def is_ready_within(
    bootstrap_servers: str, *, brokers: int, seconds_max: float, cluster_id: str | None = None, hopeless: Callable[[], bool] = lambda: False
) -> bool:
    """Return True as soon as the cluster serves, False after `seconds_max` or when `hopeless` says so.

    Args:
        bootstrap_servers: Where to ask.
        brokers: How many must be there.
        seconds_max: The patience.
        cluster_id: The id it must have, for another cluster may have taken the ports; None for any.
        hopeless: Whether waiting makes sense no more.
    """
    deadline = monotonic() + seconds_max
    with _quiet_client():
        while monotonic() < deadline and not hopeless():
            try:
                async with asyncio.timeout(PROBE_SECONDS_MAX):
                    if await cluster_is_ready(bootstrap_servers, brokers=brokers, cluster_id=cluster_id):
                        return True
            except (KafkaError, OSError, TimeoutError):
                pass  # not yet: that is what the loop waits for, and its caller reports the end of patience
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
    return False


async def cluster_is_ready(bootstrap_servers: str, *, brokers: int, cluster_id: str | None = None) -> bool:
    """Return whether `brokers` brokers are there, every partition has a leader, a topic could be made (none is) and groups are served.

    A fresh cluster makes the topic of its groups when the first one is asked for; until then every consumer reports an error.

    Raises:
        KafkaError: The cluster does not answer.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await client.start()
        described = await client.describe_cluster()
        if len(described["brokers"]) < brokers or cluster_id not in {None, described["cluster_id"]}:
            return False
        topics = await client.describe_topics()
        if any(partition["leader"] < 0 for topic in topics for partition in topic["partitions"]):
            return False
        replicas = min(brokers, REPLICAS_MAX)
        answer = await client.create_topics([NewTopic(PROBE_TOPIC, num_partitions=1, replication_factor=replicas)], validate_only=True)
        if any(for_code(error[1]).errno != 0 for error in answer.topic_errors):
            return False
        await client.find_coordinator(PROBE_GROUP)
        return True
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
