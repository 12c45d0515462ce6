"""Whether a Kafka client still works. One whose background task died is silent, or repeats its error at every read, for ever."""

from __future__ import annotations


def is_alive(consumer: object) -> bool:
    """Return whether the background tasks of `consumer` run (aiokafka's; a consumer without any is alive).

    There is no public way: aiokafka checks the coordinator's only for errors, and the fetcher's not at all.
    """
    coordination = getattr(getattr(consumer, "_coordinator", None), "_coordination_task", None)
    fetching = getattr(getattr(consumer, "_fetcher", None), "_fetch_task", None)
    return not any(task is not None and task.done() for task in (coordination, fetching))
