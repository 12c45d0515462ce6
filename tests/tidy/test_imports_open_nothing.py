"""Importing a module opens nothing: no socket, no file for writing, no thread, no process."""

from __future__ import annotations

import subprocess
import sys

from tests.tidy.sources import PACKAGES, ROOT, python_sources

IMPORT_SECONDS_MAX = 180
WATCHED = """
import importlib, os, sys
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "os.fork", "os.mkdir",
             "os.remove", "os.rename", "_thread.start_new_thread")
seen = []
module = ""

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in FORBIDDEN or writes:
        seen.append(f"{module}: {event} {arguments[:1]!r}")

sys.addaudithook(watch)
for module in sys.argv[1:]:
    importlib.import_module(module)
print("\\n".join(seen))
"""


def modules() -> list[str]:
    """Return the names of all modules, those that run a process included."""
    names = [source.name.removesuffix(".py").replace("/", ".") for source in python_sources(*PACKAGES)]
    return sorted(name.removesuffix(".__init__") for name in names)


def run(code: str, *arguments: str) -> str:
    """Run code in an interpreter of its own; return what it printed."""
    command = (sys.executable, "-B", "-c", code, *arguments)
    done = subprocess.run(  # noqa: S603 # our own code
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=IMPORT_SECONDS_MAX
    )
    return done.stdout.strip()


def test_importing_every_module_opens_nothing() -> None:
    """The interpreter's own audit sees no connection, database, process, thread or written file while all are imported."""
    assert len(modules()) > 100
    assert run(WATCHED, *modules()) == ""


def test_the_watch_sees_what_it_is_for() -> None:
    """A module that opens something is caught."""
    opening = WATCHED.replace("importlib.import_module(module)", "__import__('socket').socket().bind(('127.0.0.1', 0))")
    assert "socket.bind" in run(opening, "anything")
