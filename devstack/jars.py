"""The jars of the development servers: fetched once, checked by SHA-256 at every start.

`jars.lock` names every jar of every server with its hash, so nothing is resolved at run time and nobody between us and the
registry can change what runs.

`python -m devstack.jars` fetches everything ahead of time; `python -m devstack.jars lock` resolves `ROOTS` anew and writes the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import IO

from devstack.jar_download import MIRROR_VARIABLE, NETWORK_SECONDS_MAX, Jar, JarError, fetch, sha256_of
from devstack.progress import report
from devstack.server import clear_disk_errors
from shared.errors import ParleyError

LOCK_PATH = Path(__file__).with_name("jars.lock")
LOCK_HEADER = (
    "# Jars of the development servers: SHA-256, bytes, path below a Maven repository. Written by `python -m devstack.jars lock`.\n"
)
# slf4j-simple is no part of Kafka's closure, and without a back end of its logging facade the broker would fail in silence.
ROOTS = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"),
    "mongo": ("de.bwaldvogel:mongo-java-server-memory-backend:1.47.0",),
}
WAIT_FOR_OTHERS_SECONDS_MAX = 600.0
WAIT_POLL_SECONDS = 0.2
LOCK_COLUMNS = 3


def cache_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Return where fetched files live: PARLEY_CACHE, else XDG_CACHE_HOME/parley, else ~/.cache/parley."""
    environment = os.environ if environment is None else environment
    if own := environment.get("PARLEY_CACHE"):
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "parley"


def read_lock(text: str) -> dict[str, tuple[Jar, ...]]:
    """Return the jars per server.

    Raises:
        JarError: A line is not `SHA-256 bytes path` below a `[server]`.
    """
    servers: dict[str, list[Jar]] = {}
    current: list[Jar] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("["):
            current = servers.setdefault(line.strip("[] "), [])
        elif current is None or len(words) != LOCK_COLUMNS or not words[1].isdigit():
            raise JarError(
                f"{LOCK_PATH}:{number}: expected 'SHA-256 bytes path' below a [server]. Write the lock anew: python -m devstack.jars lock."
            )
        else:
            current.append(Jar(words[2], words[0], int(words[1])))
    return {server: tuple(jars) for server, jars in servers.items()}


def ensure_jars(
    server: str, *, cache: Path | None = None, lock: str | None = None, mirror: str | None = None, given_up: threading.Event | None = None
) -> list[Path]:
    """Return the class path of `server` ("kafka" or "mongo"), fetching what the cache lacks.

    Several processes may call this at once: one fetches, the others wait for it.

    Args:
        server: A section of the lock.
        cache: The cache directory; `cache_directory()` by default.
        lock: The text of the lock; devstack/jars.lock by default.
        mirror: Address of a Maven repository to use instead of jgo's; the setting PARLEY_JAR_MIRROR by default.
        given_up: Set by another thread when nobody waits for the jars any more.

    Raises:
        ChecksumError: A jar is not what the lock says.
        DownloadError: A jar could not be fetched.
        DiskFullError: The cache cannot be written.
    """
    cache = cache_directory() if cache is None else cache
    jars = read_lock(LOCK_PATH.read_text(encoding="utf-8") if lock is None else lock)[server]
    directory = cache / "jars"
    with clear_disk_errors(cache, "set PARLEY_CACHE to another directory"):
        if _missing(jars, directory):
            with only_process(cache / "jars.busy"):
                title = f"Fetching the jars of {server}"
                fetch(title, _missing(jars, directory), directory, mirror or os.environ.get(MIRROR_VARIABLE), given_up or threading.Event())
    return [directory / jar.path for jar in jars]


def _missing(jars: Sequence[Jar], directory: Path) -> list[Jar]:
    """Return the jars that are absent or damaged (all are hashed: 50 MB take a tenth of a second)."""
    with ThreadPoolExecutor(2) as pool:
        return [jar for jar, there in zip(jars, pool.map(lambda jar: jar.matches(directory / jar.path), jars), strict=True) if not there]


@contextlib.contextmanager
def only_process(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: one process at a time works inside. The kernel frees it when its holder dies.

    Raises:
        JarError: Another process held it for WAIT_FOR_OTHERS_SECONDS_MAX.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        _wait_for_lock(handle, path)
        yield


def _wait_for_lock(handle: IO[bytes], path: Path) -> None:
    deadline = monotonic() + WAIT_FOR_OTHERS_SECONDS_MAX
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                raise JarError(
                    f"Another process has been filling {path.parent} for {WAIT_FOR_OTHERS_SECONDS_MAX:.0f} s. End it, then try again."
                ) from None
            if not told:
                report(f"Another process is filling {path.parent}; waiting for it.")
                told = True
            threading.Event().wait(WAIT_POLL_SECONDS)
        else:
            return


def resolve_lock(cache: Path) -> str:
    """Resolve ROOTS over the network and return the text of a new lock.

    Args:
        cache: Where jgo may keep what it fetches for this.
    """
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - only the maintainer who writes the lock needs it

    context = MavenContext(resolver=PythonResolver(), repo_cache=cache, timeout=NETWORK_SECONDS_MAX)
    lines = [LOCK_HEADER]
    for server, roots in ROOTS.items():
        inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in roots])
        dependencies = [*inputs, *(dependency for dependency in transitive if dependency.scope in {"compile", "runtime"})]
        files = sorted(dependency.artifact.resolve() for dependency in dependencies)
        lines.append(f"\n[{server}]\n")
        lines += [f"{sha256_of(file)} {file.stat().st_size} {file.relative_to(cache).as_posix()}\n" for file in files]
    return "".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Fetch all jars, or with the argument `lock` write the lock anew; return the exit code."""
    try:
        if list(arguments) == ["lock"]:
            LOCK_PATH.write_text(resolve_lock(cache_directory() / "lock"), encoding="utf-8")
            report(f"Wrote {LOCK_PATH}.")
        else:
            for server in ROOTS:
                report(f"{server}: {len(ensure_jars(server))} jars are in {cache_directory() / 'jars'}.")
    except ParleyError as error:
        report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
