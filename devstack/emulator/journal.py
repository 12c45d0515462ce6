"""The log of everything that happened at the channels' side, and the counts that outlive it.

Entries are plain dictionaries with a growing `cursor`; the oldest are forgotten beyond a named bound, the counts never are.
Whoever waits for something (a test, the demo) waits here instead of sleeping.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack.emulator.clock import EmulatorClock

Entry = dict[str, Any]
LOG_ENTRIES_MAX = 50_000
PAGE_ENTRIES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in order. `cursor` is the last one looked at (pass it as `after`); `lost` says how many were forgotten unseen."""

    entries: list[Entry]
    cursor: int
    lost: int = 0


@dataclass
class Journal:
    """An append-only, bounded log with counts and waiting."""

    clock: EmulatorClock
    entries_max: int = LOG_ENTRIES_MAX
    counts: Counter[str] = field(default_factory=Counter)
    _entries: list[Entry] = field(default_factory=list)
    _first_cursor: int = 1
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def last_cursor(self) -> int:
        """Return the cursor of the newest entry, 0 before the first."""
        return self._first_cursor + len(self._entries) - 1

    def append(self, kind: str, /, **fields: Any) -> Entry:
        """Write one entry and wake whoever waits."""
        entry: Entry = {"cursor": self.last_cursor + 1, "at": self.clock.real_now().isoformat(), "kind": kind, **fields}
        self._entries.append(entry)
        # Trimmed by halves: deleting from the front of a list costs its length, so it is done rarely.
        if len(self._entries) >= 2 * self.entries_max:
            forgotten = len(self._entries) - self.entries_max
            del self._entries[:forgotten]
            self._first_cursor += forgotten
        self.wake()
        return entry

    def count(self, *names: str) -> None:
        """Add one to each of `names`."""
        for name in names:
            self.counts[name] += 1

    def page(self, after: int, filters: Mapping[str, str], limit: int = PAGE_ENTRIES_MAX) -> Page:
        """Return up to `limit` entries after the cursor `after` whose fields equal `filters` (compared as strings)."""
        start = max(0, after + 1 - self._first_cursor)
        lost = max(0, self._first_cursor - 1 - after)
        found: list[Entry] = []
        cursor = max(after, self._first_cursor - 1)
        for entry in self._entries[start:] if start else self._entries:
            cursor = entry["cursor"]
            if all(str(entry.get(name)) == value for name, value in filters.items()):
                found.append(entry)
                if len(found) == limit:
                    break
        return Page(found, cursor, lost)

    async def page_when_any(self, after: int, filters: Mapping[str, str], *, limit: int, within_seconds: float) -> Page:
        """Return as `page`, waiting up to `within_seconds` until there is at least one entry."""
        page = self.page(after, filters, limit)
        lost = page.lost

        def found() -> bool:
            nonlocal page
            page = self.page(page.cursor, filters, limit)
            return bool(page.entries)

        if not page.entries:
            await self.until(found, within_seconds=within_seconds)
        return Page(page.entries, page.cursor, lost)

    async def until(self, condition: Callable[[], bool], *, within_seconds: float) -> bool:
        """Wait until `condition` holds, looking again after each entry or `wake`; False when the time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_seconds
        while not condition():
            remaining = deadline - loop.time()
            if remaining <= 0:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            await asyncio.wait([waiter], timeout=remaining)
        return True

    def wake(self) -> None:
        """Let everyone who waits look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
