"""The bounds of the reducers' loop, each with its unit and its reason, and what they make of a consumer."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from shared.engine.connection import Servers, reader_options

STORE_TIMEOUT_SECONDS = 20.0
DEAD_LETTERS_PER_MINUTE_MAX = 1_000
"""A burst beyond it stops the reader: a bad deployment must not drain the topic into the dead letters."""


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How a reducer reads, and how long each thing may take. Every wait has an end of its own: the client's own retries have none."""

    bootstrap_servers: Servers
    topic_prefix: str
    partitions: int
    instance: str
    """A stable name of this process in its group: a restart within the session stops nobody else (static membership)."""

    records_max: int = 2_000
    """Records of one batch: larger ones pay less per record and hold the loop longer."""
    idle_wait_milliseconds: int = 1_000
    """How long a read waits for records where no timer is nearer."""
    read_timeout_seconds: float = 5.0
    """How long one read may be stuck in a rebalance before the loop looks whether it should stop, and at its timers."""
    session_timeout_milliseconds: int = 45_000
    """Heartbeats share the event loop: a shorter session evicts a process that computes."""
    heartbeat_interval_milliseconds: int = 1_000
    """A member learns of a rebalance with its next heartbeat: so long do the partitions of a dead process wait after its session's end."""
    rebalance_timeout_milliseconds: int = 60_000
    revoke_timeout_seconds: float = 20.0
    """How long a revoke waits for the batch in hand: below the rebalance time-out, or the group evicts us."""
    store_timeout_seconds: float = STORE_TIMEOUT_SECONDS
    commit_interval_seconds: float = 0.2
    commit_timeout_seconds: float = 5.0
    backoff_seconds: float = 0.2
    backoff_seconds_max: float = 5.0
    shared_backoff_seconds_max: float = 1.0
    """The longest pause after a failure of some shards while others go on: these wait as well."""
    documents_cached_max: int = 20_000
    timers_per_batch_max: int = 500
    dead_letters_per_minute_max: int = DEAD_LETTERS_PER_MINUTE_MAX
    fetch_wait_milliseconds: int = 500
    """How long the broker holds a fetch without records: it answers at once when one comes; longer saves idle CPU."""
    fetch_bytes_max_per_partition: int = 1024 * 1024


def consumer_options(options: LoopOptions, group: str) -> dict[str, object]:
    """Return the settings of a consumer that never acknowledges by itself, never skips, and stays a member while it computes."""
    return {
        **reader_options(options.bootstrap_servers),
        "group_id": f"{options.topic_prefix}{group}",
        "group_instance_id": f"{group}-{options.instance}",
        "client_id": f"{group}-{options.instance}",
        "auto_offset_reset": "none",
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "session_timeout_ms": options.session_timeout_milliseconds,
        "heartbeat_interval_ms": options.heartbeat_interval_milliseconds,
        "rebalance_timeout_ms": options.rebalance_timeout_milliseconds,
        "max_partition_fetch_bytes": options.fetch_bytes_max_per_partition,
        "fetch_max_wait_ms": options.fetch_wait_milliseconds,
    }
