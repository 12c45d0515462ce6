"""Fetch jars through jgo, a Maven client in Python, and check each against its SHA-256.

jgo knows the registry; no address of one is written here. Of jgo only the Maven layer is used: `jgo.build` would also download a
Java 11 to sort jars into modules, which we do not need.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from devstack.progress import Advance, show_progress
from shared.errors import ParleyError

MIRROR_VARIABLE = "PARLEY_JAR_MIRROR"
DOWNLOADS_AT_ONCE = 6
ATTEMPTS_MAX = 3
NETWORK_SECONDS_MAX = 20


class JarError(ParleyError):
    """The jars of a development server cannot be had."""


class ChecksumError(JarError):
    """A fetched jar is not the one that the lock names."""


class DownloadError(JarError):
    """A jar could not be fetched: no network, or the registry does not have it."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: the jar's path below a Maven repository, its SHA-256 (hex) and its size in bytes."""

    path: str
    sha256: str
    size_bytes: int

    @property
    def coordinate(self) -> tuple[str, str, str]:
        """Group, artifact and version."""
        *group, artifact, version, _ = self.path.split("/")
        return ".".join(group), artifact, version

    def matches(self, file: Path) -> bool:
        """Return whether `file` is this jar, byte for byte."""
        if not file.is_file() or file.stat().st_size != self.size_bytes:
            return False
        return sha256_of(file) == self.sha256


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of `file` in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(title: str, jars: Sequence[Jar], directory: Path, mirror: str | None, given_up: threading.Event) -> None:
    """Fetch `jars` side by side; each appears in `directory` whole and checked, or not at all."""
    if not jars:
        return
    staging = directory.with_name("jars.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    failed = threading.Event()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, staging, ignore_errors=True)
        advance = cleanup.enter_context(show_progress(title, sum(jar.size_bytes for jar in jars)))
        fetch_one = _fetcher(staging, directory, mirror, _stoppable(advance, (given_up, failed)))
        pool = cleanup.enter_context(ThreadPoolExecutor(DOWNLOADS_AT_ONCE))
        downloads = [pool.submit(fetch_one, jar) for jar in jars]
        try:
            for download in as_completed(downloads):
                download.result()
        except BaseException:
            failed.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _stoppable(advance: Advance, signals: Sequence[threading.Event]) -> Advance:
    """Return `advance`, made to end a download once one of `signals` is set."""

    def advance_or_stop(done_bytes: int) -> None:
        if any(signal.is_set() for signal in signals):
            raise JarError("The fetch of the jars was given up. Run it again; what has arrived is kept.")
        advance(done_bytes)

    return advance_or_stop


def _fetcher(staging: Path, directory: Path, mirror: str | None, advance: Advance) -> Callable[[Jar], None]:
    """Return the function that brings one jar into `directory` by way of `staging`."""
    try:
        import requests  # noqa: PLC0415 - comes with jgo, and only a fetch needs it
        from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise JarError(f"jgo, which fetches the jars, is not installed ({error}). Install it: pip install jgo.") from error

    @contextlib.contextmanager
    def per_jar(_name: str, _size_bytes: int) -> Iterator[Advance]:
        yield advance

    context = MavenContext(
        resolver=PythonResolver(progress_callback=per_jar),
        repo_cache=staging,
        remote_repos={"mirror": mirror} if mirror else None,
        timeout=NETWORK_SECONDS_MAX,
    )

    def fetch_one(jar: Jar) -> None:
        group, artifact, version = jar.coordinate
        file = staging / jar.path
        for attempt in range(1, ATTEMPTS_MAX + 1):
            file.unlink(missing_ok=True)
            try:
                context.project(group, artifact).at_version(version).artifact().resolve()
            except (requests.RequestException, RuntimeError) as error:
                if attempt == ATTEMPTS_MAX:
                    raise DownloadError(_download_advice(jar, error, mirror)) from error
                continue
            break
        _check(jar, file)
        target = directory / jar.path
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    return fetch_one


def _download_advice(jar: Jar, error: Exception, mirror: str | None) -> str:
    source = f"the repository that {MIRROR_VARIABLE} names" if mirror else "the Maven repository"
    name = Path(jar.path).name
    if isinstance(error, RuntimeError):
        remedy = f"Try again later, or set {MIRROR_VARIABLE} to a repository that has it."
        return f"{name} cannot be fetched: {source} does not have it or refuses it. {remedy}"
    remedy = "Check the network and the proxy settings (HTTPS_PROXY), then run this again; what has arrived is kept."
    return f"{name} cannot be fetched: {source} cannot be reached ({type(error).__name__}). {remedy}"


def _check(jar: Jar, file: Path) -> None:
    """Refuse a fetched file that is not the jar of the lock.

    Raises:
        ChecksumError: It differs; it is removed.
    """
    if jar.matches(file):
        return
    found, size_bytes = sha256_of(file), file.stat().st_size
    file.unlink()
    raise ChecksumError(
        f"{file.name} is not the jar that devstack/jars.lock names: SHA-256 {found[:16]}… ({size_bytes} bytes) instead of"
        f" {jar.sha256[:16]}… ({jar.size_bytes} bytes). It was thrown away; run this again, and if it stays so, something between"
        " you and the Maven repository changes downloads: do not use that network."
    )
