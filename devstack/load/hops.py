"""Where the time of a message goes: the way of every answered question, from the topics, cut at each service.

Each service leaves two moments on the log: an event's `time`, when it was decided, and its record's timestamp, when it was written
(after the save). So what a service does and what lies between two services can be told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from devstack.load.requests import Script
from devstack.stack import Stack
from shared.engine.follower import Follower, Seen
from shared.events.commands import Reply
from shared.events.conversations import MessageAppended, ReplyApproved
from shared.events.deliveries import SendAccepted
from shared.events.inbound import MessageReceived
from shared.events.sends import SendRequested
from shared.topics import COMMANDS, CONVERSATIONS, DELIVERIES, INBOUND, SENDS

MILLISECONDS = 1000
STATIONS: tuple[tuple[str, type[Any]], ...] = (
    ("ingest", MessageReceived),
    ("router appends", MessageAppended),
    ("bot answers", Reply),
    ("router approves", ReplyApproved),
    ("sla permits", SendRequested),
    ("outbound tells", SendAccepted),
)
"""Who decides what on the way of a message; each is the cause of the next."""


@dataclass(slots=True)
class _Way:
    """The moments of one message, in seconds since 1970: decided and written per station."""

    decided: dict[str, float] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)


async def hops(stack: Stack, script: Script) -> dict[str, list[float]]:
    """Return, per part of the way, the milliseconds that the answered questions of `script` spent there."""
    own = {script.customer(number).bsuid for number in range(script.customers)}
    by_id: dict[str, Seen] = {}
    async with Follower(stack.bootstrap_servers, stack.topic_prefix, (INBOUND, CONVERSATIONS, COMMANDS, SENDS, DELIVERIES)) as follower:
        async for seen in follower.read_to_end():
            by_id.update((one.event.id, one) for one in seen if one.event is not None and one.event.subject.rsplit(":", 1)[1] in own)
    ways = [way for one in by_id.values() if (way := _way(one, by_id)) is not None]
    return _parts(ways)


def _way(last: Seen, by_id: dict[str, Seen]) -> _Way | None:
    """Return the way that ended with `last`, or None where it is no end or the causes lead elsewhere."""
    way = _Way()
    one: Seen | None = last
    for name, kind in reversed(STATIONS):
        if one is None or one.event is None or not isinstance(one.event.data, kind):
            return None
        data = one.event.data
        moment = data.received_at if isinstance(data, MessageReceived) else data.at if isinstance(data, SendAccepted) else one.event.time
        way.decided[name] = moment.timestamp()
        way.written[name] = one.record.timestamp_milliseconds / MILLISECONDS
        one = by_id.get(one.event.causationid or "")
    return way


def _parts(ways: Iterable[_Way]) -> dict[str, list[float]]:
    parts: dict[str, list[float]] = defaultdict(list)
    for way in ways:
        previous: str | None = None
        for name, _ in STATIONS:
            if previous is not None:
                parts[f"{previous} → {name}"].append((way.decided[name] - way.written[previous]) * MILLISECONDS)
            if name != STATIONS[-1][0]:
                parts[f"{name}: decided → written"].append((way.written[name] - way.decided[name]) * MILLISECONDS)
            previous = name
    return dict(parts)
