"""The nodes of an embedded Kafka cluster on disk: their ports, their settings, their identity."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.guards import Guard, rights_settings
from devstack.ports import LOOPBACK, demand_port, free_port, port_is_free, port_is_open
from shared.errors import ConfigurationError

MEBIBYTE_BYTES = 1024 * 1024
MESSAGE_BYTES_MAX = 4 * MEBIBYTE_BYTES
REPLICAS_MAX = 3
INTERNAL_PARTITIONS = 6
PROTOCOLS = "listener.security.protocol.map"

# The same on every node. Kafka's defaults suit machines of their own; these suit a laptop that runs ten other processes.
COMMON_SETTINGS: dict[str, str | int] = {
    "process.roles": "broker,controller",
    PROTOCOLS: "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    # A mistyped topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    "num.partitions": INTERNAL_PARTITIONS,
    "message.max.bytes": MESSAGE_BYTES_MAX,
    "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
    # Groups work at once, and tests may use short sessions.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    # A broker that was killed may register again only when its last session has run out: this bounds the recovery.
    "broker.session.timeout.ms": 2_500,
    "broker.heartbeat.interval.ms": 500,
    # The controller would write an empty record to disk twice a second.
    "metadata.max.idle.interval.ms": 0,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 1,
    # The cleaner's default buffer is 128 MiB of heap: most of what a small broker would take.
    "log.cleaner.dedupe.buffer.size": 2 * MEBIBYTE_BYTES,
    "log.cleaner.io.buffer.size": 64 * 1024,
    "log.cleaner.backoff.ms": 60_000,
    "log.index.size.max.bytes": MEBIBYTE_BYTES,
    "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
    "transaction.state.log.num.partitions": 1,
    # An open transaction of an integrator holds up everybody's reading of its partitions: for so long at most, as in production.
    "transaction.max.timeout.ms": 60_000,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 2_000,
    "share.coordinator.state.topic.num.partitions": 1,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """A way of its own to a node, by name: the node listens on `listen_port` and tells clients to connect to `advertised_port`.

    Who listens on the advertised port (a proxy that makes faults) sees all the traffic of those clients: Kafka's clients connect to
    where the broker says it is, not to where they were first told.
    """

    name: str
    listen_port: int
    advertised_port: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node (broker and controller in one process): its number from 1, its directory, its ports on loopback."""

    number: int
    directory: Path
    client_port: int
    controller_port: int
    edges: tuple[Edge, ...] = ()
    guarded_ports: tuple[int, ...] = ()
    """The ports of the cluster's guards, in their order."""

    @property
    def settings_path(self) -> Path:
        """The file that Kafka reads."""
        return self.directory / "server.properties"

    @property
    def is_formatted(self) -> bool:
        """Whether its storage carries a cluster id (written last, and at once, by the formatter)."""
        return (self.directory / "log" / "meta.properties").exists()

    def is_listening(self) -> bool:
        """Return whether its client port takes connections."""
        return port_is_open(self.client_port)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's id (22 characters, URL-safe base64) and its nodes."""

    cluster_id: str
    nodes: tuple[Node, ...]
    guards: tuple[Guard, ...] = ()

    @property
    def bootstrap_servers(self) -> str:
        """The client addresses, joined by commas."""
        return ",".join(f"{LOOPBACK}:{node.client_port}" for node in self.nodes)

    def bootstrap_servers_of(self, edge: str) -> str:
        """Return the addresses that clients of `edge` are told; raises ConfigurationError where the cluster has no such edge."""
        ports = [one.advertised_port for node in self.nodes for one in node.edges if one.name == edge]
        if not ports:
            raise ConfigurationError(f"The cluster has no edge {edge!r}; name it when the cluster is made.")
        return ",".join(f"{LOOPBACK}:{port}" for port in ports)

    def bootstrap_servers_behind(self, guard: str) -> str:
        """Return the addresses of a guarded listener; raises ConfigurationError where the cluster has no such guard."""
        names = [one.name for one in self.guards]
        if guard not in names:
            raise ConfigurationError(f"The cluster has no guard {guard!r}; name it when the cluster is made.")
        return ",".join(f"{LOOPBACK}:{node.guarded_ports[names.index(guard)]}" for node in self.nodes)

    def settings_of(self, node: Node) -> dict[str, str | int]:
        """Return the broker settings of `node`."""
        replicas = min(len(self.nodes), REPLICAS_MAX)
        in_sync = max(1, replicas - 1)
        client, controller = f"CLIENT://{LOOPBACK}:{node.client_port}", f"CONTROLLER://{LOOPBACK}:{node.controller_port}"
        listening = [f"{_listener(edge.name)}://{LOOPBACK}:{edge.listen_port}" for edge in node.edges]
        advertised = [f"{_listener(edge.name)}://{LOOPBACK}:{edge.advertised_port}" for edge in node.edges]
        protocols = [str(COMMON_SETTINGS[PROTOCOLS]), *(f"{_listener(edge.name)}:PLAINTEXT" for edge in node.edges)]
        for guard, guarded_port in zip(self.guards, node.guarded_ports, strict=True):
            listening.append(f"{guard.listener}://{LOOPBACK}:{guarded_port}")
            advertised.append(f"{guard.listener}://{LOOPBACK}:{guarded_port}")
            protocols.append(f"{guard.listener}:{guard.protocol}")
        return COMMON_SETTINGS | {
            "node.id": node.number,
            "log.dirs": str(node.directory / "log"),
            PROTOCOLS: ",".join(protocols),
            "listeners": ",".join([client, *listening, controller]),
            "advertised.listeners": ",".join([client, *advertised]),
            "controller.quorum.voters": ",".join(f"{voter.number}@{LOOPBACK}:{voter.controller_port}" for voter in self.nodes),
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            **rights_settings(self.guards),
            **{name: value for guard in self.guards for name, value in guard.settings().items()},
        }

    def write_settings(self, node: Node) -> None:
        """Write the file that `node` is started with."""
        node.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={_escape(value)}\n" for name, value in self.settings_of(node).items()]
        node.settings_path.write_text("".join(lines), encoding="utf-8")


def _listener(edge: str) -> str:
    """Return the listener's name of an edge."""
    return f"EDGE_{edge.upper()}"


def _escape(value: str | int) -> str:
    r"""Return `value` as a Java properties file takes it: a backslash is doubled, what is not ASCII becomes \uXXXX."""
    return str(value).replace("\\", "\\\\").encode("ascii", "backslashreplace").decode("ascii")


def load_cluster(
    directory: Path, *, brokers: int, port: int | None, running: bool, edges: Sequence[str] = (), guards: Sequence[Guard] = ()
) -> Cluster:
    """Return the cluster of `directory`, a new one where there is none; remember its id and ports there.

    Args:
        directory: The cluster's data directory.
        brokers: How many nodes it must have.
        port: The client port of the first node that the caller demands; None for any.
        running: Whether some nodes run: then every port stays as it is.
        edges: Ways of their own that each node has; see Edge.
        guards: Listeners that each node has beside the open one.

    Raises:
        ConfigurationError: The directory holds a cluster of another size.
        PortOccupiedError: A demanded port is occupied, or no port is free.
    """
    memory = directory / "cluster.json"
    known: dict[str, Any] = {"cluster_id": _new_cluster_id(), "ports": []}
    if memory.exists():
        known = json.loads(memory.read_text(encoding="utf-8"))
    size = len(known["ports"])
    if size not in {0, brokers}:
        raise ConfigurationError(f"{directory} holds a cluster of {size} brokers, not {brokers}. Use another data directory.")
    ports = known["ports"] if running else _choose_ports(known["ports"], brokers=brokers, port=port)
    edge_ports = known.get("edges", {})
    if not running:
        edge_ports = _choose_edge_ports(edge_ports, edges, brokers=brokers, taken=[one for pair in ports for one in pair])
    guarded = known.get("guarded") or [[]] * brokers
    if not running:
        taken = [one for pair in [*ports, *(pair for pairs in edge_ports.values() for pair in pairs)] for one in pair]
        guarded = [[_choose(row[index] if index < len(row) else None, taken) for index in range(len(guards))] for row in guarded]
    draft = memory.with_suffix(".draft")
    memories = {"cluster_id": known["cluster_id"], "ports": ports, "edges": edge_ports, "guarded": guarded}
    draft.write_text(json.dumps(memories), encoding="utf-8")
    draft.replace(memory)
    nodes = (
        Node(
            number,
            directory / f"node-{number}",
            client,
            controller,
            tuple(Edge(name, *edge_ports[name][number - 1]) for name in edges),
            tuple(guarded[number - 1]),
        )
        for number, (client, controller) in enumerate(ports, start=1)
    )
    return Cluster(known["cluster_id"], tuple(nodes), tuple(guards))


def _choose_ports(known: list[list[int]], *, brokers: int, port: int | None) -> list[list[int]]:
    """Return (client, controller) per node: the demanded client ports, else the known ones where they are free, else new ones."""
    taken: list[int] = []
    if port is not None:
        taken += [demand_port(port + index, f"Kafka node {index + 1}") for index in range(brokers)]
    clients = list(taken) or [_choose(pair[0] if pair else None, taken) for pair in known or [[]] * brokers]
    return [[client, _choose(pair[1] if pair else None, taken)] for client, pair in zip(clients, known or [[]] * brokers, strict=True)]


def _choose_edge_ports(
    known: dict[str, list[list[int]]], edges: Sequence[str], *, brokers: int, taken: list[int]
) -> dict[str, list[list[int]]]:
    """Return (listening, advertised) per node and edge. A known advertised port stays: whoever listens there has it already."""
    chosen: dict[str, list[list[int]]] = {}
    for name in edges:
        pairs: list[list[int]] = known.get(name) or [[]] * brokers
        chosen[name] = [[_choose(pair[0] if pair else None, taken), pair[1] if pair else _choose(None, taken)] for pair in pairs]
    return chosen


def _choose(wish: int | None, taken: list[int]) -> int:
    """Return a free port that is not in `taken`, the wished one where it is; it is added to `taken`."""
    fits = wish is not None and wish not in taken and port_is_free(wish)
    taken.append(wish if wish is not None and fits else free_port(taken=taken))
    return taken[-1]


def _new_cluster_id() -> str:
    """Return a new id in Kafka's form: 128 random bits, URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
