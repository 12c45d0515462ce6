"""Edges of the embedded broker: clients of an edge reach the broker only through whoever listens there."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devstack.cluster import load_cluster
from devstack.faults.conditions import DOWN, Condition
from devstack.faults.proxy import FaultProxy
from devstack.kafka import EmbeddedKafka
from devstack.ports import LOOPBACK
from shared.errors import ConfigurationError

PATIENCE_SECONDS = 60.0


def test_an_advertised_port_stays_although_somebody_listens_there(tmp_path: Path) -> None:
    """That is what it is for: the proxy outlives a restart of the cluster."""
    first = load_cluster(tmp_path, brokers=3, port=None, running=False, edges=("router", "bot"))
    port = first.nodes[0].edges[1].advertised_port
    with socket.create_server((LOOPBACK, port)):
        again = load_cluster(tmp_path, brokers=3, port=None, running=False, edges=("router", "bot"))
    assert again == first
    ports = [edge.listen_port for node in first.nodes for edge in node.edges]
    ports += [edge.advertised_port for node in first.nodes for edge in node.edges]
    ports += [port for node in first.nodes for port in (node.client_port, node.controller_port)]
    assert len(set(ports)) == 18


def test_a_cluster_tells_where_its_edges_are(tmp_path: Path) -> None:
    """By name, one address per node; a name it does not know is a mistake."""
    cluster = load_cluster(tmp_path, brokers=3, port=None, running=False, edges=("router",))
    addresses = [f"{LOOPBACK}:{node.edges[0].advertised_port}" for node in cluster.nodes]
    assert cluster.bootstrap_servers_of("router") == ",".join(addresses)
    with pytest.raises(ConfigurationError, match="no edge 'bot'"):
        cluster.bootstrap_servers_of("bot")


@pytest.mark.broker
async def test_all_traffic_of_an_edge_goes_through_its_proxy(tmp_path: Path) -> None:
    """Metadata lead back to the proxy, so a hole in it stops the clients of this edge, and of no other."""
    async with AsyncExitStack() as exits:
        kafka = await exits.enter_async_context(EmbeddedKafka(tmp_path, edges=("router",)))
        ((advertised, listening),) = kafka.edge_ports["router"]
        proxy = await exits.enter_async_context(FaultProxy(target_port=listening, listen_port=advertised))
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic("events", num_partitions=1, replication_factor=1)])
        await admin.close()
        options = {"acks": "all", "request_timeout_ms": 2_000}
        behind = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers_of("router"), **options)
        beside = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, **options)
        await exits.enter_async_context(behind)
        await exits.enter_async_context(beside)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await behind.send_and_wait("events", b"1", partition=0)
            assert proxy.accepted >= 2
            proxy.set(DOWN, Condition(black_hole=True))
            stuck = asyncio.create_task(behind.send_and_wait("events", b"2", partition=0))
            await beside.send_and_wait("events", b"3", partition=0)
            assert not stuck.done()
            proxy.heal()
            await asyncio.wait({stuck})
