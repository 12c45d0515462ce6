"""A service with a saboteur in its process: `python -m tests.chaos.saboteur SERVICE`.

The service is the real one. SIGUSR1 blocks its event loop for CHAOS_BLOCK_SECONDS, as a computation would: no heartbeat, no answer,
while other threads run. SIGUSR2 ends those background tasks of the Kafka client that CHAOS_TASKS names by an unexpected error.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import sys
import time
from types import FrameType

BLOCK_VARIABLE = "CHAOS_BLOCK_SECONDS"
TASKS_VARIABLE = "CHAOS_TASKS"
COORDINATOR, FETCHER, SENDER = "_coordination_routine", "_fetch_requests_routine", "_sender_routine"
"""The background tasks of aiokafka 0.14, by their coroutines."""


def block(_number: int, _frame: FrameType | None) -> None:
    """Hold the event loop: the handler runs in its thread."""
    time.sleep(float(os.environ[BLOCK_VARIABLE]))


def end_tasks(_number: int, _frame: FrameType | None) -> None:
    """Let the client's background tasks that are named fail with an error nobody expects, in every client of this process."""
    named = set(os.environ[TASKS_VARIABLE].split(","))
    loop = asyncio.get_running_loop()
    for task in asyncio.all_tasks(loop):
        if getattr(task.get_coro(), "__name__", "") in named:
            loop.call_soon(_fail, task)


def _fail(task: asyncio.Task[object]) -> None:
    """Raise an error where the task waits: a cancellation would be a wish, not a failure."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is not None and not waiter.done():
        waiter.set_exception(AssertionError("sabotage"))


def main() -> None:
    """Set the traps and run the service."""
    signal.signal(signal.SIGUSR1, block)
    signal.signal(signal.SIGUSR2, end_tasks)
    service = sys.argv[1]
    sys.argv = [f"services.{service}"]
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
