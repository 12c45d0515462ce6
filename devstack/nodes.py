"""Run the nodes of an embedded Kafka cluster: format their storage, start them, wait until the cluster serves."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from devstack.cluster import Cluster, Node
from devstack.guards import format_arguments
from devstack.readiness import is_ready_within
from devstack.server import DiskFullError, ServerProcess, ServerStartError, telling_line

FORMAT_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 90.0
DISK_FULL_SIGN = "No space left on device"


def format_storage(command: Sequence[str], cluster: Cluster) -> None:
    """Write the cluster's id into the empty storage of each node, once in its life.

    Args:
        command: Java with its options and the class path.
        cluster: Whose nodes.

    Raises:
        ServerStartError: A storage cannot be formatted.
        DiskFullError: No space is left.
    """
    formatting = [(node, _format_process(command, cluster, node)) for node in cluster.nodes if not node.is_formatted]
    try:
        for node, process in formatting:
            output, _ = process.communicate(timeout=FORMAT_SECONDS_MAX)
            if process.returncode != 0:
                if DISK_FULL_SIGN in output:
                    raise _disk_full(node)
                raise ServerStartError(f"The storage of {node.directory} cannot be formatted: {telling_line(output)}")
    except subprocess.TimeoutExpired as error:
        raise ServerStartError(f"Formatting the storage took more than {FORMAT_SECONDS_MAX:.0f} s; on a busy machine try again.") from error
    finally:
        for _, process in formatting:
            process.kill()
            process.wait()


def _format_process(command: Sequence[str], cluster: Cluster, node: Node) -> subprocess.Popen[str]:
    cluster.write_settings(node)
    # `--cluster-id=` in one word: an id may begin with a dash.
    arguments = [
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        f"--cluster-id={cluster.cluster_id}",
        "-c",
        str(node.settings_path),
        *format_arguments(cluster.guards),
    ]
    return subprocess.Popen(  # noqa: S603 - the command is built here, from files that we checked
        [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def start_node(command: Sequence[str], cluster: Cluster, node: Node) -> ServerProcess:
    """Start `node` of `cluster` and return its process; it serves some time later (`await_cluster`)."""
    cluster.write_settings(node)
    server = ServerProcess(
        f"Kafka node {node.number}",
        [*command, "kafka.Kafka", str(node.settings_path)],
        log_path=node.directory / "broker.log",
        pid_path=node.directory / "broker.pid",
    )
    server.start()
    return server


def await_cluster(cluster: Cluster, servers: Mapping[int, ServerProcess], given_up: threading.Event) -> None:
    """Return when clients can work with all nodes.

    Raises:
        ServerStartError: A node ended, the cluster serves nobody after READY_SECONDS_MAX, or `given_up` was set.
        PortOccupiedError: Another process took a node's port meanwhile (a kind of ServerStartError).
        DiskFullError: No space is left.
    """
    for node in cluster.nodes:
        server = servers[node.number]
        try:
            server.wait_until(node.is_listening, seconds_max=READY_SECONDS_MAX, given_up=given_up)
        except ServerStartError:
            if DISK_FULL_SIGN in server.log_of_this_run():
                raise _disk_full(node) from None
            raise

    def hopeless() -> bool:
        return given_up.is_set() or not all(server.running for server in servers.values())

    serving = is_ready_within(
        cluster.bootstrap_servers,
        brokers=len(cluster.nodes),
        seconds_max=READY_SECONDS_MAX,
        cluster_id=cluster.cluster_id,
        hopeless=hopeless,
    )
    # In a thread of its own: the caller's thread may have an event loop.
    with ThreadPoolExecutor(1) as pool:
        if pool.submit(asyncio.run, serving).result():
            return
    for server in servers.values():
        if not server.running:
            raise ServerStartError(f"{server.name} ended before it served: {server.last_words()} See {server.log_path}.")
    directory, waited = cluster.nodes[0].directory.parent, f"{READY_SECONDS_MAX:.0f} s"
    raise ServerStartError(f"Kafka in {directory} runs but serves no clients after {waited}. See broker.log below it.")


def _disk_full(node: Node) -> DiskFullError:
    return DiskFullError(f"No space is left below {node.directory}. Free some, or use another data directory.")
