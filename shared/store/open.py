"""Which store a service gets: MongoDB where an address is set, else a file of its own on this machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from shared.store.port import Store
from shared.store.sqlite import SqliteStore

DATABASE = "parley"
"""The database in MongoDB, unless the address names one. Collections are named after their reducers, so no two services share one."""


def open_store(service: str, *, mongodb_uri: SecretStr | None, directory: Path) -> Store:
    """Return the store of `service`; nothing is opened or connected before its first use.

    Args:
        service: The service's name, from which the embedded store's file has its own.
        mongodb_uri: The address of the replica set (MONGODB_URI) with its credentials; None or empty for the embedded store.
        directory: Where the embedded store keeps its files.

    Raises:
        ConfigurationError: MONGODB_URI is no address of MongoDB (told when the first collection is opened).
    """
    uri = mongodb_uri.get_secret_value() if mongodb_uri else ""
    if not uri:
        return SqliteStore(directory / f"{service}.sqlite3")
    from shared.store.mongo import MongoStore, database_of  # noqa: PLC0415 - who keeps files need not load the driver (some 20 MB)

    return MongoStore(uri, database_of(uri) or DATABASE)
