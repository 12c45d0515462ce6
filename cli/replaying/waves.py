"""Publishes replays so that the order of a key holds even when a record fails again.

In waves: of each key the first letter alone, and when its reducer has taken it, the following ones, more with every wave. What is sent
behind another letter of its key names it (`replayafter`), and the reducer puts it aside again where that one has failed again: nothing
overtakes, and no wave need wait for the one record before. A key whose letter fails again keeps what was not sent yet where it is.

Why not everything at once: where the bug is still there, every letter would become a letter again, and a burst of them stops a reducer.
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
from cli.replaying.items import Ready, behind
from cli.replaying.letters import Letter, earlier_replay
from shared.engine.placement import partition_of
from shared.engine.records import Publisher
from shared.events.rejected import DeadLetter
from shared.topics import dead_letters_of

TAKE_SECONDS_MAX = 30.0
"""How long a reducer may take to come to a wave: longer than a restart of it."""
POLL_SECONDS = 0.1
GROWTH = 8
"""How many times more of a key each wave takes than the one before, which went well."""
LETTERS_OF_KEY_MAX = 256
"""Letters of one key in one wave: should the first of them fail again, so many become letters again."""
LETTERS_OF_WAVE_MAX = 512
"""From so many on, a wave takes no further key: what a wave puts aside again stays below what stops a reducer."""
PARKED = "parked"
IN_ORDER = frozenset({"decide_failed", PARKED})
"""Letters of these reasons wait for one another; whose records were no events are sent one by one."""
READ_MILLISECONDS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went.

    `taken`; `failed again`; `put aside again` (published behind one that failed again); `not taken` (published, the reducer did not come
    to it); `stays` (not published).
    """

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


@dataclass(slots=True)
class _Queue:
    """What is left of one key, and how much of it the next wave takes."""

    left: deque[Ready]
    next_count: int = 1

    def take(self) -> list[Ready]:
        """Return what the next wave sends: the first as it is, each other one behind the one before it."""
        chain = [self.left.popleft()]
        while self.left and len(chain) < self.next_count and chain[-1].letter.reason in IN_ORDER:
            following = behind(self.left[0], chain[-1].event_ids[0])
            if following is None or following.letter.reason not in IN_ORDER or _topic(following) != _topic(chain[-1]):
                break  # on another topic it could be read first
            self.left.popleft()
            chain.append(following)
        self.next_count = min(self.next_count * GROWTH, LETTERS_OF_KEY_MAX)
        return chain


def _topic(ready: Ready) -> str:
    """Return the topic that the replay goes to."""
    return ready.publications[0].topic.name


async def replay_in_waves(broker: Broker, readies: Sequence[Ready], on_progress: Callable[[int], None]) -> list[Outcome]:
    """Publish the replays of dead letters, given in their order; return how each went.

    Raises BrokerUnavailableError: what was published stays, and the next run finds it.
    """
    queues: dict[tuple[str, str], _Queue] = {}
    for ready in readies:
        queues.setdefault((ready.letter.source, ready.letter.key), _Queue(deque())).left.append(ready)
    outcomes: list[Outcome] = []
    while queues:
        wave: list[Ready] = []
        for queue in queues.values():
            if len(wave) < LETTERS_OF_WAVE_MAX:
                wave += queue.take()
        told = await _wave(broker, wave)
        outcomes += told
        on_progress(len(wave))
        for outcome in told:
            if outcome.kind != "taken":
                queue = queues[outcome.letter.source, outcome.letter.key]
                outcomes += [Outcome(left.letter, "stays", f"the one before it: {outcome.kind}") for left in queue.left]
                on_progress(len(queue.left))
                queue.left.clear()
        # Those that were not in this wave come first in the next one.
        sent = {(ready.letter.source, ready.letter.key) for ready in wave}
        order = sorted(queues, key=lambda key: key in sent)
        queues = {key: queues[key] for key in order if queues[key].left}
    return outcomes


async def _wave(broker: Broker, wave: Sequence[Ready]) -> list[Outcome]:
    """Publish some letters per key, wait until their reducers have come to them, and see which failed again."""
    reducers = sorted({str(ready.letter.reducer) for ready in wave})
    letters_from = await _ends_of_letters(broker, reducers)
    await broker.publisher.publish([publication for ready in wave for publication in ready.publications])
    targets = await broker.consumer.end_offsets(list({broker.place(ready) for ready in wave}))
    late = await _wait(broker, wave, targets)
    failed = await _failed_again(broker, letters_from, {ready.letter.id for ready in wave})
    return [_outcome(ready.letter, failed, late) for ready in wave]


def _outcome(letter: Letter, failed: dict[str, DeadLetter], late: set[str]) -> Outcome:
    again = failed.get(letter.id)
    if again is not None and again.reason == PARKED:
        return Outcome(letter, "put aside again", "the one before it: failed again")
    if again is not None:
        return Outcome(letter, "failed again", again.error)
    if letter.id in late:
        return Outcome(letter, "not taken", f"{letter.reducer} did not come to it within {TAKE_SECONDS_MAX:.0f} s: is it running?")
    return Outcome(letter, "taken")


async def _wait(broker: Broker, wave: Sequence[Ready], targets: dict[TopicPartition, int]) -> set[str]:
    """Wait until every reducer has committed beyond its replays; return the letters it did not come to in time."""
    waiting: dict[tuple[str, TopicPartition], list[str]] = defaultdict(list)
    for ready in wave:
        waiting[str(ready.letter.reducer), broker.place(ready)].append(ready.letter.id)
    deadline = monotonic() + TAKE_SECONDS_MAX
    while waiting and monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        for reducer in sorted({reducer for reducer, _ in waiting}):
            offsets = await broker.admin.list_consumer_group_offsets(broker.connection.prefix + reducer)
            for place in [place for name, place in waiting if name == reducer]:
                if place in offsets and offsets[place].offset >= targets[place]:
                    del waiting[reducer, place]
    return {letter_id for ids in waiting.values() for letter_id in ids}


async def _ends_of_letters(broker: Broker, reducers: Sequence[str]) -> dict[TopicPartition, int]:
    """Return where the dead letters of `reducers` end now."""
    names = [dead_letters_of(reducer).name for reducer in reducers]
    places = [TopicPartition(broker.connection.prefix + name, number) for name in names for number in range(broker.partitions[name])]
    ends: dict[TopicPartition, int] = await broker.consumer.end_offsets(places)
    return ends


async def _failed_again(broker: Broker, starts: dict[TopicPartition, int], letters: set[str]) -> dict[str, DeadLetter]:
    """Return the new letters since `starts` of those of `letters` that have one."""
    consumer = broker.consumer
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(starts))
    news = {place: start for place, start in starts.items() if start < ends[place]}
    failed: dict[str, DeadLetter] = {}
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
                    failed[named] = event.data
    return failed
