"""A class archive (Java's CDS): the broker's 7,000 classes parsed and laid out once, mapped into memory at every later start.

It halves the time and the CPU of a start (3 s to 1.5 s on two cores) and costs a quarter of a minute once per Java and set of
jars. It is an optimisation only: Java ignores an archive that does not fit and reads the jars instead.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from devstack.jars import only_process
from devstack.java import Java
from devstack.progress import report
from devstack.server import ServerProcess, ServerStartError, clear_disk_errors

DUMP_SECONDS_MAX = 180.0
# Since Java 24 classes can be stored linked, not only parsed; the flag must be the same when archive is written and read.
LINKED_CLASSES_VERSION_MIN = 24


def archive_options(java: Java, archive: Path | None) -> list[str]:
    """Return the Java options that use `archive` (silently: one that does not fit is no mistake of the user's)."""
    if archive is None:
        return []
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", *_linked(java)]


Train = Callable[[Sequence[str]], None]


def ensure_archive(
    java: Java, class_path: Sequence[Path], memory: Sequence[str], cache: Path, *, train: Train, given_up: threading.Event
) -> Path | None:
    """Return the archive for this Java and class path, making it when the cache has none.

    Args:
        java: The runtime; an archive fits one build of it.
        class_path: The jars in the order of the command line; an archive fits their paths and times.
        memory: The heap and collector options of the server: the archive must be written with the same.
        cache: The cache directory.
        train: Runs the server once with the extra Java options that it is given.
        given_up: Set when nobody waits for the archive any more.

    Returns:
        The archive, or None where it could not be made; the reason is kept beside its place, and it is not tried again.
    """
    directory = cache / "classes"
    key = _key(java, class_path, memory)
    archive, refusal = directory / f"{key}.jsa", directory / f"{key}.failed"
    if archive.exists():
        return archive
    if refusal.exists():
        return None
    with clear_disk_errors(cache, "set PARLEY_CACHE to another directory"), only_process(cache / "classes.busy"):
        if archive.exists():
            return archive
        directory.mkdir(parents=True, exist_ok=True)
        report("Preparing Java's class archive, once (about 15 s).")
        complaint = _make([str(java.executable), *memory, *_linked(java), "-cp", join_class_path(class_path)], archive, train, given_up)
        if complaint is None:
            return archive
        if given_up.is_set():
            return None
        refusal.write_text(complaint, encoding="utf-8")
        report(f"Java's class archive cannot be made; the broker starts slower without it. The reason is in {refusal}.")
        return None


def _make(command: Sequence[str], archive: Path, train: Train, given_up: threading.Event) -> str | None:
    """Record the classes of a training run, write them to `archive`, and return what went wrong, if anything."""
    classes, draft, log = (archive.with_suffix(suffix) for suffix in (".classes", ".draft", ".log"))
    dump = ServerProcess(
        "the dump of Java's classes",
        [*command, "-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={draft}"],
        log_path=log,
        pid_path=archive.with_suffix(".pid"),
    )
    try:
        train([f"-XX:DumpLoadedClassList={classes}"])
        dump.start()
        if dump.wait_for_end(seconds_max=DUMP_SECONDS_MAX, given_up=given_up) != 0 or not draft.exists():
            return dump.log_of_this_run()
        draft.replace(archive)
    except ServerStartError as error:
        return str(error)
    finally:
        dump.end(seconds_max=0)
        for leftover in (classes, draft, log):
            leftover.unlink(missing_ok=True)
    return None


def join_class_path(class_path: Sequence[Path]) -> str:
    """Return the value of -cp."""
    return ":".join(map(str, class_path))


def _linked(java: Java) -> list[str]:
    return ["-XX:+AOTClassLinking"] if java.version >= LINKED_CLASSES_VERSION_MIN else []


def _key(java: Java, class_path: Sequence[Path], memory: Sequence[str]) -> str:
    """Return a name for all that an archive depends on."""
    parts = [java.description, str(java.executable), *memory]
    parts += [f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in class_path]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
