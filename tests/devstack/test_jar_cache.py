"""The jars of the development servers, fetched from a Maven repository on loopback that the tests control."""

from __future__ import annotations

import errno
import gc
import hashlib
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devstack.jar_download import ChecksumError, DownloadError, Jar, JarError
from devstack.jars import LOCK_HEADER, LOCK_PATH, ROOTS, cache_directory, ensure_jars, read_lock
from devstack.ports import LOOPBACK, free_port
from devstack.server import DiskFullError

CONTENTS = {f"org/example/{name}/1.0/{name}-1.0.jar": f"the jar called {name}".encode() * 500 for name in ("first", "second", "third")}
LOCK = "[kafka]\n" + "".join(f"{hashlib.sha256(content).hexdigest()} {len(content)} {path}\n" for path, content in CONTENTS.items())


class Repository(ThreadingHTTPServer):
    """A Maven repository: `contents` by path, and how often each path was asked for."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.contents = dict(CONTENTS)
        self.requests: Counter[str] = Counter()

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://{LOOPBACK}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        """Answer with the content of the path, or 404."""
        path = self.path.lstrip("/")
        self.server.requests[path] += 1
        content = self.server.contents.get(path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(autouse=True)
def _collect_the_clients_sockets() -> Iterator[None]:
    """Collect what the HTTP client leaves open when a download is broken off, where it cannot be blamed on another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A repository that has the three jars of LOCK."""
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_lock_names_every_jar_once_with_its_hash() -> None:
    """Kafka's closure is 45 jars and one for its log; every line has a full hash, a size and a path."""
    text = LOCK_PATH.read_text(encoding="utf-8")
    servers = read_lock(text)
    assert text.startswith(LOCK_HEADER)
    assert set(servers) == set(ROOTS)
    assert len(servers["kafka"]) == 46
    for jars in servers.values():
        assert len({jar.path for jar in jars}) == len(jars)
        assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 and jar.path.endswith(".jar") for jar in jars)


def test_a_malformed_lock_names_the_line() -> None:
    """Who edits the lock by hand learns which line is wrong."""
    with pytest.raises(JarError, match=r"jars\.lock:2: expected"):
        read_lock("[kafka]\nabc not-a-number some/path.jar\n")


def test_a_jar_knows_its_maven_coordinate() -> None:
    """Group, artifact and version are read from the path."""
    assert Jar("org/apache/kafka/kafka-raft/4.3.1/kafka-raft-4.3.1.jar", "", 0).coordinate == ("org.apache.kafka", "kafka-raft", "4.3.1")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PARLEY_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, Path("/own")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/parley")),
        ({}, Path.home() / ".cache" / "parley"),
    ],
)
def test_the_cache_is_where_the_user_wants_it(environment: dict[str, str], expected: Path) -> None:
    """PARLEY_CACHE comes before XDG_CACHE_HOME, and that before the home directory."""
    assert cache_directory(environment) == expected


def test_jars_are_fetched_once(repository: Repository, tmp_path: Path) -> None:
    """The first call fetches every jar, the second asks nobody."""
    first = ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)
    asked = repository.requests.total()
    second = ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)
    assert [jar.read_bytes() for jar in first] == list(CONTENTS.values())
    assert second == first
    assert repository.requests.total() == asked


def test_a_damaged_jar_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    """A jar in the cache whose content changed is replaced, its neighbours stay."""
    jars = ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)
    jars[1].write_bytes(b"x" * jars[1].stat().st_size)
    repository.requests.clear()
    ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)
    assert jars[1].read_bytes() == list(CONTENTS.values())[1]
    assert {path for path in repository.requests if path.endswith(".jar")} == {list(CONTENTS)[1]}


def test_a_jar_with_a_wrong_hash_is_refused(repository: Repository, tmp_path: Path) -> None:
    """What is not the jar of the lock never reaches the cache, and the error says what to do."""
    wrong = list(CONTENTS)[2]
    repository.contents[wrong] = b"something else"
    with pytest.raises(ChecksumError, match=r"third-1\.0\.jar is not the jar .* run this again") as caught:
        ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "jars" / wrong).exists()
    assert not (tmp_path / "jars.partial").exists()


def test_a_jar_that_nobody_has_is_said_so(repository: Repository, tmp_path: Path) -> None:
    """A repository without the jar is told apart from no network."""
    del repository.contents[next(iter(CONTENTS))]
    with pytest.raises(DownloadError, match=r"first-1\.0\.jar cannot be fetched: .* does not have it .* PARLEY_JAR_MIRROR"):
        ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)


def test_no_network_is_said_in_one_line(tmp_path: Path) -> None:
    """The error names the network and the proxy, and promises that what has arrived is kept."""
    with pytest.raises(DownloadError, match=r"cannot be reached .* Check the network and the proxy") as caught:
        ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=f"http://{LOOPBACK}:{free_port()}")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_said_in_one_line(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space below the cache: the error says to free some or to set PARLEY_CACHE."""

    def write_nothing(*_: object, **__: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jgo.maven.PythonResolver.download", write_nothing)
    with pytest.raises(DiskFullError, match=r"No space is left below .* set PARLEY_CACHE"):
        ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address)


def test_a_fetch_that_nobody_waits_for_ends(repository: Repository, tmp_path: Path) -> None:
    """Given up before it began, the fetch leaves no jar and no partial file."""
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(JarError, match="given up"):
        ensure_jars("kafka", cache=tmp_path, lock=LOCK, mirror=repository.address, given_up=given_up)
    assert not list(tmp_path.rglob("*.jar"))


def test_processes_that_fetch_at_once_share_one_fetch(repository: Repository, tmp_path: Path) -> None:
    """Three processes with one empty cache: each jar travels once and all three get the whole class path."""
    code = (
        "import sys, pathlib; from devstack.jars import ensure_jars\n"
        "jars = ensure_jars('kafka', cache=pathlib.Path(sys.argv[1]), lock=sys.argv[2], mirror=sys.argv[3])\n"
        "print(all(jar.exists() for jar in jars))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), LOCK, repository.address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]  # noqa: S603 - our own code
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["True"] * 3
    assert {path: count for path, count in repository.requests.items() if path.endswith(".jar")} == dict.fromkeys(CONTENTS, 1)
