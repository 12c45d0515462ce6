"""Services as processes of their own, as they run in production, for the benchmarks that kill or time them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.ports import free_port
from tests.bench.world import CONFIG, ROOT, ApartError, Place

READY_SECONDS_MAX = 90.0
END_SECONDS_MAX = 20.0
LAST_LINES_MAX = 20


@dataclass(slots=True)
class Service:
    """One process of a service: what it owns follows from what it logs."""

    name: str
    instance: str
    place: Place
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    """What is run instead of the plain service."""
    last_lines: list[str] = field(default_factory=list)
    owned: dict[str, list[int]] = field(default_factory=dict)
    """By reducer, the partition numbers of its last assignment."""
    logged_at: dict[str, float] = field(default_factory=dict)
    """By name of a log event, when the process said it last (seconds since 1970)."""
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        """Return the id of the running process."""
        assert self._process is not None  # started
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self.returncode is not None

    @property
    def returncode(self) -> int | None:
        """Return the ended process's exit code."""
        return None if self._process is None else self._process.returncode

    async def wait(self) -> None:
        """Return when the process has ended by itself, or was killed after END_SECONDS_MAX."""
        assert self._process is not None  # started
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        if self._reading is not None:
            await self._reading

    async def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.owned.clear()
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.place.bootstrap,
            "PARLEY_TOPIC_PREFIX": self.place.prefix,
            "PARLEY_PARTITIONS": str(self.place.partitions),
            "PARLEY_DATA_DIRECTORY": str(self.directory),
            "PARLEY_CONFIG_DIRECTORY": str(CONFIG),
            "PARLEY_HEALTH_PORT": str(free_port()),
            "PARLEY_INSTANCE": self.instance,
            **self.settings,
        }
        self._process = await asyncio.create_subprocess_exec(
            *(self.command or (sys.executable, "-m", f"services.{self.name}")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=ROOT,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def owns(self, reducer: str, wanted: Callable[[int], bool], *, seconds: float = READY_SECONDS_MAX) -> list[int]:
        """Return the partitions of `reducer` as soon as their number is `wanted`.

        Raises ApartError where the process ends before, TimeoutError after `seconds`.
        """
        async with asyncio.timeout(seconds):
            while reducer not in self.owned or not wanted(len(self.owned[reducer])):
                if self._reading is None or self._reading.done():
                    raise ApartError(f"{self.name} ended:\n" + "\n".join(self.last_lines))
                self._changed.clear()
                await self._changed.wait()
        return self.owned[reducer]

    async def kill(self) -> None:
        """End the process as a crash would, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the process in good order, or kill it after END_SECONDS_MAX."""
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Take note of what the process logs."""
        assert process.stdout is not None  # asked for
        async for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.last_lines = [*self.last_lines[-LAST_LINES_MAX + 1 :], text]
            said = _json(text)
            self.logged_at[str(said.get("event"))] = time.time()
            if said.get("event") == "partitions.assigned":
                self.owned[said["reducer"]] = said["shards"]
                self._changed.set()
        self._changed.set()


def _json(text: str) -> dict[str, Any]:
    """Return a log line's fields; none where it is no log line."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@asynccontextmanager
async def running_service(service: Service) -> AsyncIterator[Service]:
    """Run `service` until the context is left."""
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
