"""Stopping a consumer for good: aiokafka's own stop may wait for ever, or end in an error that is not ours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

STOP_TIMEOUT_SECONDS = 10.0
"""How long a consumer may take to stop before it is given up."""


class Stoppable(Protocol):
    """What is stopped here: an AIOKafkaConsumer, or what stands for one."""

    async def stop(self) -> None:
        """Stop; perhaps never."""
        ...


async def stop_consumer(consumer: Stoppable) -> BaseException | None:
    """Stop `consumer` within STOP_TIMEOUT_SECONDS and close its connections; return what its stop failed with, if it did.

    It runs in a task of its own: aiokafka awaits its background tasks after cancelling them, and their CancelledError comes out
    of stop() when the broker is gone, or when they had not begun yet. In our own task it would look like our own end.
    """
    stopping = asyncio.create_task(consumer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=STOP_TIMEOUT_SECONDS)
    stopping.cancel()
    await asyncio.wait({stopping})
    if not done:
        error: BaseException | None = TimeoutError()
    else:
        error = asyncio.CancelledError() if stopping.cancelled() else stopping.exception()
    if error is not None:
        client = getattr(consumer, "_client", None)
        if client is not None:
            with contextlib.suppress(Exception):  # it is given up: what its own tasks died of is told above, and in its log
                await client.close()  # stop() did not come so far
    return error
