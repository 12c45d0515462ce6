"""A reducer on bad records: the real batch around the real step, on a store and a log in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from shared.clock import ManualClock
from shared.engine.batch import BatchWork, Outcome
from shared.engine.document import documents_of
from shared.engine.options import LoopOptions
from shared.engine.records import Publication, Record
from shared.engine.reducer import Reducer
from shared.engine.step import Engine
from shared.errors import InvalidEventError
from shared.events.rejected import DeadLetter
from shared.metrics import Metrics
from shared.store.memory import MemoryStore
from shared.store.port import Collection
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.records import NOW, PARTITIONS, RecordMaker, unpacked

DRAW_INPUTS = 5_000
"""After so many inputs hypothesis draws anew."""
TIMERS_MAX = 5
TIMER_DAYS_MAX = 400
DOCUMENTS_MAX = 100


@dataclass(slots=True)
class Log:
    """Keeps what is published."""

    publications: list[Publication] = field(default_factory=list)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Keep `publications`."""
        self.publications += publications


class Reducers:
    """One reducer. `share`: a history costs as much as several webhooks."""

    share = 0.1

    def __init__(self, reducer: Reducer[Any]) -> None:
        self._reducer = reducer
        self._maker = RecordMaker(reducer.inputs)
        self._log = Log()
        self._options = LoopOptions("", "", PARTITIONS, "fuzz", dead_letters_per_minute_max=10**9, documents_cached_max=DOCUMENTS_MAX)
        self._engine = Engine(reducer, partitions=PARTITIONS, version="fuzz")
        self._metrics = Metrics()

    @property
    def name(self) -> str:
        """Return `reducer:<name>`."""
        return f"reducer:{self._reducer.name}"

    def make(self, seed: int, number: int) -> Case:
        """Return history `number`."""
        chance = chance_of(self.name, seed, number)
        history, bad = self._maker.history(chance, seed + number // DRAW_INPUTS)
        return Case(self.name, "history", orjson.dumps(history), {"bad": bad}, seed, number)

    async def carry_out(self, case: Case) -> Ending:
        """Give the history to the reducer as one batch, then let its timers fire."""
        records = unpacked(json.loads(case.body))
        clock = ManualClock(NOW)
        work, collection = await self._anew(clock)
        batch: dict[int, list[Record]] = {}
        for record in records:
            batch.setdefault(record.partition, []).append(record)
        outcome = await work.carry_out(batch)
        self._judge_outcome(outcome, records)
        await self._judge_neighbour(collection, records[-1])
        for _ in range(TIMERS_MAX):
            seconds = work.shards.seconds_to_next_timer(clock.now())
            if seconds is None or seconds > timedelta(days=TIMER_DAYS_MAX).total_seconds():
                break
            clock.advance(timedelta(seconds=seconds))
            self._judge_outcome(await work.carry_out({}), [])
        letters = self._letters(records)
        await self._judge_rules(collection, records, letters)
        bad = records[int(case.parts["bad"])]
        if (bad.topic.name, bad.partition, bad.offset) in letters:
            return Ending.QUARANTINED
        return Ending.EVENTS if await self._applied(collection, bad) else Ending.IGNORED

    async def _anew(self, clock: ManualClock) -> tuple[BatchWork[Any], Collection]:
        """Return the reducer's work with an empty memory and an empty store."""
        self._log.publications = []
        collection = await MemoryStore().open(documents_of(self._reducer.name))
        work = BatchWork(self._engine, collection, self._log, options=self._options, clock=clock, metrics=self._metrics)
        work.shards.own(set(range(PARTITIONS)))
        return work, collection

    @staticmethod
    def _judge_outcome(outcome: Outcome, records: Sequence[Record]) -> None:
        """See that nothing failed or stopped, and that every record is done."""
        for error, shards in outcome.failed:
            raise BrokenPromiseError("crash", f"shards {sorted(shards)} were given back: {type(error).__name__}: {error}") from error
        if outcome.stopped is not None:
            raise BrokenPromiseError("crash", f"the reducer stopped: {outcome.stopped}")
        for record in records:
            if outcome.done.get((record.topic, record.partition), 0) <= record.offset:
                raise BrokenPromiseError("vanished", f"{record.topic.name}/{record.partition}/{record.offset} is not done")

    async def _judge_neighbour(self, collection: Collection, sentinel: Record) -> None:
        """See that the good record of another key took effect."""
        if not await self._applied(collection, sentinel):
            raise BrokenPromiseError("neighbour", "a good record of another key in the same batch took no effect")

    @staticmethod
    async def _applied(collection: Collection, record: Record) -> bool:
        """Return whether the record is in its key's document."""
        key = (record.key or b"").decode("utf-8", "replace")
        stored = (await collection.load({key})).get(key) if key else None
        return stored is not None and orjson.loads(stored.body)["applied"].get(record.topic.name, -1) >= record.offset

    def _letters(self, records: Sequence[Record]) -> set[tuple[str, int, int]]:
        """Return the records that were dead-lettered; each publication is read as whoever consumes it reads it."""
        found: set[tuple[str, int, int]] = set()
        values = {record.value for record in records}
        for one in self._log.publications:
            if one.value in values or (not one.value and None in values):
                continue  # a record on the wrong partition is written again as it is, for its owner to judge
            try:
                event = one.topic.decode(one.value)
            except InvalidEventError as error:
                raise BrokenPromiseError("record", f"a record on {one.topic.name} that nobody can read: {error}") from None
            if event.subject != one.key:
                raise BrokenPromiseError("record", f"a record on {one.topic.name} whose key is not its subject")
            if isinstance(event.data, DeadLetter):
                if event.data.reason != "invalid":
                    raise BrokenPromiseError("rule", f"a valid event made the rule raise: {event.data.error}")
                found.add((event.data.topic, event.data.partition, event.data.offset))
        return found

    async def _judge_rules(self, collection: Collection, records: Sequence[Record], letters: set[tuple[str, int, int]]) -> None:
        """See that no key is parked, and that no good record is among the dead letters."""
        keys = {record.key.decode("utf-8", "replace") for record in records if record.key}
        for stored in (await collection.load(keys)).values():
            parked = orjson.loads(stored.body)["parked"]
            if parked is not None:
                raise BrokenPromiseError("rule", f"a valid event or a timer made the rule raise: {parked}")
        last = records[-1]
        if (last.topic.name, last.partition, last.offset) in letters:
            raise BrokenPromiseError("neighbour", "a good record of another key was dead-lettered")
