"""How a service comes to its store."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.store.mongo import MongoStore
from shared.store.open import open_store
from shared.store.sqlite import SqliteStore


@pytest.mark.parametrize("uri", [None, SecretStr("")])
def test_without_an_address_a_service_has_a_file_of_its_own(tmp_path: Path, uri: SecretStr | None) -> None:
    """The file is named after the service, and nothing is made before its first use."""
    store = open_store("router", mongodb_uri=uri, directory=tmp_path / "var")
    assert isinstance(store, SqliteStore)
    assert store.path == tmp_path / "var" / "router.sqlite3"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("uri", "database"), [("mongodb://one.example/", "parley"), ("mongodb://u:p@one.example/telco?w=1", "telco")])
def test_an_address_makes_it_mongodb(tmp_path: Path, uri: str, database: str) -> None:
    """The database is the one that the address names, else the project's."""
    store = open_store("router", mongodb_uri=SecretStr(uri), directory=tmp_path)
    assert isinstance(store, MongoStore)
    assert (store.servers, store.database) == ("one.example", database)
    assert list(tmp_path.iterdir()) == []
