"""An event loop in virtual time: single-threaded, without sockets, the same run whenever it is run with the same choices.

Every callback belongs to a process (or to the world). A process that is frozen keeps its callbacks until it is woken; one that is
dead never runs again. That is how a crash takes place between any two lines that wait, without a line of the product knowing of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVarTuple

REAPING_ROUNDS_MAX = 20
REAPING_STEPS_MAX = 2_000
"""Callbacks that the tasks of a dead process may take to end themselves before that is called a bug."""

_Ts = TypeVarTuple("_Ts")

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)
"""Whose code is running; None: the world's."""


class Process:
    """One simulated process: its clock, what it runs, and whether it lives.

    `skew` is how far its wall clock is off; `version` the release it runs. Frozen is what SIGSTOP does, dead what SIGKILL does.
    """

    def __init__(self, loop: SimulatedLoop, name: str, *, service: str, instance: str, version: str, skew: timedelta) -> None:
        self.loop = loop
        self.name = name
        self.service = service
        self.instance = instance
        self.version = version
        self.skew = skew
        self.frozen = False
        self.dead = False
        self.stop = asyncio.Event()
        self.parked: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.last_rites: deque[asyncio.Handle] = deque()

    # --- its clock (shared.clock.Clock) ---------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the moment on this process's wall clock, in UTC."""
        return self.loop.wall() + self.skew

    def monotonic_seconds(self) -> float:
        """Return seconds that only grow."""
        return self.loop.time()

    # --- its life -------------------------------------------------------------------------------------------------

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `coroutine` as a task of this process."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        return self.loop.create_task(coroutine, context=context)

    def check_alive(self) -> None:
        """End whoever asks for the world on behalf of a dead process: its tasks are being laid to rest."""
        if self.dead:
            raise asyncio.CancelledError

    def thaw(self) -> None:
        """Go on where it was frozen: what should have happened meanwhile happens now."""
        self.frozen = False
        parked, self.parked = self.parked, []
        for handle in parked:
            self.loop.ready.append((handle, self))

    def kill(self) -> None:
        """End at once. Its tasks are then run to their ends where nothing they do reaches the world, so that nothing is left pending."""
        self.dead = True
        self.frozen = False
        self.last_rites.extend(self.parked)
        self.last_rites.extend(self.loop.hand_over(self))
        self.parked = []
        for _ in range(REAPING_ROUNDS_MAX):
            self.tasks = [task for task in self.tasks if not task.done()]
            if not self.tasks and not self.last_rites:
                return
            for task in self.tasks:
                task.cancel()
            for _ in range(REAPING_STEPS_MAX):
                if not self.last_rites:
                    break
                handle = self.last_rites.popleft()
                if not handle.cancelled():
                    handle._run()
        raise AssertionError(f"{self.name}: {len(self.tasks)} tasks do not end when they are cancelled: {self.tasks[:1]!r}")


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address in memory."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, loop: SimulatedLoop, context: contextvars.Context | None) -> None:
        self._number = loop.next_number()
        self._process = PROCESS.get() if context is None else context.get(PROCESS)
        super().__init__(coroutine, loop=loop, name=f"simulated-{self._number}", context=context)

    def __hash__(self) -> int:
        return self._number

    @property
    def is_of_the_dead(self) -> bool:
        """Return whether its process was killed."""
        return self._process is not None and self._process.dead


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order in which they became ready; where none is, the next timer's moment comes."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._seconds = 0.0
        self._numbers = itertools.count(1)
        self.ready: deque[tuple[asyncio.Handle, Process | None]] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle | asyncio.Future[None], Process | None]] = []
        self.errors: list[dict[str, Any]] = []

    # --- time -----------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._seconds

    def wall(self) -> datetime:
        """Return the true moment, in whole milliseconds; processes see it through their skew."""
        return self._start + timedelta(milliseconds=int(self._seconds * 1000))

    def next_number(self) -> int:
        """Return a number that nothing else in this loop has."""
        return next(self._numbers)

    # --- running --------------------------------------------------------------------------------------------------

    def run_until(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """Run what happens up to a moment; return False where `stop` said, after a callback, that it is enough."""
        while True:
            if self.ready:
                handle, process = self.ready.popleft()
            elif self._timers and self._timers[0][0] <= seconds:
                moment, _, timer, process = heapq.heappop(self._timers)
                if isinstance(timer, asyncio.Future):
                    self._seconds = max(self._seconds, moment)
                    if not timer.done():
                        timer.set_result(None)
                    continue
                if timer.cancelled():
                    continue
                self._seconds = max(self._seconds, moment)
                handle = timer
            else:
                return True
            if handle._cancelled or (process is not None and process.dead):  # cancelled() costs a call
                continue
            if process is not None and process.frozen:
                process.parked.append(handle)
                continue
            handle._run()
            if stop():
                return False

    async def pause(self, seconds: float) -> None:
        """Wait, as asyncio.sleep does, at half its cost: every boundary of a run is one."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self._timers, (self._seconds + seconds, next(self._numbers), future, None))
        await future

    def hand_over(self, process: Process) -> list[asyncio.Handle]:
        """Return what was about to run of `process`; it is run here no more."""
        theirs = [handle for handle, owner in self.ready if owner is process]
        self.ready = deque((handle, owner) for handle, owner in self.ready if owner is not process)
        return theirs

    def call_soon(self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None) -> asyncio.Handle:
        """Run `callback` after what is ready now."""
        if context is None:
            context = contextvars.copy_context()
        process = context.get(PROCESS)
        handle = asyncio.Handle(callback, args, self, context)
        if process is not None and process.dead:
            process.last_rites.append(handle)
        else:
            self.ready.append((handle, process))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback` after `delay` seconds."""
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback` at `when`."""
        if context is None:
            context = contextvars.copy_context()
        process = context.get(PROCESS)
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if process is not None and process.dead:
            process.last_rites.append(handle)
        else:
            heapq.heappush(self._timers, (when, next(self._numbers), handle, process))
        return handle

    def at(self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        """Let the world do something after `delay` seconds, whoever asks for it."""
        self.call_later(delay, callback, *args, context=WORLD)

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run `callback` soon: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    # --- futures and tasks ----------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        """Return a task of whoever is running, or of the one whose `context` is given."""
        del name
        process = PROCESS.get() if context is None else context.get(PROCESS)
        task = _Task(coro, loop=self, context=context)
        if process is not None:
            process.tasks.append(task)
            if len(process.tasks) % 64 == 0:
                process.tasks = [one for one in process.tasks if not one.done()]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught: the run ends with it."""
        future = context.get("future")
        if context.get("exception") is None or (future is not None and (not isinstance(future, _Task) or future.is_of_the_dead)):
            return
        self.errors.append(context)

    # --- what asyncio asks besides --------------------------------------------------------------------------------

    def get_debug(self) -> bool:
        """Return that nothing is traced."""
        return False

    def is_running(self) -> bool:
        """Return that it runs: asked only from inside."""
        return True

    def is_closed(self) -> bool:
        """Return that it is open."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is: it is passed over."""


WORLD = contextvars.Context()
"""The context of the world: no process."""
