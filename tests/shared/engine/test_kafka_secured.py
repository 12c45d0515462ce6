"""Through TLS and with a password or a certificate, on a real broker: one message all the way, and each refusal in one line of words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from cli.cluster import topic_names
from cli.connection import Connection
from devstack.guards import Guard
from devstack.kafka import EmbeddedKafka
from shared.engine.connection import Access, KafkaConnection, open_way
from shared.engine.installation import describe, wait_for_topics
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import BrokerUnavailableError
from shared.topics import COMMANDS
from tests.shared.engine.certificates import Identity, make_identities
from tests.shared.engine.kafka_world import PATIENCE_SECONDS, Place, a_loop, until

pytestmark = pytest.mark.broker
PASSWORDS = {"parley": "open-sesame", "stranger": "also-known"}


@dataclass
class House:
    """A broker with an open door, a door for passwords and a door for certificates."""

    kafka: EmbeddedKafka
    broker: Identity
    client: Identity

    def with_password(self, **changes: Any) -> KafkaConnection:
        """Return the way in for the user parley, changed."""
        given: dict[str, Any] = {
            "protocol": "SASL_SSL",
            "ca_file": self.broker.certificate,
            "mechanism": "SCRAM-SHA-512",
            "username": "parley",
            "password": PASSWORDS["parley"],
        }
        return open_way(self.kafka.bootstrap_servers_behind("password"), Access(**given | changes))

    def with_certificate(self, **changes: Any) -> KafkaConnection:
        """Return the way in for the holder of the client's certificate, changed."""
        given: dict[str, Any] = {
            "protocol": "SSL",
            "ca_file": self.broker.certificate,
            "certificate_file": self.client.certificate,
            "key_file": self.client.key,
        }
        return open_way(self.kafka.bootstrap_servers_behind("certificate"), Access(**given | changes))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The broker, once for all tests here."""
    directory = tmp_path_factory.mktemp("secured")
    identities = make_identities(directory, "broker", "client")
    broker, client = identities["broker"], identities["client"]
    guards = (
        Guard(name="password", protocol="SASL_SSL", identity=broker.both, users=PASSWORDS, mighty=("parley",)),
        Guard(name="certificate", protocol="SSL", identity=broker.both, clients=client.certificate, mighty=("CN=client",)),
    )
    with EmbeddedKafka(directory / "kafka", guards=guards) as kafka:
        yield House(kafka, broker, client)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
async def test_a_message_goes_all_the_way_with_a_password(house: House, tmp_path: Path, mechanism: str) -> None:
    """Topics made, a command written, decided by the reducers' loop, its outputs read: every client goes through TLS and SASL."""
    await _all_the_way(Place(house.with_password(mechanism=mechanism), tmp_path))


async def test_a_message_goes_all_the_way_with_a_certificate(house: House, tmp_path: Path) -> None:
    """The same by TLS with a certificate of our own."""
    await _all_the_way(Place(house.with_certificate(), tmp_path))


async def _all_the_way(place: Place) -> None:
    await place.make()
    async with a_loop(place):
        await place.write(place.batch(3))
        outputs = await place.await_answers()
    assert len(outputs) >= 3
    assert any(name.startswith("commands") for name in await topic_names(Connection(place.bootstrap, place.prefix)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "refuses the user 'parley' or the password: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"password": "wrong", "mechanism": "PLAIN"}, "refuses the user 'parley' or the password"),
        ({"username": "nobody"}, "refuses the user 'nobody' or the password"),
        ({"ca_file": None}, "shows a certificate that is not trusted"),
        (
            {"protocol": "SSL", "mechanism": None, "username": None, "password": None},
            "takes the connection but not what SSL says: check KAFKA_SECURITY_PROTOCOL",
        ),
        (
            {"protocol": "PLAINTEXT", "ca_file": None, "mechanism": None, "username": None, "password": None},
            "takes the connection but not what PLAINTEXT says: check KAFKA_SECURITY_PROTOCOL",
        ),
    ],
)
async def test_a_refusal_says_what_to_check(house: House, changes: dict[str, Any], words: str) -> None:
    """One line, with the settings to look at and without the password."""
    message = await _told(house.with_password(**changes), words)
    assert "\n" not in message
    assert PASSWORDS["parley"] not in message
    assert "wrong" not in message


async def _told(connection: KafkaConnection, words: str) -> str:
    """Return the message of the refusal once it holds `words`: on a busy machine an answer may come too late to be understood."""
    message = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in message:
            with pytest.raises(BrokerUnavailableError) as caught:
                await describe(connection, ["any"])
            message = str(caught.value)
            assert "does not answer (TimeoutError)" in message or words in message
    return message


async def test_a_missing_certificate_and_a_door_without_tls_are_told(house: House) -> None:
    """Where the broker asks for a certificate and gets none, and where it does not speak TLS at all."""
    await _told(house.with_certificate(certificate_file=None, key_file=None), "(KAFKA_SSL_CERTIFICATE_FILE)")
    open_door = replace(house.with_password(), bootstrap_servers=house.kafka.bootstrap_servers)
    await _told(open_door, "check KAFKA_SECURITY_PROTOCOL")


async def test_a_service_with_a_wrong_password_says_so_and_waits_until_it_is_right(house: House) -> None:
    """It neither ends nor is silent: the line comes again with each try, and the start goes on once it is let in."""
    prefix = Place("", Path()).prefix
    await create_topics(house.kafka.bootstrap_servers, prefix, [COMMANDS], TopicLayout(1))
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        waiting = asyncio.create_task(wait_for_topics(house.with_password(password="wrong"), prefix, [COMMANDS], partitions=1, stop=stop))
        await until(lambda: len(lines) >= 2)
        stop.set()
        assert await waiting is None
    assert {line["event"] for line in lines} == {"broker.unreachable"}
    assert all("refuses the user 'parley'" in line["detail"] and line["retry_in_seconds"] > 0 for line in lines)
    assert await wait_for_topics(house.with_password(), prefix, [COMMANDS], partitions=1, stop=asyncio.Event())


async def test_a_user_without_rights_is_told_so_and_not_that_topics_are_missing(house: House) -> None:
    """To make topics that exist would help nobody."""
    prefix = Place("", Path()).prefix
    await create_topics(house.kafka.bootstrap_servers, prefix, [COMMANDS], TopicLayout(1))
    stranger = house.with_password(username="stranger", password=PASSWORDS["stranger"])
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        waiting = asyncio.create_task(wait_for_topics(stranger, prefix, [COMMANDS], partitions=1, stop=stop))
        await until(lambda: lines)
        stop.set()
        assert await waiting is None
    assert lines[0]["event"] == "topics.forbidden"
    assert lines[0]["topics"] == [f"{prefix}commands"]
