"""Puts events into the order of a story: what caused something stands before it, and otherwise what was written first. Pure."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

from cli.tracing.find import Found
from shared.events.rejected import DeadLetter

Moment = tuple[int, str, int, int]


def in_order(found: Sequence[Found]) -> list[Found]:
    """Return `found` with causes before effects; among those that do not depend on each other by the time they were written.

    A cause is the event that an event names as its cause, the one before it on the same topic and partition under the same key, and
    the record of a dead letter. Records that form a circle (which nobody of ours writes) come last, by time.
    """
    causes = _causes(found)
    effects: dict[int, list[int]] = defaultdict(list)
    missing = {number: len(known) for number, known in causes.items()}
    for number, known in causes.items():
        for cause in known:
            effects[cause].append(number)
    ready = [(_moment(found[number]), number) for number in range(len(found)) if not missing[number]]
    heapq.heapify(ready)
    ordered: list[int] = []
    while ready:
        _, number = heapq.heappop(ready)
        ordered.append(number)
        for effect in effects[number]:
            missing[effect] -= 1
            if not missing[effect]:
                heapq.heappush(ready, (_moment(found[effect]), effect))
    told = set(ordered)
    rest = sorted((number for number in range(len(found)) if number not in told), key=lambda number: _moment(found[number]))
    return [found[number] for number in [*ordered, *rest]]


def _causes(found: Sequence[Found]) -> dict[int, set[int]]:
    """Return for each event, by its position, the positions of those that come before it whatever the clocks say."""
    by_id: dict[str, int] = {}
    by_place: dict[tuple[str, int, int], int] = {}
    for number, one in enumerate(found):
        by_place[one.record.topic.name, one.record.partition, one.record.offset] = number
        if one.event is not None:
            by_id.setdefault(one.event.id, number)
    causes: dict[int, set[int]] = {number: set() for number in range(len(found))}
    last: dict[tuple[str, int, bytes | None], int] = {}
    for (topic, partition, _), number in sorted(by_place.items()):
        queue = (topic, partition, found[number].record.key)
        if queue in last:
            causes[number].add(last[queue])
        last[queue] = number
        event = found[number].event
        named = [] if event is None else [by_id.get(event.causationid or ""), by_id.get(event.replayof or "")]
        if event is not None and isinstance(event.data, DeadLetter):
            named.append(by_place.get((event.data.topic, event.data.partition, event.data.offset)))
        causes[number].update(cause for cause in named if cause is not None and cause != number)
    return causes


def _moment(found: Found) -> Moment:
    record = found.record
    return record.timestamp_milliseconds, record.topic.name, record.partition, record.offset
