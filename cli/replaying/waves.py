"""Publishes replays so that the order of a key holds even when a record fails again.

One letter of each key at a time: it is published, its reducer comes to it, and only when it did not go to the dead letters again is
the next one published. A key whose letter fails again keeps its successors where they are.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from cli.connection import Connection
from cli.replaying.items import Ready
from cli.replaying.letters import Letter, earlier_replay
from shared.engine.placement import partition_of
from shared.engine.records import Publisher
from shared.events.rejected import DeadLetter
from shared.topics import dead_letters_of

TAKE_SECONDS_MAX = 30.0
"""How long a reducer may take to come to a wave: longer than a restart of it."""
POLL_SECONDS = 0.1
READ_MILLISECONDS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went: `taken`, `failed again`, `not taken` (published, the reducer did not come to it), `stays` (not published)."""

    letter: Letter
    kind: str
    words: str = ""


@dataclass(slots=True)
class Broker:
    """What the waves work with."""

    connection: Connection
    publisher: Publisher
    consumer: AIOKafkaConsumer
    admin: AIOKafkaAdminClient
    partitions: dict[str, int]
    """Per topic without the prefix."""

    def place(self, ready: Ready) -> TopicPartition:
        """Return where the replay of a dead letter goes."""
        publication = ready.publications[0]
        partition = partition_of(publication.key.encode(), self.partitions[publication.topic.name])
        return TopicPartition(self.connection.prefix + publication.topic.name, partition)


async def replay_in_waves(broker: Broker, readies: Sequence[Ready], on_progress: Callable[[int], None]) -> list[Outcome]:
    """Publish the replays of dead letters, given in their order; return how each went.

    Raises BrokerUnavailableError: what was published stays, and the next run finds it.
    """
    queues: dict[tuple[str, str], deque[Ready]] = defaultdict(deque)
    for ready in readies:
        queues[ready.letter.source, ready.letter.key].append(ready)
    outcomes: list[Outcome] = []
    while queues:
        wave = [queue.popleft() for queue in queues.values()]
        told = await _wave(broker, wave)
        for ready, outcome in zip(wave, told, strict=True):
            outcomes.append(outcome)
            queue = queues[ready.letter.source, ready.letter.key]
            if outcome.kind != "taken":
                outcomes += [Outcome(left.letter, "stays", f"the one before it: {outcome.kind}") for left in queue]
                on_progress(len(queue))
                queue.clear()
            if not queue:
                del queues[ready.letter.source, ready.letter.key]
        on_progress(len(wave))
    return outcomes


async def _wave(broker: Broker, wave: Sequence[Ready]) -> list[Outcome]:
    """Publish one letter per key, wait until their reducers have come to them, and see which failed again."""
    reducers = sorted({str(ready.letter.reducer) for ready in wave})
    letters_from = await _ends_of_letters(broker, reducers)
    await broker.publisher.publish([publication for ready in wave for publication in ready.publications])
    targets = await broker.consumer.end_offsets(list({broker.place(ready) for ready in wave}))
    late = await _wait(broker, wave, targets)
    failed = await _failed_again(broker, letters_from, {ready.letter.id for ready in wave})
    return [_outcome(ready.letter, failed, late) for ready in wave]


def _outcome(letter: Letter, failed: dict[str, str], late: set[str]) -> Outcome:
    if letter.id in failed:
        return Outcome(letter, "failed again", failed[letter.id])
    if letter.id in late:
        return Outcome(letter, "not taken", f"{letter.reducer} did not come to it within {TAKE_SECONDS_MAX:.0f} s: is it running?")
    return Outcome(letter, "taken")


async def _wait(broker: Broker, wave: Sequence[Ready], targets: dict[TopicPartition, int]) -> set[str]:
    """Wait until every reducer has committed beyond its replays; return the letters it did not come to in time."""
    waiting = {ready.letter.id: ready for ready in wave}
    deadline = monotonic() + TAKE_SECONDS_MAX
    while waiting and monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        for reducer in sorted({str(ready.letter.reducer) for ready in waiting.values()}):
            offsets = await broker.admin.list_consumer_group_offsets(broker.connection.prefix + reducer)
            for letter_id, ready in list(waiting.items()):
                place = broker.place(ready)
                if str(ready.letter.reducer) == reducer and place in offsets and offsets[place].offset >= targets[place]:
                    del waiting[letter_id]
    return set(waiting)


async def _ends_of_letters(broker: Broker, reducers: Sequence[str]) -> dict[TopicPartition, int]:
    """Return where the dead letters of `reducers` end now."""
    names = [dead_letters_of(reducer).name for reducer in reducers]
    places = [TopicPartition(broker.connection.prefix + name, number) for name in names for number in range(broker.partitions[name])]
    ends: dict[TopicPartition, int] = await broker.consumer.end_offsets(places)
    return ends


async def _failed_again(broker: Broker, starts: dict[TopicPartition, int], letters: set[str]) -> dict[str, str]:
    """Return which of `letters` have a new letter since `starts`, with its error."""
    consumer = broker.consumer
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(starts))
    news = {place: start for place, start in starts.items() if start < ends[place]}
    failed: dict[str, str] = {}
    if not news:
        return failed
    consumer.assign(list(news))
    for place, start in news.items():
        consumer.seek(place, start)
    codec = dead_letters_of("any")
    while any([await consumer.position(place) < ends[place] for place in news]):
        fetched = await consumer.getmany(timeout_ms=READ_MILLISECONDS)
        for records in fetched.values():
            for record in records:
                event = codec.decode(record.value or b"")
                named = earlier_replay(event)
                if named in letters and isinstance(event.data, DeadLetter):
                    failed[named] = event.data.error
    return failed
