"""The servers that tests share: one Kafka and one MongoDB per session, real where there is one, embedded where not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine's other work, not about the rule.
settings.register_profile("parley", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("parley")


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers: KAFKA_BOOTSTRAP_SERVERS, else a container where Docker answers, else the embedded broker."""
    from devstack.containers import docker_answers, kafka_container  # noqa: PLC0415 - only sessions that use the broker pay for it
    from devstack.kafka import EmbeddedKafka, outside_bootstrap_servers  # noqa: PLC0415 - likewise

    if outside := outside_bootstrap_servers():
        yield outside
    elif docker_answers():
        with kafka_container() as servers:
            yield servers
    else:
        with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as kafka:
            yield kafka.bootstrap_servers


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A connection string: MONGODB_URI, else a container where Docker answers, else the stand-in; skips where its jars cannot be had."""
    from devstack.containers import docker_answers, mongo_container  # noqa: PLC0415 - only sessions that use MongoDB pay for it
    from devstack.mongo import EmbeddedMongo, outside_mongodb_uri  # noqa: PLC0415 - likewise
    from shared.errors import ParleyError  # noqa: PLC0415 - likewise

    if outside := outside_mongodb_uri():
        yield outside
        return
    if docker_answers():
        with mongo_container() as uri:
            yield uri
        return
    mongo = EmbeddedMongo(tmp_path_factory.mktemp("mongo"))
    try:
        mongo.start()
    except ParleyError as error:
        pytest.skip(f"No MongoDB: MONGODB_URI is not set, no Docker engine answers, and the stand-in cannot run: {error}")
    try:
        yield mongo.uri
    finally:
        mongo.stop()
