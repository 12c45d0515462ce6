"""What the services' metrics said during a run: sampled, because a process that is killed takes its counters with it."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from devstack.stack import Stack

SAMPLE_SECONDS = 1.0
ANSWER_SECONDS_MAX = 2.0
_LINE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$")
HELD = ("parley_lag_seconds", "parley_clock_skew_seconds", "parley_loop_lag_seconds")
"""Gauges of which the largest and the smallest value are kept."""


def parse(text: str) -> dict[tuple[str, str], float]:
    """Return the samples of an exposition by name and labels."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            found[match[1], match[2] or ""] = float(match[3])
    return found


@dataclass(slots=True)
class Gauges:
    """Samples of all processes. Counters are added up over the lives of a process."""

    stack: Stack
    session: aiohttp.ClientSession
    _last: dict[tuple[str, int], dict[tuple[str, str], float]] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    lowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    async def sample(self) -> None:
        """Look at every process that answers."""
        await asyncio.gather(*(self._sample(name, port) for name, port in list(self.stack.health_ports.items())))

    async def sample_for_ever(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def forget_extremes(self) -> None:
        """Begin anew to look for the highest and lowest values."""
        self.highest.clear()
        self.lowest.clear()

    def total(self, counter: str, *, labels: str = "", process: str = "") -> float:
        """Return a counter over all processes and their lives; `labels` must be part of the sample's, `process` of its name."""
        return sum(
            value
            for (name, _), samples in self._last.items()
            for (metric, found), value in samples.items()
            if metric == counter and labels in found and name.startswith(process)
        )

    async def probe(self, process: str, path: str) -> tuple[int, str]:
        """Return status and text of a probe; 0 where nobody answers."""
        try:
            async with self.session.get(f"http://127.0.0.1:{self.stack.health_ports[process]}{path}") as answer:
                return answer.status, (await answer.text()).strip()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, "no answer"

    async def _sample(self, name: str, port: int) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
            async with self.session.get(f"http://127.0.0.1:{port}/metrics", timeout=timeout) as answer:
                found = parse(await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # killed, frozen, starting: there will be another sample
        child = self.stack.children.get(name)
        if child is None or child.pid is None:
            return
        self._last[name, child.pid] = found
        self._note_extremes(found)

    def _note_extremes(self, found: Mapping[tuple[str, str], float]) -> None:
        for (metric, _), value in found.items():
            if metric in HELD:
                self.highest[metric] = max(self.highest[metric], value)
                self.lowest[metric] = min(self.lowest[metric], value)
