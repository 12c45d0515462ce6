"""The judge: whatever the input, it ends well, soon, in little memory, alone, and without a word of it in a log line.

A target carries an input out and says how it ended; what it can see by itself (a status 500, a neighbour that is missing) it reports
by BrokenPromiseError. Time, memory and log lines are judged here, the same way for all.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import tracemalloc
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tests.fuzz.canaries import leaks
from tests.fuzz.cases import Case
from tests.fuzz.logs import Captured

CPU_SECONDS_MAX = 1.0
"""Longest that one input may hold the processor; a busy machine does not lengthen it, as it would a wait by the clock."""
ENDLESS_SECONDS = 10.0
"""Processor seconds after which an input is stopped: it might never end."""
WALL_SECONDS_MAX = 60.0
"""Longest wait for an input to end at all: far above anything that only a busy machine explains."""
MEMORY_FACTOR_MAX = 10
"""What one input may cost in memory at its highest, as a multiple of its size."""
MEMORY_SMALL_FACTOR_MAX = 100
MEMORY_BASE_BYTES = 1024 * 1024
MEMORY_FLOOR_BYTES = 24 * 1024 * 1024
"""What a small input may cost beyond that: some memory at all, a hundred times its size (an event has an envelope and fields that a
short message has not), but no more than this, which is less than ten times the largest webhook."""
MEMORY_EVERY = 50
"""Every so manieth input, and each large one, has its memory watched: watching is slow."""
LARGE_BYTES = 200_000
LINE_CHARACTERS_SHOWN = 500
CRASH_CHARACTERS_SHOWN = 2_000


class Ending(StrEnum):
    """How an input ended: all of these are good."""

    EVENTS = "events"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


class BrokenPromiseError(Exception):
    """An input did what none may do. `rule` is the promise's short name, `detail` what was seen."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class Target(Protocol):
    """One parser or consumer under test."""

    @property
    def name(self) -> str:
        """Return its name, such as `webhooks:<channel>` or `reducer:<name>`."""
        ...

    @property
    def share(self) -> float:
        """Return how many inputs it gets of what a channel's parser gets (1.0): some cost a thousand times more."""
        ...

    def make(self, seed: int, number: int) -> Case:
        """Return input `number` of the run with `seed`: always the same."""
        ...

    async def carry_out(self, case: Case) -> Ending:
        """Do with the case what the service does. Raises BrokenPromiseError."""
        ...


class _Endless(BaseException):  # a signal's exception, as KeyboardInterrupt is: no handler of the code under test takes it
    """The processor was held for so long that nobody waits for the end."""


@dataclass(slots=True)
class Judge:
    """Judges inputs one by one. `captured` is where all log lines go meanwhile. Use in the main thread: it sets a timer signal."""

    captured: Captured
    cpu_seconds_max: float = CPU_SECONDS_MAX
    endless_seconds: float = ENDLESS_SECONDS
    wall_seconds_max: float = WALL_SECONDS_MAX

    async def judge(self, target: Target, case: Case, *, watch_memory: bool = False) -> Ending:
        """Return how `case` ended. Raises BrokenPromiseError."""
        self.captured.take()
        started = time.process_time()
        ending = await self._ended(target, case)
        seconds = time.process_time() - started
        found = leaks(self.captured.take())
        if found:
            raise BrokenPromiseError("log", f"a log line repeats what was planted: {found[0][:LINE_CHARACTERS_SHOWN]}")
        if seconds > self.cpu_seconds_max:
            raise BrokenPromiseError("hang", f"{seconds:.2f} s of the processor")
        if watch_memory or len(case.body) >= LARGE_BYTES:
            await self._weigh(target, case)
            self.captured.take()
        return ending

    async def _ended(self, target: Target, case: Case) -> Ending:
        """Return how the case ended, whatever was raised on the way."""
        before = signal.signal(signal.SIGPROF, _give_up)
        signal.setitimer(signal.ITIMER_PROF, self.endless_seconds)
        try:
            async with asyncio.timeout(self.wall_seconds_max):
                return await target.carry_out(case)
        except BrokenPromiseError:
            raise
        except _Endless:
            raise BrokenPromiseError("hang", f"no end after {self.endless_seconds:g} s of the processor") from None
        except TimeoutError:
            raise BrokenPromiseError("hang", f"no end after {self.wall_seconds_max:g} s") from None
        except Exception as error:
            raise BrokenPromiseError("crash", f"{type(error).__name__}: {error}"[:CRASH_CHARACTERS_SHOWN]) from error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    async def _weigh(self, target: Target, case: Case) -> None:
        """Carry the case out once more and watch its memory; the second time, so that what is made only once is made."""
        allowed = memory_allowed(int(case.parts.get("size", len(case.body))))
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await target.carry_out(case)
            used = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        if used > allowed:
            raise BrokenPromiseError("memory", f"{used} bytes for an input of {len(case.body)}; {allowed} are allowed")


def memory_allowed(size: int) -> int:
    """Return how many bytes of memory an input of `size` bytes (uncompressed) may cost at its highest."""
    return max(MEMORY_FACTOR_MAX * size, min(MEMORY_FLOOR_BYTES, MEMORY_BASE_BYTES + MEMORY_SMALL_FACTOR_MAX * size))


def _give_up(_number: int, _frame: object) -> None:
    raise _Endless
