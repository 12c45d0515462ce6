"""Who may start now: one at a time per thread, in order, and not more than a bound at once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Sequencer(Generic[P, K, T]):
    """Queues of items, one per place and key (a partition and a thread).

    The first item of a key starts when fewer than `active_max` keys are active, in the order in which keys became ready; the
    next item of a key starts after the one before it finished. Nothing here waits: the caller asks what may start.
    """

    def __init__(self, active_max: int) -> None:
        if active_max < 1:
            raise ValueError("at least one key must be able to be active")
        self._active_max = active_max
        self._queues: dict[tuple[P, K], deque[T]] = {}
        self._ready: deque[tuple[P, K]] = deque()
        self._active: set[tuple[P, K]] = set()
        self._held: Counter[P] = Counter()

    @property
    def active(self) -> int:
        """Return how many keys are being worked on."""
        return len(self._active)

    def held(self, place: P) -> int:
        """Return how many items of `place` wait or are being worked on."""
        return self._held[place]

    def add(self, place: P, key: K, item: T) -> None:
        """Queue `item` behind what its key has."""
        name = (place, key)
        self._held[place] += 1
        queue = self._queues.get(name)
        if queue is None:
            self._queues[name] = deque((item,))
            if name not in self._active:
                self._ready.append(name)
        else:
            queue.append(item)

    def start(self) -> list[tuple[P, K, T]]:
        """Return the items that start now, at most one per key; each must be ended by `finish`."""
        started: list[tuple[P, K, T]] = []
        while self._ready and len(self._active) < self._active_max:
            name = self._ready.popleft()
            queue = self._queues.get(name)
            if queue is None:
                continue
            item = queue.popleft()
            if not queue:
                del self._queues[name]
            self._active.add(name)
            started.append((*name, item))
        return started

    def finish(self, place: P, key: K) -> None:
        """Take note that the key's active item ended; raises KeyError where none is active."""
        name = (place, key)
        self._active.remove(name)
        self._release(place, 1)
        if name in self._queues:
            self._ready.append(name)

    def drop(self, place: P) -> int:
        """Forget the items of `place` that have not started; return how many. The active ones still have to be finished."""
        names = [name for name in self._queues if name[0] == place]
        dropped = sum(len(self._queues.pop(name)) for name in names)
        self._ready = deque(name for name in self._ready if name[0] != place)
        self._release(place, dropped)
        return dropped

    def _release(self, place: P, count: int) -> None:
        self._held[place] -= count
        if not self._held[place]:
            del self._held[place]
