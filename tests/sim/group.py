"""A consumer group as Kafka's coordinator runs it: static members, generations, eager rebalances, range assignment, fenced commits.

The rules are those of the group protocol (apache/kafka, group coordinator, 4.x) as far as aiokafka's client meets them: a restarted
static member takes its predecessor's place without a rebalance and fences it; a silent one is removed after its session; a rebalance
waits for every member up to its time-out; a commit counts only from a present member of the present generation.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from tests.sim.log import Log

if TYPE_CHECKING:
    from tests.sim.consumer import SimulatedConsumer

HEARTBEAT_SECONDS = 3.0
SESSION_SECONDS = 45.0
REBALANCE_SECONDS = 60.0
ANSWER_SECONDS = 0.05


@dataclass(slots=True)
class _Member:
    """One instance of the group and the consumer that speaks for it now."""

    consumer: SimulatedConsumer
    joining: asyncio.Future[tuple[int, set[TopicPartition]]] | None = None
    assigned: set[TopicPartition] = field(default_factory=set)


class Group:
    """One consumer group. `committed` hears of every commit that counts: (group, before, offsets)."""

    def __init__(
        self,
        name: str,
        log: Log,
        chance: random.Random,
        *,
        committed: Callable[[str, Mapping[TopicPartition, int], Mapping[TopicPartition, int]], None],
    ) -> None:
        self.name = name
        self.generation = 0
        self.offsets: dict[TopicPartition, int] = {}
        self._topics: tuple[str, ...] = ()
        self._log = log
        self._chance = chance
        self._committed = committed
        self._members: dict[str, _Member] = {}
        self._rebalancing = False
        self._round = 0

    # --- what members ask -------------------------------------------------------------------------------------------

    async def join(self, consumer: SimulatedConsumer, topics: tuple[str, ...]) -> tuple[int, set[TopicPartition]]:
        """Return the generation and the assignment, when the group has settled."""
        self._topics = topics
        member = self._members.get(consumer.instance)
        answer: asyncio.Future[tuple[int, set[TopicPartition]]] = consumer.process.loop.create_future()
        if member is not None and member.consumer is not consumer and not self._rebalancing:
            member.consumer = consumer
            return self.generation, set(member.assigned)
        if member is None:
            member = self._members[consumer.instance] = _Member(consumer)
        member.consumer = consumer
        member.joining = answer
        if self._rebalancing:
            self._complete_if_all_joined()
        else:
            self.rebalance()
        return await answer

    def commit(self, consumer: SimulatedConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep `offsets`. Raises CommitFailedError for a fenced, removed or outdated member."""
        member = self._members.get(consumer.instance)
        if member is None or member.consumer is not consumer or consumer.generation != self.generation:
            raise CommitFailedError(f"{self.name}: not a member of generation {self.generation}")
        self._committed(self.name, self.offsets, offsets)
        self.offsets.update(offsets)

    def is_member(self, consumer: SimulatedConsumer) -> bool:
        """Return whether the group still counts on this consumer."""
        member = self._members.get(consumer.instance)
        return member is not None and member.consumer is consumer

    @property
    def instances(self) -> list[str]:
        """Return who is in the group."""
        return sorted(self._members)

    # --- what happens to it -----------------------------------------------------------------------------------------

    def rebalance(self) -> None:
        """Let everybody join anew; who does not come in time is removed."""
        if self._rebalancing or not self._members:
            return
        self._rebalancing = True
        self._round += 1
        for member in self._members.values():
            if member.joining is None:
                self._log.loop.at(self._chance.uniform(0, HEARTBEAT_SECONDS), member.consumer.must_rejoin)
        self._log.loop.at(REBALANCE_SECONDS, self._close_round, self._round)
        self._complete_if_all_joined()

    def silent(self, instance: str, consumer: SimulatedConsumer) -> None:
        """Begin to miss an instance: it is removed when its session ends before it, or its successor, is heard again."""
        self._log.loop.at(SESSION_SECONDS, self._remove_if_silent, instance, consumer)

    def _remove_if_silent(self, instance: str, consumer: SimulatedConsumer) -> None:
        member = self._members.get(instance)
        if member is None or member.consumer is not consumer or not consumer.is_silent:
            return
        self._remove(instance)
        if self._members:
            self._rebalancing = False
            self.rebalance()

    def _remove(self, instance: str) -> None:
        """Forget a member; should it live, it learns of that with its next heartbeat."""
        member = self._members.pop(instance)
        if member.joining is not None and not member.joining.done():
            member.joining.cancel()
        self._log.loop.at(self._chance.uniform(0, HEARTBEAT_SECONDS), member.consumer.must_rejoin)

    def _close_round(self, number: int) -> None:
        """End a rebalance that somebody keeps waiting."""
        if not self._rebalancing or number != self._round:
            return
        for instance in [name for name, member in self._members.items() if member.joining is None]:
            self._remove(instance)
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        """Assign the partitions, when everybody is there."""
        if not self._rebalancing or not self._members or any(member.joining is None for member in self._members.values()):
            return
        self._rebalancing = False
        self.generation += 1
        shares = _range_of(sorted(self._members), self._log.partitions)
        for instance, member in self._members.items():
            member.assigned = {TopicPartition(topic, partition) for topic in self._topics for partition in shares[instance]}
            answer, member.joining = member.joining, None
            if answer is not None:
                self._log.loop.at(self._chance.uniform(0, ANSWER_SECONDS), _settle, answer, self.generation, set(member.assigned))


def _settle(answer: asyncio.Future[tuple[int, set[TopicPartition]]], generation: int, assigned: set[TopicPartition]) -> None:
    if not answer.done():
        answer.set_result((generation, assigned))


def _range_of(instances: list[str], partitions: int) -> dict[str, range]:
    """Return the contiguous share of each instance, as the range assignor deals them out per topic."""
    size, more = divmod(partitions, len(instances))
    shares: dict[str, range] = {}
    begin = 0
    for position, instance in enumerate(instances):
        end = begin + size + (1 if position < more else 0)
        shares[instance] = range(begin, end)
        begin = end
    return shares
