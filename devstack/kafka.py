"""Apache Kafka 4.3.1 without Docker: one node in KRaft mode, or three for tests of replication, as child processes on loopback.

    async with EmbeddedKafka(Path("var/kafka")) as kafka:
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)

A data directory keeps its cluster: killed or stopped, the next start recovers it, on the same ports where they are still free.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, Self

from devstack.class_archive import archive_options, ensure_archive, join_class_path
from devstack.cluster import Cluster, load_cluster
from devstack.guards import Guard
from devstack.jars import cache_directory, ensure_jars
from devstack.java import Java, find_java
from devstack.nodes import await_cluster, format_storage, start_node
from devstack.server import STOP_SECONDS_MAX, DirectoryInUseError, ServerProcess, clear_disk_errors
from shared.errors import BrokerUnavailableError, ConfigurationError

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
HEAP_MEGABYTES = 384
# Settings of the runtime: the serial collector and the fast compiler alone keep a small broker small and quick to start.
ARCHIVE_OPTIONS = ("-XX:+UseSerialGC", f"-Xmx{HEAP_MEGABYTES}m")
JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-Xms128m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


class EmbeddedKafka:
    """A Kafka cluster of our own in a data directory.

    `start`, `stop`, `kill` and `restart` block: from a coroutine call them through `asyncio.to_thread`, or use `async with`.
    They may be called again and again, from one thread at a time.

    Args:
        data_directory: Where the cluster lives; made when absent.
        brokers: 1, or 3 for replication (then internal topics have 3 replicas and `min.insync.replicas` is 2).
        port: The client port of the first node, the others take the next ones; free ports by default.
        edges: Ways of their own that clients may be given, each through a port where something else listens; see `edge_ports`.
        guards: Listeners beside the open one that ask who is there (TLS, passwords); see `bootstrap_servers_behind`.
        heap_megabytes: The largest heap of each node.
        cache: Where jars and class archive are kept; `cache_directory()` by default.
        java: The runtime; `find_java()` by default.
    """

    def __init__(
        self,
        data_directory: Path,
        *,
        brokers: int = 1,
        port: int | None = None,
        edges: Sequence[str] = (),
        guards: Sequence[Guard] = (),
        heap_megabytes: int = HEAP_MEGABYTES,
        cache: Path | None = None,
        java: Java | None = None,
    ) -> None:
        if brokers < 1:
            raise ConfigurationError(f"A cluster needs at least one broker, not {brokers}.")
        self._directory = data_directory.absolute()
        self._brokers = brokers
        self._port = port
        self._edges = tuple(edges)
        self._guards = tuple(guards)
        self._heap = f"-Xmx{heap_megabytes}m"
        self._cache = cache_directory() if cache is None else cache
        self._java = java
        self._command: list[str] = []
        self._cluster: Cluster | None = None
        self._servers: dict[int, ServerProcess] = {}
        self._owner: IO[bytes] | None = None
        self._given_up = threading.Event()
        self._busy = threading.RLock()

    @property
    def bootstrap_servers(self) -> str:
        """The client addresses, `host:port` joined by commas.

        Raises:
            BrokerUnavailableError: The cluster was never started.
        """
        return self._require_cluster().bootstrap_servers

    def bootstrap_servers_of(self, edge: str) -> str:
        """Return the addresses that clients of `edge` are told; somebody has to listen there and pass on (`edge_ports`).

        Raises:
            BrokerUnavailableError: The cluster was never started.
            ConfigurationError: There is no such edge.
        """
        return self._require_cluster().bootstrap_servers_of(edge)

    def bootstrap_servers_behind(self, guard: str) -> str:
        """Return the addresses of a guarded listener, by its name.

        Raises:
            BrokerUnavailableError: The cluster was never started.
            ConfigurationError: There is no such guard.
        """
        return self._require_cluster().bootstrap_servers_behind(guard)

    @property
    def edge_ports(self) -> dict[str, list[tuple[int, int]]]:
        """Per edge and node: the port that clients are told, and the node's own that it has to lead to.

        Raises:
            BrokerUnavailableError: The cluster was never started.
        """
        nodes = self._require_cluster().nodes
        return {
            name: [(edge.advertised_port, edge.listen_port) for node in nodes for edge in node.edges if edge.name == name]
            for name in self._edges
        }

    @property
    def cluster_id(self) -> str:
        """The id that the cluster was formatted with.

        Raises:
            BrokerUnavailableError: The cluster was never started.
        """
        return self._require_cluster().cluster_id

    @property
    def pids(self) -> dict[int, int]:
        """The process ids of the nodes that run, by node id (1, 2, …)."""
        return {number: server.pid for number, server in self._servers.items() if server.pid is not None}

    @property
    def running(self) -> bool:
        """Whether all nodes run."""
        return bool(self._servers) and all(server.running for server in self._servers.values())

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self.stop))
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the nodes that do not run and return when clients can work: metadata, topics with leaders, a topic can be made.

        Raises:
            ServerStartError: A node did not come up (PortOccupiedError, DirectoryInUseError where that is the reason).
            JarError: The jars cannot be had.
            JavaNotFoundError: There is no usable Java.
            DiskFullError: No space is left.
        """
        with self._busy, clear_disk_errors(self._directory, "use another data directory"):
            try:
                self._own_directory()
                self._prepare_command()
                self._cluster = load_cluster(
                    self._directory, brokers=self._brokers, port=self._port, running=bool(self.pids), edges=self._edges, guards=self._guards
                )
                format_storage(self._command, self._cluster)
                for node in self._cluster.nodes:
                    if node.number not in self.pids:
                        self._servers[node.number] = start_node(self._command, self._cluster, node)
                await_cluster(self._cluster, self._servers, self._given_up)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop all nodes: asked first, killed after STOP_SECONDS_MAX. A start that is under way in another thread is given up."""
        self._given_up.set()
        with self._busy:
            running = [server for server in self._servers.values() if server.running]
            for server in running:
                server.request_end()
            deadline = monotonic() + STOP_SECONDS_MAX
            for server in running:
                server.end(seconds_max=max(0.0, deadline - monotonic()))
            if self._owner is not None:
                self._owner.close()
                self._owner = None
            self._given_up.clear()

    def kill(self, node: int | None = None) -> None:
        """Kill node `node` (1, 2, …), or all, without a chance to write anything more: SIGKILL."""
        for number, server in self._servers.items():
            if node in {None, number}:
                server.kill()

    def restart(self, node: int | None = None) -> None:
        """Stop node `node`, or all, cleanly where they still run, and start again on the same ports."""
        chosen = [server for number, server in self._servers.items() if node in {None, number}]
        for server in chosen:
            server.request_end()
        for server in chosen:
            server.end()
        self.start()

    def _own_directory(self) -> None:
        """Lock the data directory for us; the kernel frees it when we die."""
        if self._owner is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        owner = (self._directory / "owner").open("ab")
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner.close()
            remedy = f"Use that one (set {BOOTSTRAP_VARIABLE}), end it, or use another directory."
            raise DirectoryInUseError(f"Another process runs a broker in {self._directory}. {remedy}") from None
        self._owner = owner

    def _prepare_command(self) -> None:
        """Find Java, the jars and the class archive; what remains is the main class and its arguments."""
        if self._command:
            return
        java = self._java or find_java()
        class_path = ensure_jars("kafka", cache=self._cache, given_up=self._given_up)

        def command(options: Sequence[str]) -> list[str]:
            return [str(java.executable), *JAVA_OPTIONS, self._heap, *options, "-cp", join_class_path(class_path)]

        def train(options: Sequence[str]) -> None:
            self._train(command(options))

        archive = ensure_archive(java, class_path, ARCHIVE_OPTIONS, self._cache, train=train, given_up=self._given_up)
        self._command = command(archive_options(java, archive))

    def _train(self, command: Sequence[str]) -> None:
        """Run a broker with `command` once, in a directory of its own, so that Java can note which classes it uses."""
        with tempfile.TemporaryDirectory(dir=self._cache) as directory:
            cluster = load_cluster(Path(directory), brokers=1, port=None, running=False)
            format_storage(command, cluster)
            server = start_node(command, cluster, cluster.nodes[0])
            try:
                await_cluster(cluster, {1: server}, self._given_up)
            finally:
                server.end(seconds_max=STOP_SECONDS_MAX)

    def _require_cluster(self) -> Cluster:
        if self._cluster is None:
            raise BrokerUnavailableError(f"The broker in {self._directory} was not started. Call start() first.")
        return self._cluster


def outside_bootstrap_servers() -> str | None:
    """Return the brokers that KAFKA_BOOTSTRAP_SERVERS names, or None when it is not set."""
    return os.environ.get(BOOTSTRAP_VARIABLE, "").strip() or None


@contextlib.asynccontextmanager
async def kafka_bootstrap_servers(data_directory: Path, *, brokers: int = 1, port: int | None = None) -> AsyncIterator[str]:
    """Yield bootstrap servers: those of KAFKA_BOOTSTRAP_SERVERS, else of an embedded cluster that ends with this context."""
    if outside := outside_bootstrap_servers():
        yield outside
        return
    async with EmbeddedKafka(data_directory, brokers=brokers, port=port) as kafka:
        yield kafka.bootstrap_servers
