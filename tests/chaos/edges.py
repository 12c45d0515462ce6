"""The proxies of a run: between each service and the broker, between the services and the store, between outbound and the channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devstack.faults.conditions import Condition, Direction
from devstack.faults.kafka_frames import RequestKinds
from devstack.faults.proxy import FaultProxy, Inspect
from devstack.kafka import EmbeddedKafka
from devstack.stack import SERVICES


@dataclass(slots=True)
class Edge:
    """The proxies of one way, switched together: one per broker node, or the only one."""

    proxies: list[FaultProxy] = field(default_factory=list)

    def set(self, direction: Direction, condition: Condition) -> None:
        """Let bytes travel under `condition` from now on."""
        for proxy in self.proxies:
            proxy.set(direction, condition)

    def set_both(self, condition: Condition) -> None:
        """Let bytes travel under `condition` in both directions."""
        for proxy in self.proxies:
            proxy.set_both(condition)

    def reset(self) -> int:
        """Cut all connections; return how many."""
        return sum(proxy.reset() for proxy in self.proxies)

    def refuse(self) -> None:
        """Cut all connections and refuse new ones."""
        for proxy in self.proxies:
            proxy.refuse()
            proxy.reset()

    def half_open(self) -> int:
        """Let the server's side of all connections go; return how many."""
        return sum(proxy.half_open() for proxy in self.proxies)

    def heal(self) -> None:
        """Switch everything off."""
        for proxy in self.proxies:
            proxy.heal()

    @property
    def resets(self) -> int:
        """Return how many connections were cut so far."""
        return sum(proxy.resets for proxy in self.proxies)


@dataclass(slots=True)
class Edges:
    """All ways of a run. `blocked` holds, per service, the API keys of requests to the broker that cut their connection."""

    broker: dict[str, Edge] = field(default_factory=dict)
    channel: Edge = field(default_factory=Edge)
    store: Edge = field(default_factory=Edge)
    blocked: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in SERVICES})

    def of_broker(self, services: Iterable[str] = SERVICES) -> list[Edge]:
        """Return the ways of these services to the broker."""
        return [self.broker[name] for name in services]

    def heal(self) -> None:
        """Switch every fault off."""
        for keys in self.blocked.values():
            keys.clear()
        for edge in (*self.broker.values(), self.channel, self.store):
            edge.heal()

    def inspector(self, service: str) -> Callable[[], Inspect]:
        """Return what makes, per connection of `service`, the look for blocked requests."""
        blocked = self.blocked[service]

        def made() -> Inspect:
            kinds = RequestKinds()
            return lambda data: not blocked.isdisjoint(kinds.feed(data))

        return made


@asynccontextmanager
async def broker_behind_edges(kafka: EmbeddedKafka, edges: Edges) -> AsyncIterator[str]:
    """Run the broker and a proxy per service and node; gives the bootstrap servers that lead past the proxies, for ourselves."""
    async with kafka, AsyncExitStack() as exits:
        for service, ports in kafka.edge_ports.items():
            proxies = [
                await exits.enter_async_context(
                    FaultProxy(target_port=listening, listen_port=advertised, inspector=edges.inspector(service))
                )
                for advertised, listening in ports
            ]
            edges.broker[service] = Edge(proxies)
        yield kafka.bootstrap_servers


def broker_of(directory: Path, brokers: int) -> EmbeddedKafka:
    """Return a cluster with a way of its own for every service."""
    return EmbeddedKafka(directory, brokers=brokers, edges=SERVICES)
