"""Group commit: what many tasks ask for at the same time is done by one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

I = TypeVar("I")  # noqa: E741 # the item, beside O for the outcome
O = TypeVar("O")  # noqa: E741 # the outcome of one item


class Batcher(Generic[I, O]):
    """Collects items and hands them to `run`, one call at a time, in the order in which they came.

    While a call is under way the next items gather, so batches grow with the load. `linger_seconds` is how long the first item
    waits for company after a pause; 0 waits for the tasks that are ready to run and no longer.
    """

    def __init__(self, run: Callable[[list[I]], Awaitable[Sequence[O]]], *, items_max: int, linger_seconds: float = 0.0) -> None:
        self._run = run
        self._items_max = items_max
        self._linger_seconds = linger_seconds
        self._waiting: list[tuple[I, asyncio.Future[O]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: I) -> O:
        """Return the outcome of `item`; raises what `run` raised for its batch. A caller that leaves does not stop the batch."""
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Return when nothing is under way any more."""
        while self._worker is not None:
            await asyncio.wait({self._worker})

    async def _work(self) -> None:
        """Run batches until nothing waits."""
        await asyncio.sleep(self._linger_seconds)
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._items_max], self._waiting[self._items_max :]
                await self._run_batch(batch)
        finally:
            self._worker = None

    async def _run_batch(self, batch: list[tuple[I, asyncio.Future[O]]]) -> None:
        """Hand one batch over, and its outcome or its failure to those who wait."""
        try:
            outcomes = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 # it is not ended here: every caller gets it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
