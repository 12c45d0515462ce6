"""Run the nodes of an embedded Kafka cluster: format their storage, start them, wait until the cluster serves."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from devstack.cluster import Cluster, Node
from devstack.ports import LOOPBACK, PortOccupiedError
from devstack.readiness import is_ready_within
from devstack.server import DiskFullError, ServerProcess, ServerStartError

FORMAT_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 90.0


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
                raise _explain(f"The storage of {node.directory} cannot be formatted", output, node)
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
        PortOccupiedError: Another process took a node's port meanwhile.
        DiskFullError: No space is left.
    """
    for node in cluster.nodes:
        server = servers[node.number]
        try:
            server.wait_until(node.is_listening, seconds_max=READY_SECONDS_MAX, given_up=given_up)
        except ServerStartError as error:
            raise _explain(str(error), server.log_of_this_run(), node, fallback=error) from error
    serving = is_ready_within(cluster.bootstrap_servers, brokers=len(cluster.nodes), seconds_max=READY_SECONDS_MAX, given_up=given_up)
    # In a thread of its own: the caller's thread may have an event loop.
    with ThreadPoolExecutor(1) as pool:
        if not pool.submit(asyncio.run, serving).result():
            directory = cluster.nodes[0].directory.parent
            raise ServerStartError(
                f"Kafka in {directory} runs but serves no clients after {READY_SECONDS_MAX:.0f} s. See broker.log below it."
            )


def _explain(what: str, log: str, node: Node, fallback: Exception | None = None) -> Exception:
    """Return the error that names the known cause in `log`, else `fallback`, else `what` with the telling line of the log."""
    if "BindException" in log or "Address already in use" in log:
        ports = f"Port {node.client_port} or {node.controller_port}"
        return PortOccupiedError(f"{ports} on {LOOPBACK} was taken by another process while the broker started. Start it again.")
    if "No space left on device" in log:
        return DiskFullError(f"No space is left below {node.directory}. Free some, or use another data directory.")
    if fallback is not None:
        return fallback
    lines = log.strip().splitlines()
    telling = next((line for line in lines if "Exception" in line or "rror" in line), lines[-1] if lines else "no output")
    return ServerStartError(f"{what}: {telling.strip()}")
