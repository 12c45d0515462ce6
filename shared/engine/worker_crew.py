"""The tasks of a worker: who handles what, what is finished, what failed. Knows nothing of Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from shared.engine.records import Record
from shared.engine.worker_job import Handler, Job, WorkAbandonedError
from shared.engine.worker_offsets import OffsetTracker
from shared.engine.worker_sequencer import Sequencer
from shared.errors import RecoverableError

ATTEMPTS_MAX = 3
"""How often a record may fail for another reason than that something is down, before it is put aside."""


class Place(NamedTuple):
    """A partition of a topic (the name without the prefix)."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A place where handling failed and nothing is under way any more: read it again from `offset`."""

    place: Place
    offset: int
    error: Exception


@dataclass(slots=True)
class _Station:
    """What is in hand of one place since it was read from its beginning or from a seek."""

    tracker: OffsetTracker = field(default_factory=OffsetTracker)
    jobs: dict[asyncio.Task[None], Job] = field(default_factory=dict)
    error: Exception | None = None

    def let_go(self) -> None:
        """Tell every job to end: at once where it only waits, after what it holds where it holds something."""
        for task, job in self.jobs.items():
            job.leaving = True
            if not job.held:
                task.cancel()


class Crew:
    """Runs a handler over records, one task per record, ordered per key and bounded in number."""

    def __init__(self, handler: Handler, *, active_max: int) -> None:
        self._handler = handler
        self._sequencer: Sequencer[Place, bytes | None, tuple[_Station, Record]] = Sequencer(active_max)
        self._stations: dict[Place, _Station] = {}
        self._attempts: Counter[tuple[Place, int]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False
        self.changed = asyncio.Event()
        """Set whenever a record ended: there may be something to commit, to read or to give back."""

    @property
    def active(self) -> int:
        """Return how many records are being handled."""
        return self._sequencer.active

    def held(self, place: Place) -> int:
        """Return how many records of `place` wait or are being handled."""
        return self._sequencer.held(place)

    def positions(self) -> dict[Place, int]:
        """Return the offset per place that may be committed."""
        return {place: position for place, station in self._stations.items() if (position := station.tracker.position) is not None}

    def take(self, records: Iterable[Record]) -> None:
        """Queue records as they were read. Those of a place that failed or is leaving are ignored: they will be read again."""
        if self._leaving:
            return
        for record in records:
            place = Place(record.topic.name, record.partition)
            station = self._stations.setdefault(place, _Station())
            if station.error is None and station.tracker.add(record.offset):
                self._sequencer.add(place, record.key, (station, record))
        self._start()

    def given_back(self) -> list[GivenBack]:
        """Return the places whose handling failed and has come to rest, and forget them."""
        rested = [(place, station) for place, station in self._stations.items() if station.error is not None and not station.jobs]
        given_back: list[GivenBack] = []
        for place, station in rested:
            del self._stations[place]
            position = station.tracker.position
            if position is not None and station.error is not None:
                given_back.append(GivenBack(place, position, station.error))
        return given_back

    async def let_go(self, timeout_seconds: float) -> int:
        """Take nothing more, drop what has not started, end what only waits, and wait for what must be seen through.

        Returns how many jobs were not through in time. They go on, but what they do counts for nobody here: the record's next
        owner finds what they leave behind.
        """
        self._leaving = True
        tasks: set[asyncio.Task[None]] = set()
        for place, station in self._stations.items():
            self._sequencer.drop(place)
            station.let_go()
            tasks |= station.jobs.keys()
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
        return len(late)

    def forget(self) -> None:
        """Begin anew: what is read next may come from anywhere."""
        self._stations = {}
        self._attempts.clear()
        self._leaving = False

    async def cancel(self) -> None:
        """End every job, whatever it does: the process is about to end."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        """Start what may start now."""
        for place, key, (station, record) in self._sequencer.start():
            job = Job()
            task = asyncio.create_task(self._work(place, station, record, job))
            station.jobs[task] = job
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, place=place, key=key, station=station))

    def _ended(self, task: asyncio.Task[None], *, place: Place, key: bytes | None, station: _Station) -> None:
        """Let the next record of the key start."""
        del station.jobs[task]
        self._tasks.discard(task)
        self._sequencer.finish(place, key)
        self._start()
        self.changed.set()

    async def _work(self, place: Place, station: _Station, record: Record, job: Job) -> None:
        """Handle one record."""
        try:
            await self._handler.handle(record, job)
        except WorkAbandonedError:
            return
        except RecoverableError as error:
            self._fail(place, station, error)
            return
        except Exception as error:  # noqa: BLE001 # kept in the station and reported by the worker, or put aside by the handler
            if not await self._gave_up(place, station, record, error):
                return
        self._attempts.pop((place, record.offset), None)
        station.tracker.done(record.offset)

    async def _gave_up(self, place: Place, station: _Station, record: Record, error: Exception) -> bool:
        """Return whether the record is put aside, after it failed often enough for reasons of its own."""
        self._attempts[place, record.offset] += 1
        attempts = self._attempts[place, record.offset]
        if attempts < ATTEMPTS_MAX:
            self._fail(place, station, error)
            return False
        try:
            await self._handler.give_up(record, error, attempts)
        except Exception as failure:  # noqa: BLE001 # kept in the station and reported by the worker
            self._fail(place, station, failure)
            return False
        return True

    def _fail(self, place: Place, station: _Station, error: Exception) -> None:
        """Stop the place: nothing of it starts any more, what waits ends, what must be seen through is."""
        if station.error is None:
            station.error = error
            if self._stations.get(place) is station:
                self._sequencer.drop(place)
            station.let_go()
