"""The arithmetic of load, without I/O and clock: which request is due, which may leave, and how long each took.

In an open loop the customers do not wait for each other: request n is due at n / rate, however slow the answers are. Its latency is
counted from that moment, also where it left later because every connection was busy. A generator that counts from the moment of
leaving, or leaves only after the last answer, hides exactly the slow moments (coordinated omission).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Arrivals:
    """`count` requests, `per_second` a second, the first at once. Moments are seconds since the start."""

    per_second: float
    count: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.count < 1:
            raise ValueError("a load has at least one request, and a rate above 0")

    @property
    def seconds(self) -> float:
        """Return how long the load lasts: the last request is due one interval before."""
        return self.count / self.per_second

    def due_at(self, number: int) -> float:
        """Return when request `number` (0 is the first) is due. Divided, not summed up: nothing drifts."""
        return number / self.per_second

    def due_by(self, elapsed: float) -> int:
        """Return how many requests are due `elapsed` seconds after the start."""
        if elapsed < 0:
            return 0
        number = min(self.count, math.floor(elapsed * self.per_second) + 1)
        # The product may be rounded across a whole number: due_at has the last word.
        if number < self.count and self.due_at(number) <= elapsed:
            return number + 1
        return number - 1 if self.due_at(number - 1) > elapsed else number


def quantile(values: list[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` of them do not exceed (nearest rank); refuses an empty list."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class Answers:
    """What came of the requests so far. Latencies are in seconds; `statuses` counts the HTTP statuses, 0 for a lost connection."""

    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


class OpenLoop:
    """Requests of `arrivals` over `connections` connections, each of which carries one at a time."""

    def __init__(self, arrivals: Arrivals, connections: int) -> None:
        if connections < 1:
            raise ValueError("a load needs a connection")
        self.arrivals = arrivals
        self.answers = Answers()
        self._free = connections
        self._next = 0
        self._waiting: deque[int] = deque()
        self._under_way: set[int] = set()

    @property
    def waiting(self) -> int:
        """Return how many requests are due and have not left."""
        return len(self._waiting)

    @property
    def done(self) -> bool:
        """Return whether every request has its answer."""
        return self._next == self.arrivals.count and not self._waiting and not self._under_way

    def next_at(self) -> float | None:
        """Return when the next request becomes due; None after the last."""
        return self.arrivals.due_at(self._next) if self._next < self.arrivals.count else None

    def leave(self, elapsed: float) -> list[int]:
        """Return the requests that leave now, in their order: those that are due, as far as connections are free."""
        due = self.arrivals.due_by(elapsed)
        self._waiting.extend(range(self._next, due))
        self._next = max(self._next, due)
        leaving = [self._waiting.popleft() for _ in range(min(self._free, len(self._waiting)))]
        self._free -= len(leaving)
        self._under_way.update(leaving)
        self.answers.late.extend(elapsed - self.arrivals.due_at(number) for number in leaving)
        return leaving

    def answered(self, number: int, elapsed: float, status: int) -> None:
        """Take note of the answer to a request that left; its connection is free again."""
        self._under_way.remove(number)
        self._free += 1
        self.answers.latencies.append(elapsed - self.arrivals.due_at(number))
        self.answers.statuses[status] += 1

    def give_up(self, elapsed: float) -> int:
        """End with what has no answer yet; return how many. Their latencies so far count: they would only have become longer."""
        missing = [*self._under_way, *self._waiting, *range(self._next, self.arrivals.count)]
        self.answers.latencies.extend(max(0.0, elapsed - self.arrivals.due_at(number)) for number in missing)
        self._under_way.clear()
        self._waiting.clear()
        self._next = self.arrivals.count
        return len(missing)


class ClosedLoop:
    """As many requests as the connections carry: each sends its next when its last is answered. For finding the most there can be.

    What ends before `warm_up` seconds or after `warm_up` + `seconds` is not counted.
    """

    def __init__(self, *, warm_up: float, seconds: float) -> None:
        self.answers = Answers()
        self._from = warm_up
        self._until = warm_up + seconds

    def over(self, elapsed: float) -> bool:
        """Return whether the time is up."""
        return elapsed >= self._until

    def answered(self, left: float, elapsed: float, status: int) -> None:
        """Take note of an answer at `elapsed` to a request that left at `left`."""
        if self._from <= elapsed < self._until:
            self.answers.latencies.append(elapsed - left)
            self.answers.statuses[status] += 1

    @property
    def per_second(self) -> float:
        """Return the answers per second, of any status."""
        return len(self.answers.latencies) / (self._until - self._from)
