"""Kafka and MongoDB in Docker, for the fixtures of the tests where a Docker engine answers; the same versions and settings as without."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from devstack.cluster import Cluster, Node
from devstack.ports import LOOPBACK, free_port
from devstack.readiness import is_ready_within
from devstack.server import ServerStartError

KAFKA_IMAGE = "apache/kafka:4.3.1"
MONGO_IMAGE = "mongo:8"
MONGO_PORT = 27_017
PING_SECONDS_MAX = 2
READY_SECONDS_MAX = 120.0
POLL_SECONDS = 0.5
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - inside the container; outside only loopback is bound
# Founds the replica set at the first call; ends with 0 once it has a primary.
FOUND_REPLICA_SET = (
    f"try {{ rs.status() }} catch {{ rs.initiate({{_id: 'rs0', members: [{{_id: 0, host: '{LOOPBACK}:{MONGO_PORT}'}}]}}) }}"
    " if (!db.hello().isWritablePrimary) { quit(1) }"
)


def docker_answers() -> bool:
    """Return whether a Docker engine can be reached from here."""
    try:
        import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - no stubs exist; comes with testcontainers, which only tests have
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise
    except ImportError:
        return False
    with warnings.catch_warnings():
        # The client leaves its socket to the garbage collector when nobody answers.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(docker.from_env(timeout=PING_SECONDS_MAX)) as engine:
                return bool(engine.ping())
        except DockerException:
            return False
        finally:
            gc.collect()


@contextlib.contextmanager
def kafka_container() -> Iterator[str]:
    """Yield the bootstrap servers of a one-node Kafka in a container.

    Raises:
        ServerStartError: It serves no clients after READY_SECONDS_MAX.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only tests have it

    client, controller = free_port(), free_port()
    cluster = Cluster("", (Node(1, Path("/unused"), client, controller),))
    container = DockerContainer(KAFKA_IMAGE)
    container.ports[str(client)] = (LOOPBACK, client)  # type: ignore[assignment]  # with_bind_ports cannot name the interface, Docker can
    for name, value in kafka_environment(cluster).items():
        container = container.with_env(name, value)
    with container:
        if not asyncio.run(is_ready_within(cluster.bootstrap_servers, brokers=1, seconds_max=READY_SECONDS_MAX)):
            raise ServerStartError(f"{KAFKA_IMAGE} serves no clients after {READY_SECONDS_MAX:.0f} s. Look at `docker logs`.")
        yield cluster.bootstrap_servers


def kafka_environment(cluster: Cluster) -> dict[str, str]:
    """Return the settings of the cluster's only node as the image takes them: KAFKA_ and the name, in capitals, with underscores."""
    settings = cluster.settings_of(cluster.nodes[0])
    settings.pop("log.dirs")
    settings["listeners"] = str(settings["listeners"]).replace(f"CLIENT://{LOOPBACK}", f"CLIENT://{EVERY_INTERFACE}")
    return {f"KAFKA_{name.upper().replace('.', '_')}": str(value) for name, value in settings.items()}


@contextlib.contextmanager
def mongo_container() -> Iterator[str]:
    """Yield the connection string of a one-member MongoDB replica set in a container.

    Raises:
        ServerStartError: It takes no commands after READY_SECONDS_MAX.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - only tests have it

    port = free_port()
    container = DockerContainer(MONGO_IMAGE).with_command("--replSet rs0 --bind_ip_all")
    container.ports[str(MONGO_PORT)] = (LOOPBACK, port)  # type: ignore[assignment]  # as for Kafka
    with container:
        pause = threading.Event()
        for _ in range(int(READY_SECONDS_MAX / POLL_SECONDS)):
            if container.exec(["mongosh", "--quiet", "--eval", FOUND_REPLICA_SET]).exit_code == 0:
                break
            pause.wait(POLL_SECONDS)
        else:
            raise ServerStartError(f"{MONGO_IMAGE} takes no commands after {READY_SECONDS_MAX:.0f} s. Look at `docker logs`.")
        yield f"mongodb://{LOOPBACK}:{port}/?directConnection=true"
