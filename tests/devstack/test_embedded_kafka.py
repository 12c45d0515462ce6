"""The embedded broker keeps its word: it starts, serves, survives, recovers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devstack.cluster import load_cluster
from devstack.kafka import EmbeddedKafka, kafka_bootstrap_servers
from devstack.ports import LOOPBACK, free_port
from devstack.server import DirectoryInUseError, PortOccupiedError, ServerStartError
from shared.errors import BrokerUnavailableError, ConfigurationError

WAIT_SECONDS_MAX = 60.0


async def create_topic(servers: str, topic: str, *, replicas: int = 1, **configuration: str) -> None:
    """Create `topic` with one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        new = NewTopic(topic, num_partitions=1, replication_factor=replicas, topic_configs=configuration)
        answer = await admin.create_topics([new])
        assert [error[1] for error in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def produce(servers: str, topic: str, *values: bytes) -> None:
    """Write `values` to partition 0, each acknowledged by all in-sync replicas."""
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        for value in values:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await producer.send_and_wait(topic, value, partition=0)


async def consume(servers: str, topic: str, count: int) -> list[bytes]:
    """Return the first `count` values of partition 0."""
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return [(await consumer.getone()).value for _ in range(count)]


def process_exists(pid: int) -> bool:
    """Return whether `pid` runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def list_directory(directory: Path) -> list[Path]:
    """Return what is in `directory`."""
    return list(directory.iterdir())


def pid_of_first_node(kafka: EmbeddedKafka) -> int:
    """Wait until the first process of `kafka` exists and return its pid."""
    deadline = monotonic() + WAIT_SECONDS_MAX
    while not kafka.pids:
        assert monotonic() < deadline
        threading.Event().wait(0.005)
    return kafka.pids[1]


@pytest.mark.broker
async def test_what_is_produced_is_consumed(kafka_bootstrap: str) -> None:
    """A real broker: a record goes in, the same record comes out."""
    await create_topic(kafka_bootstrap, "devstack-round-trip")
    await produce(kafka_bootstrap, "devstack-round-trip", "vārds 字".encode())
    assert await consume(kafka_bootstrap, "devstack-round-trip", 1) == ["vārds 字".encode()]


@pytest.mark.broker
async def test_a_killed_broker_recovers(tmp_path: Path) -> None:
    """After SIGKILL the next start finds the same cluster, address and records; after the stop no process is left."""
    async with EmbeddedKafka(tmp_path) as kafka:
        servers, cluster_id, first_pid = kafka.bootstrap_servers, kafka.cluster_id, kafka.pids[1]
        await create_topic(servers, "kept")
        await produce(servers, "kept", b"before")
        await asyncio.to_thread(kafka.kill)
        assert kafka.pids == {}
        assert not kafka.running
        await asyncio.to_thread(kafka.start)
        assert (kafka.bootstrap_servers, kafka.cluster_id) == (servers, cluster_id)
        second_pid = kafka.pids[1]
        assert second_pid != first_pid
        await produce(servers, "kept", b"after")
        assert await consume(servers, "kept", 2) == [b"before", b"after"]
    assert not process_exists(first_pid)
    assert not process_exists(second_pid)


@pytest.mark.broker
async def test_a_data_directory_outlives_its_owner(tmp_path: Path) -> None:
    """Stopped and started by another object on another port: the records are there; meanwhile nobody else may have the directory."""
    with_port = EmbeddedKafka(tmp_path, port=free_port())
    async with EmbeddedKafka(tmp_path) as kafka:
        await create_topic(kafka.bootstrap_servers, "kept")
        await produce(kafka.bootstrap_servers, "kept", b"value")
        with pytest.raises(DirectoryInUseError, match="KAFKA_BOOTSTRAP_SERVERS"):
            await asyncio.to_thread(with_port.start)
        assert kafka.running
    async with with_port as kafka:
        assert await consume(kafka.bootstrap_servers, "kept", 1) == [b"value"]
        with pytest.raises(ConfigurationError, match="holds a cluster of 1 brokers, not 3"):
            load_cluster(tmp_path, brokers=3, port=None, running=False)


@pytest.mark.broker
async def test_three_brokers_survive_the_loss_of_one(tmp_path: Path) -> None:
    """Replication 3, two in sync: one node dies by SIGKILL, acks=all writes go on, and it comes back in its place."""
    async with EmbeddedKafka(tmp_path, brokers=3) as kafka:
        servers = kafka.bootstrap_servers
        assert len(servers.split(",")) == 3
        await create_topic(servers, "replicated", replicas=3, **{"min.insync.replicas": "2"})
        await produce(servers, "replicated", b"three")
        await asyncio.to_thread(kafka.kill, 2)
        assert sorted(kafka.pids) == [1, 3]
        await produce(servers, "replicated", b"two")
        await asyncio.to_thread(kafka.restart, 2)
        await produce(servers, "replicated", b"three again")
        assert await consume(servers, "replicated", 3) == [b"three", b"two", b"three again"]
        pids = list(kafka.pids.values())
    assert len(pids) == 3
    assert not any(process_exists(pid) for pid in pids)


@pytest.mark.broker
def test_an_occupied_port_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before the start, or, when somebody was quicker, in the broker's own words; nothing is left running."""
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        kafka = EmbeddedKafka(tmp_path, port=port)
        with pytest.raises(PortOccupiedError, match=rf"Port {port} for Kafka node 1 is occupied .* choose another port"):
            kafka.start()
        monkeypatch.setattr("devstack.ports.port_is_free", lambda _: True)
        monkeypatch.setattr("devstack.cluster.Node.is_listening", lambda _: False)
        with pytest.raises(PortOccupiedError, match=r"A port of Kafka node 1 was taken by another process .* Start it again"):
            kafka.start()
    assert kafka.pids == {}


@pytest.mark.broker
async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the broker starts: the start is given up and its process ended."""
    kafka = EmbeddedKafka(tmp_path)
    starting = asyncio.create_task(kafka.__aenter__())
    pid = await asyncio.to_thread(pid_of_first_node, kafka)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not process_exists(pid)


@pytest.mark.broker
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_a_broker_dies_with_its_parent_and_recovers(tmp_path: Path) -> None:
    """The program that started the broker gets SIGKILL: the broker goes too, and the directory can be used at once."""
    code = (
        "import signal, sys, pathlib; from devstack.kafka import EmbeddedKafka\n"
        "kafka = EmbeddedKafka(pathlib.Path(sys.argv[1])); kafka.start()\n"
        "print(kafka.pids[1], kafka.cluster_id, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - our own code
        assert parent.stdout is not None
        pid, cluster_id = parent.stdout.readline().split()
        assert os.getsid(int(pid)) == int(pid)
        parent.send_signal(signal.SIGKILL)
    with EmbeddedKafka(tmp_path) as kafka:
        assert kafka.cluster_id == cluster_id
        assert not process_exists(int(pid))


async def test_a_broker_of_the_user_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KAFKA_BOOTSTRAP_SERVERS set: nothing is started, nothing is written."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", " kafka.example:9092 ")
    data_directory = tmp_path / "data"
    async with kafka_bootstrap_servers(data_directory) as servers:
        assert servers == "kafka.example:9092"
    assert list_directory(tmp_path) == []


def test_it_has_no_address_before_its_start(tmp_path: Path) -> None:
    """Asking too early is an error, not a wrong address."""
    with pytest.raises(BrokerUnavailableError, match="was not started"):
        _ = EmbeddedKafka(tmp_path).bootstrap_servers


def test_stopping_what_never_started_does_nothing(tmp_path: Path) -> None:
    """A clean-up path may call stop without knowing how far the start came."""
    EmbeddedKafka(tmp_path).stop()


def test_a_cluster_keeps_its_ports_and_id(tmp_path: Path) -> None:
    """Clients of a restarted cluster find it where it was; an occupied port is replaced."""
    first = load_cluster(tmp_path, brokers=3, port=None, running=False)
    assert load_cluster(tmp_path, brokers=3, port=None, running=False) == first
    with socket.create_server((LOOPBACK, first.nodes[1].client_port)):
        moved = load_cluster(tmp_path, brokers=3, port=None, running=False)
    assert moved.cluster_id == first.cluster_id
    assert moved.nodes[0] == first.nodes[0]
    assert moved.nodes[1].client_port != first.nodes[1].client_port
    ports = [port for node in moved.nodes for port in (node.client_port, node.controller_port)]
    assert len(set(ports)) == 6


def test_settings_are_a_properties_file(tmp_path: Path) -> None:
    """A directory with a letter outside ASCII and a backslash reaches Java as it is."""
    directory = tmp_path / "dārgais\\ceļš"
    directory.mkdir()
    cluster = load_cluster(directory, brokers=1, port=None, running=False)
    cluster.write_settings(cluster.nodes[0])
    text = cluster.nodes[0].settings_path.read_text(encoding="ascii")
    assert "d\\u0101rgais\\\\ce\\u013c\\u0161/node-1/log" in text


def test_a_cluster_of_nobody_is_refused(tmp_path: Path) -> None:
    """Less than one broker is a mistake of the caller."""
    with pytest.raises(ConfigurationError, match="at least one broker"):
        EmbeddedKafka(tmp_path, brokers=0)


@pytest.mark.broker
def test_a_java_that_cannot_run_it_is_an_error(tmp_path: Path) -> None:
    """The heap is too small for any JVM: the error carries Java's own line."""
    with pytest.raises(ServerStartError, match="initialization of VM"):
        EmbeddedKafka(tmp_path, heap_megabytes=1).start()
