"""The simulated store: the product's store port over memory that outlives its processes, and answers as badly as stores do.

A call may fail before it is done, be done and its answer lost, be done long after its caller has given up, or meet a driver that
repeats a write that was done and is told of a conflict with itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence

from shared.store.memory import MemoryCollection, MemoryData, MemoryStore
from shared.store.port import Collection, CollectionSpec, SaveResult, Scalar, Store, StoredDocument, StoreUnavailableError
from tests.sim.faults import Faults, SaveFate
from tests.sim.loop import Process

SLOW_SECONDS_MAX = 40.0
"""How long a slow save takes: beyond the product's own time-out, so that it may be done after it was given up."""

Saving = Callable[[str, Sequence[StoredDocument], Process], None]
Saved = Callable[[str, Sequence[StoredDocument], SaveResult, Process], None]


class SimulatedStore(Store):
    """The store of one process over `data`. `saving` hears of every save as it is asked for, `saved` at the moment it is done."""

    def __init__(self, data: MemoryData, process: Process, faults: Faults, chance: random.Random, *, saving: Saving, saved: Saved) -> None:
        self._memory = MemoryStore(data)
        self.process = process
        self.faults = faults
        self.chance = chance
        self.saving = saving
        self.saved = saved

    async def open(self, spec: CollectionSpec) -> Collection:
        """Return the collection."""
        await self.faults.cross(self.process, "store opened")
        inner = await self._memory.open(spec)
        return _SimulatedCollection(inner, spec.name, self)

    async def ping(self) -> None:
        """Return: it answers."""

    async def close(self) -> None:
        """Close this process's connection."""


class _SimulatedCollection(Collection):
    """One collection as one process sees it."""

    def __init__(self, inner: MemoryCollection, name: str, store: SimulatedStore) -> None:
        self._inner = inner
        self._name = name
        self._process = store.process
        self._faults = store.faults
        self._chance = store.chance
        self._saving = store.saving
        self._saved = store.saved

    async def load(self, keys: Iterable[str]) -> dict[str, StoredDocument]:
        """Return the documents of `keys`."""
        wanted = list(keys)
        await self._reach("load")
        found = await self._inner.load(wanted)
        await self._faults.cross(self._process, "loaded")
        return found

    async def save(self, changes: Sequence[StoredDocument]) -> SaveResult:
        """Save; the request goes its way even where its caller is gone."""
        self._saving(self._name, changes, self._process)
        await self._reach("save")
        fate = self._faults.save(self._process)
        answer: asyncio.Future[SaveResult] = self._process.loop.create_future()
        seconds = self._chance.uniform(0, SLOW_SECONDS_MAX) if fate is SaveFate.SLOW else self._chance.random() * 0.01
        self._process.loop.at(seconds, self._do_save, list(changes), answer, fate)
        result = await answer
        await self._faults.cross(self._process, "saved")
        if fate is SaveFate.LOST:
            raise StoreUnavailableError("the simulated store's answer was lost")
        return result

    def _do_save(self, changes: list[StoredDocument], answer: asyncio.Future[SaveResult], fate: SaveFate) -> None:
        """Save at the store: no process's doing any more."""
        try:
            self._inner.save(changes).send(None)
        except StopIteration as done:
            result: SaveResult = done.value
        self._saved(self._name, changes, result, self._process)
        if fate is SaveFate.REPEATED and changes:
            result = SaveResult(stale=frozenset({self._chance.choice(changes).key}) | result.stale, duplicate=result.duplicate)
        if not answer.done():
            answer.set_result(result)

    async def delete(self, keys: Iterable[str]) -> None:
        """Forget `keys`."""
        await self._reach("delete")
        await self._inner.delete(keys)

    async def scan(
        self,
        index: str,
        *,
        lower: tuple[Scalar, ...] = (),
        upper: tuple[Scalar, ...] = (),
        limit: int,
        reverse: bool = False,
    ) -> list[StoredDocument]:
        """Return up to `limit` documents of `index`."""
        await self._reach("scan")
        found = await self._inner.scan(index, lower=lower, upper=upper, limit=limit, reverse=reverse)
        await self._faults.cross(self._process, "scanned")
        return found

    async def _reach(self, call: str) -> None:
        """Get through to the store. Raises StoreUnavailableError where it is down."""
        await self._faults.cross(self._process, call)
        if self._faults.store_is_down(self._process):
            await asyncio.sleep(self._chance.uniform(0, 25))
            raise StoreUnavailableError(f"the simulated store does not answer ({call})")
