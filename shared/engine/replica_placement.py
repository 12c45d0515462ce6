"""Which brokers hold which partition: number N of every topic lies on the same ones.

A shard is one partition number of all topics: a reducer reads it here and writes it there. Left to itself, Kafka places each topic
from a broker drawn at random, so the loss of one broker can make a shard's input healthy and its output sick, or the other way round:
then nearly every shard waits. Placed alike, a shard is well or ill as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that can hold replicas, and the rack (availability zone) it stands in, where it says one."""

    number: int
    rack: str | None = None


def replica_placement(partitions: int, replicas: int, brokers: Sequence[Broker]) -> dict[int, list[int]]:
    """Return the numbers of the brokers of each partition, the preferred leader first. The same brokers give the same placement.

    Leaders take turns; the followers of a broker's partitions are spread over all others, so that what it leaves behind is shared. As
    long as there are racks without a replica, the next one goes there. Raises ValueError where there are fewer brokers than replicas.
    """
    if len(brokers) < replicas:
        raise ValueError(f"{replicas} replicas need as many brokers, there are {len(brokers)}")
    ring = _racks_in_turn(brokers)
    return {partition: _brokers_of(partition, replicas, ring) for partition in range(partitions)}


def _racks_in_turn(brokers: Iterable[Broker]) -> list[Broker]:
    """Return the brokers so that neighbours stand in different racks, as far as that goes."""
    by_rack: dict[str, list[Broker]] = defaultdict(list)
    for broker in sorted(brokers, key=lambda one: one.number):
        by_rack[broker.rack or ""].append(broker)
    rows = zip_longest(*(by_rack[rack] for rack in sorted(by_rack)))
    return [broker for row in rows for broker in row if broker is not None]


def _brokers_of(partition: int, replicas: int, ring: Sequence[Broker]) -> list[int]:
    """Return the brokers of one partition."""
    leader = partition % len(ring)
    others = [*ring[leader + 1 :], *ring[:leader]]
    if others:
        start = partition // len(ring) % len(others)
        others = [*others[start:], *others[:start]]
    chosen, racks = [ring[leader]], {ring[leader].rack}
    while len(chosen) < replicas:
        follower = next((one for one in others if one.rack not in racks), others[0])
        others.remove(follower)
        chosen.append(follower)
        racks.add(follower.rack)
    return [broker.number for broker in chosen]


def placement_of(described: Mapping[str, object], partitions: int, replicas: int) -> dict[int, list[int]] | None:
    """Return how a topic that is there already is placed; None where it has another size than the one asked for.

    `described` is a topic as Kafka's metadata gives it: `partitions`, each with its number (`partition`) and brokers (`replicas`).
    """
    found = described["partitions"]
    if not isinstance(found, list):
        raise TypeError("metadata without partitions")
    placement = {int(one["partition"]): [int(number) for number in one["replicas"]] for one in found}
    fits = len(placement) == partitions and all(len(brokers) == replicas for brokers in placement.values())
    return dict(sorted(placement.items())) if fits else None
