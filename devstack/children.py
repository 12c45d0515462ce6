"""Child processes under supervision: prefixed log lines, restart after a crash, and none left behind.

A child runs in a session of its own, so that Ctrl-C in the terminal reaches only us and we choose the order of the end; where the
system can do it (Linux), it dies with us even when we are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.running import EXIT_MISCONFIGURED

STOP_SECONDS_MAX = 15.0
"""How long a child may take to end by itself before it is killed."""
RESTART_BACKOFF_SECONDS = 0.3
RESTART_BACKOFF_SECONDS_MAX = 10.0
LAST_LINES_MAX = 20
_PR_SET_PDEATHSIG = 1

LineSink = Callable[[str, str], None]


@dataclass(slots=True)
class ChildSpec:
    """What to run: the command and what its environment has besides ours. `log_path` gets every line as it is."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log_path: Path | None = None


class Child:
    """One supervised process. It is started again after a crash; not after exit 0 or a misconfiguration."""

    def __init__(self, spec: ChildSpec, *, on_line: LineSink, on_restart: Callable[[str, int], None] | None = None) -> None:
        self.spec = spec
        self.restarts = 0
        self.last_lines: list[str] = []
        self._on_line = on_line
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Return the id of the running process, or None."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def ended(self) -> bool:
        """Return whether the child has ended and will not be started again."""
        return self._supervisor is not None and self._supervisor.done()

    async def start(self) -> None:
        """Start the process and its supervision."""
        self._process = await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise(self._process), name=f"supervise {self.spec.name}")

    def kill(self, *, restart: bool = True) -> int:
        """End the process as a crash would (SIGKILL); supervision starts it again, unless told not to. Returns the id that was killed."""
        self._stopping = self._stopping or not restart
        return self.send_signal(signal.SIGKILL)

    def freeze(self) -> int:
        """Stop the process where it is (SIGSTOP), until `thaw`; returns its id."""
        return self.send_signal(signal.SIGSTOP)

    def thaw(self) -> int:
        """Let a frozen process go on; returns its id."""
        return self.send_signal(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> int:
        """Send a signal; returns the id it went to. Raises ProcessLookupError where nothing runs."""
        if self.pid is None or self._process is None:
            message = f"{self.spec.name} is not running"
            raise ProcessLookupError(message)
        pid = self._process.pid
        self._process.send_signal(number)
        return pid

    async def stop(self) -> None:
        """End the process in good order, or kill it after STOP_SECONDS_MAX; it is not started again."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
                process.send_signal(signal.SIGCONT)  # a frozen process would not hear the other
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._supervisor is not None:
            await self._supervisor

    async def _supervise(self, process: asyncio.subprocess.Process) -> None:
        backoff = RESTART_BACKOFF_SECONDS
        while True:
            await self._pump(process)
            code = await process.wait()
            if self._stopping or code in {0, EXIT_MISCONFIGURED}:
                return
            self.restarts += 1
            if self._on_restart is not None:
                self._on_restart(self.spec.name, code)
            await asyncio.sleep(backoff)
            backoff = min(RESTART_BACKOFF_SECONDS_MAX, backoff * 2)
            if self._stopping:
                return
            self._process = process = await self._spawn()

    async def _pump(self, process: asyncio.subprocess.Process) -> None:
        """Hand on every line that the process writes, until it writes no more."""
        assert process.stdout is not None  # noqa: S101 # asked for in _spawn
        with self.spec.log_path.open("ab") if self.spec.log_path else contextlib.nullcontext() as log:
            while line := await self._read_line(process.stdout):
                if log is not None:
                    log.write(line)
                    log.flush()
                text = line.decode("utf-8", "replace").rstrip("\n")
                self.last_lines = [*self.last_lines[-LAST_LINES_MAX + 1 :], text]
                self._on_line(self.spec.name, text)

    @staticmethod
    async def _read_line(stream: asyncio.StreamReader) -> bytes:
        """Return the next line; one that is longer than the reader's buffer comes in pieces."""
        try:
            return await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            return end.partial
        except asyncio.LimitOverrunError as overrun:
            return await stream.readexactly(overrun.consumed)

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.spec.environment},
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
