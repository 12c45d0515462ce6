"""A stand-in for MongoDB where neither Docker nor mongod is at hand: mongo-java-server 1.47.0, in memory, on loopback.

It proves correctness of single-document atomic updates, bulk_write, `$in` and unique indexes, never speed; it has no
transactions, no pipeline updates and no change streams. What it holds is gone when it stops.

Its main class takes no arguments: the port is a constant of its code, and so is the wire version (8; PyMongo 4.18 and later want
9, MongoDB 4.4). Both constants are changed in copies of two small classes that stand first on the class path. The jars are pinned
by hash, so what is changed is known to the byte.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from devstack.jars import cache_directory, ensure_jars
from devstack.java import Java, find_java
from devstack.ports import LOOPBACK, PORT_MAX, demand_port, free_port, port_is_open
from devstack.server import ServerProcess, ServerStartError, clear_disk_errors
from shared.errors import ConfigurationError, ParleyError

URI_VARIABLE = "MONGODB_URI"
READY_SECONDS_MAX = 60.0
MAIN_CLASS = "de.bwaldvogel.mongo.InMemoryMongoServer"
JAVA_OPTIONS = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true")
# JVM instructions (The Java Virtual Machine Specification, SE 17, chapter 6.5): sipush pushes two bytes, bipush one.
SIPUSH, BIPUSH, INVOKESPECIAL = b"\x11", b"\x10", b"\xb7"
BUILT_IN_PORT = SIPUSH + (27_017).to_bytes(2, "big")
BUILT_IN_WIRE_VERSION = BIPUSH + bytes([8]) + INVOKESPECIAL
WIRE_VERSION = 9
CLASS_DIRECTORY = "de/bwaldvogel/mongo"


class StandInError(ParleyError):
    """The stand-in's classes are not those that we know how to change."""


class EmbeddedMongo:
    """The stand-in as a child process.

    `start` and `stop` block; from a coroutine call them through `asyncio.to_thread`.

    Args:
        directory: Where its log and its changed classes go; made when absent.
        port: Its port, at most PORT_MAX; a free one by default.
        cache: Where the jars are kept; `cache_directory()` by default.
        java: The runtime; `find_java()` by default.
    """

    def __init__(self, directory: Path, *, port: int | None = None, cache: Path | None = None, java: Java | None = None) -> None:
        if port is not None and not 0 < port <= PORT_MAX:
            raise ConfigurationError(f"The stand-in MongoDB can listen on ports 1 to {PORT_MAX}, not {port}.")
        self._directory = directory.absolute()
        self._demanded_port = port
        self._cache = cache_directory() if cache is None else cache
        self._java = java
        self._port: int | None = None
        self._server: ServerProcess | None = None
        self._given_up = threading.Event()

    @property
    def uri(self) -> str:
        """The connection string.

        Raises:
            ServerStartError: It was never started.
        """
        if self._port is None:
            raise ServerStartError(f"The stand-in MongoDB in {self._directory} was not started. Call start() first.")
        return f"mongodb://{LOOPBACK}:{self._port}/"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._server is None else self._server.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it takes connections.

        Raises:
            ServerStartError: It did not come up.
            PortOccupiedError: The demanded port is occupied.
            JarError: Its jars cannot be had.
        """
        java = self._java or find_java()
        class_path = ensure_jars("mongo", cache=self._cache)
        with clear_disk_errors(self._directory, "use another directory"):
            self._port = free_port() if self._demanded_port is None else demand_port(self._demanded_port, "the stand-in MongoDB")
            changed = self._directory / "classes"
            write_changed_classes(class_path, changed, port=self._port)
            arguments = ["-cp", ":".join(map(str, [changed, *class_path])), MAIN_CLASS, str(self._directory)]
            self._server = ServerProcess(
                "the stand-in MongoDB",
                [str(java.executable), *JAVA_OPTIONS, *arguments],
                log_path=self._directory / "mongo.log",
                pid_path=self._directory / "mongo.pid",
            )
            self._given_up.clear()
            try:
                self._server.start()
                self._server.wait_until(self._is_listening, seconds_max=READY_SECONDS_MAX, given_up=self._given_up)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop it; what it holds is gone."""
        self._given_up.set()
        if self._server is not None:
            self._server.end()

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        if self._server is not None:
            self._server.kill()

    def _is_listening(self) -> bool:
        return self._port is not None and port_is_open(self._port)


def write_changed_classes(class_path: Sequence[Path], directory: Path, *, port: int) -> None:
    """Write copies of the two classes with `port` and WIRE_VERSION into `directory`, to stand before `class_path`.

    Raises:
        StandInError: A constant is not exactly once where it should be.
    """
    changes = {
        "InMemoryMongoServer": (BUILT_IN_PORT, SIPUSH + port.to_bytes(2, "big")),
        "ServerVersion": (BUILT_IN_WIRE_VERSION, BIPUSH + bytes([WIRE_VERSION]) + INVOKESPECIAL),
    }
    for name, (old, new) in changes.items():
        entry = f"{CLASS_DIRECTORY}/{name}.class"
        code = _read_class(class_path, entry)
        if code.count(old) != 1:
            raise StandInError(f"{entry} is not that of mongo-java-server 1.47.0: devstack/jars.lock and devstack/mongo.py do not fit.")
        target = directory / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(code.replace(old, new))


def _read_class(class_path: Sequence[Path], entry: str) -> bytes:
    for jar in class_path:
        with zipfile.ZipFile(jar) as archive, contextlib.suppress(KeyError):
            return archive.read(entry)
    raise StandInError(f"{entry} is in none of the stand-in's jars. Fetch them anew: python -m devstack.jars.")


def outside_mongodb_uri() -> str | None:
    """Return the server that MONGODB_URI names, or None when it is not set."""
    return os.environ.get(URI_VARIABLE, "").strip() or None


@contextlib.contextmanager
def mongodb_uri(directory: Path, *, port: int | None = None) -> Iterator[str]:
    """Yield a connection string: that of MONGODB_URI, else of a stand-in that ends with this context."""
    if outside := outside_mongodb_uri():
        yield outside
        return
    with EmbeddedMongo(directory, port=port) as mongo:
        yield mongo.uri
