"""The generator with its sockets: drives an open or a closed loop over keep-alive connections to one address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

from devstack.load.connection import Connection
from devstack.load.pace import Answers, ClosedLoop, OpenLoop

START_DELAY_SECONDS = 0.05
DRAIN_SECONDS_MAX = 30.0
"""How long after the last request its answer is waited for."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found. `started_at` is the moment of request 0 in seconds since 1970; `per_second` counts answers."""

    started_at: float
    seconds: float
    per_second: float
    answers: Answers
    unanswered: int = 0


async def run_open(loop_plan: OpenLoop, requests: Sequence[bytes], *, host: str, port: int, connections: int) -> Result:
    """Send `requests`, each at its moment, and wait for the answers."""
    return await _OpenRun(loop_plan, requests, host, port).run(connections)


async def run_closed(plan: ClosedLoop, requests: Iterable[bytes], *, host: str, port: int, connections: int) -> Result:
    """Send `requests` round and round, as fast as `connections` connections are answered, until the time is up."""
    return await _ClosedRun(plan, requests).run(host, port, connections)


class _OpenRun:
    """One open run."""

    def __init__(self, plan: OpenLoop, requests: Sequence[bytes], host: str, port: int) -> None:
        self._plan = plan
        self._requests = requests
        self._address = (host, port)
        self._loop = asyncio.get_running_loop()
        self._origin = 0.0
        self._free: list[Connection] = []
        self._carries: dict[Connection, int] = {}
        self._finished = self._loop.create_future()
        self._reopening: set[asyncio.Task[None]] = set()

    async def run(self, connections: int) -> Result:
        """Open the connections, run, close them."""
        for _ in range(connections):
            self._free.append(await self._open())
        self._origin = time.perf_counter() + START_DELAY_SECONDS
        started_at = time.time() + START_DELAY_SECONDS
        self._loop.call_later(START_DELAY_SECONDS, self._tick)
        try:
            async with asyncio.timeout(START_DELAY_SECONDS + self._plan.arrivals.seconds + DRAIN_SECONDS_MAX):
                await self._finished
        except TimeoutError:
            pass  # what is missing is counted below
        elapsed = self._elapsed()
        unanswered = self._plan.give_up(elapsed)
        answers = self._plan.answers
        for connection in (*self._free, *self._carries):
            connection.close()
        return Result(started_at, elapsed, (len(answers.latencies) - unanswered) / elapsed, answers, unanswered)

    def _elapsed(self) -> float:
        # Not the loop's own clock: uvloop's counts milliseconds.
        return time.perf_counter() - self._origin

    async def _open(self) -> Connection:
        _, connection = await self._loop.create_connection(lambda: Connection(self._answered, self._replace), *self._address)
        return connection

    def _tick(self) -> None:
        """Send what is due, and come again when the next is."""
        self._send()
        next_at = self._plan.next_at()
        if next_at is not None:
            self._loop.call_later(max(0.0, next_at - self._elapsed()), self._tick)

    def _send(self) -> None:
        for number in self._plan.leave(self._elapsed()):
            connection = self._free.pop()
            self._carries[connection] = number
            connection.send(self._requests[number])

    def _answered(self, connection: Connection, status: int) -> None:
        self._plan.answered(self._carries.pop(connection), self._elapsed(), status)
        self._free.append(connection)
        if not connection.is_open:
            self._replace(connection)
        if self._plan.done:
            if not self._finished.done():
                self._finished.set_result(None)
        elif self._plan.waiting:
            self._send()

    def _replace(self, closed: Connection) -> None:
        """Open another connection in place of one that the server closed."""
        task = self._loop.create_task(self._reopen(closed))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _reopen(self, closed: Connection) -> None:
        """Open it; while there is none, requests over the closed one count as lost."""
        try:
            opened = await self._open()
        except OSError:
            return
        if closed in self._free:
            self._free[self._free.index(closed)] = opened
        else:
            opened.close()


class _ClosedRun:
    """One closed run."""

    def __init__(self, plan: ClosedLoop, requests: Iterable[bytes]) -> None:
        self._plan = plan
        self._requests = cycle(requests)
        self._loop = asyncio.get_running_loop()
        self._left: dict[Connection, float] = {}
        self._origin = 0.0
        self._finished = self._loop.create_future()

    async def run(self, host: str, port: int, connections: int) -> Result:
        """Open the connections, run, close them."""
        opened = [(await self._loop.create_connection(lambda: Connection(self._answered), host, port))[1] for _ in range(connections)]
        self._origin = time.perf_counter()
        started_at = time.time()
        for connection in opened:
            self._send(connection)
        await self._finished
        for connection in opened:
            connection.close()
        return Result(started_at, self._elapsed(), self._plan.per_second, self._plan.answers)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._origin

    def _send(self, connection: Connection) -> None:
        self._left[connection] = self._elapsed()
        connection.send(next(self._requests))

    def _answered(self, connection: Connection, status: int) -> None:
        elapsed = self._elapsed()
        self._plan.answered(self._left[connection], elapsed, status)
        if self._plan.over(elapsed) or not connection.is_open:
            if not self._finished.done():
                self._finished.set_result(None)
            return
        self._send(connection)
