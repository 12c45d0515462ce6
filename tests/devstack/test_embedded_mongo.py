"""The stand-in for MongoDB speaks to an unmodified PyMongo, on any port, and leaves nothing behind."""

from __future__ import annotations

import socket
import zipfile
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.errors import BulkWriteError

from devstack.mongo import EmbeddedMongo, StandInError, mongodb_uri, write_changed_classes
from devstack.ports import LOOPBACK, port_is_open
from devstack.server import PortOccupiedError, ServerStartError
from shared.errors import ConfigurationError


@pytest.mark.mongo
async def test_conditional_replacements_match_and_miss(mongodb_uri: str) -> None:
    """What the store's fence needs: a replacement guarded by a version hits the right one and refuses the stale one."""
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(mongodb_uri)
    try:
        collection = client["devstack"]["fenced"]
        await collection.delete_many({})
        await collection.bulk_write([ReplaceOne({"_id": "a", "version": 0}, {"_id": "a", "version": 1}, upsert=True)])
        with pytest.raises(BulkWriteError) as caught:
            await collection.bulk_write([ReplaceOne({"_id": "a", "version": 0}, {"_id": "a", "version": 1}, upsert=True)])
        assert [error["code"] for error in caught.value.details["writeErrors"]] == [11000]
        assert await collection.find_one({"_id": "a"}) == {"_id": "a", "version": 1}
    finally:
        await client.close()


@pytest.mark.mongo
def test_two_stand_ins_run_side_by_side(tmp_path: Path) -> None:
    """Each has a port of its own, and after the stop neither process nor port is left."""
    with EmbeddedMongo(tmp_path / "one") as one, EmbeddedMongo(tmp_path / "two") as two:
        assert one.uri != two.uri
        assert one.pid != two.pid
        port = int(one.uri.rsplit(":", 1)[1].strip("/"))
        assert port_is_open(port)
    assert one.pid is None
    assert two.pid is None
    assert not port_is_open(port)


@pytest.mark.mongo
def test_an_occupied_port_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before the start, or, when somebody was quicker, in the server's own words; both say what to do."""
    with socket.create_server((LOOPBACK, 0)) as elsewhere:
        port = elsewhere.getsockname()[1] % 10_000 + 20_000
    with socket.create_server((LOOPBACK, port)):
        with pytest.raises(PortOccupiedError, match="choose another port"):
            EmbeddedMongo(tmp_path, port=port).start()
        monkeypatch.setattr("devstack.ports.port_is_free", lambda _: True)
        mongo = EmbeddedMongo(tmp_path, port=port)
        monkeypatch.setattr(mongo, "_is_listening", lambda: False)
        with pytest.raises(PortOccupiedError, match="Start it again"):
            mongo.start()
        assert mongo.pid is None


def test_a_port_that_the_class_cannot_hold_is_refused(tmp_path: Path) -> None:
    """The port is a signed 16-bit constant of the class."""
    with pytest.raises(ConfigurationError, match="ports 1 to 32767"):
        EmbeddedMongo(tmp_path, port=40_000)


def test_it_has_no_address_before_its_start(tmp_path: Path) -> None:
    """Asking too early is an error, not a wrong address."""
    with pytest.raises(ServerStartError, match="was not started"):
        _ = EmbeddedMongo(tmp_path).uri


def test_an_unknown_class_is_not_changed(tmp_path: Path) -> None:
    """Where the constants are not where we know them, nothing is guessed."""
    jar = tmp_path / "other.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("de/bwaldvogel/mongo/InMemoryMongoServer.class", b"another version")
    with pytest.raises(StandInError, match="do not fit"):
        write_changed_classes([jar], tmp_path / "classes", port=20_000)


def test_a_server_of_the_user_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MONGODB_URI set: nothing is started."""
    monkeypatch.setenv("MONGODB_URI", "mongodb://db.example:27017")
    with mongodb_uri(tmp_path) as uri:
        assert uri == "mongodb://db.example:27017"
    assert list(tmp_path.iterdir()) == []
