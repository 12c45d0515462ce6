"""Which store a service gets: MongoDB where an address is set, else a file of its own on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from shared.store.port import Store
from shared.store.sqlite import SqliteStore


class StoreSettings(Protocol):
    """What the choice depends on."""

    @property
    def service(self) -> str:
        """The service's name: each keeps its data in a file, or database, of its own."""

    @property
    def mongodb_uri(self) -> SecretStr | None:
        """The address of the replica set (MONGODB_URI), credentials included; None or empty for the embedded store."""

    @property
    def store_directory(self) -> Path:
        """Where the embedded store keeps its files."""


def open_store(settings: StoreSettings) -> Store:
    """Return the store of `settings.service`; nothing is connected before its first use.

    The database is the one that the address names, else `parley_<service>`.

    Raises:
        ConfigurationError: MONGODB_URI is no address of MongoDB.
    """
    uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
    if not uri:
        return SqliteStore(settings.store_directory / f"{settings.service}.sqlite3")
    from shared.store.mongo import MongoStore, database_of  # noqa: PLC0415 - who keeps files need not load the driver (some 20 MB)

    return MongoStore(uri, database_of(uri) or f"parley_{settings.service}")
