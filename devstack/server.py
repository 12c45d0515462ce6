"""What every development server here needs: a process on a leash, a log, a bounded end.

A child must not outlive us, not even when we die by SIGKILL: on Linux it asks the kernel to be killed with its parent
(prctl(2), PR_SET_PDEATHSIG). It runs in a session of its own, so that Ctrl-C in the terminal reaches us alone and we choose
the order in which things stop. POSIX only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

from shared.errors import ParleyError

STOP_SECONDS_MAX = 10.0
KILL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
LOG_BYTES_MAX = 8 * 1024 * 1024
LOG_START_BYTES = 64 * 1024
PORT_TAKEN_SIGNS = ("BindException", "Address already in use")

# Runs in the child before the server: the death signal survives exec, and a parent that died in between is noticed by its pid.
_LEASH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"Error: {sys.argv[2]} cannot be run: {error.strerror}")
"""


class ServerStartError(ParleyError):
    """A development server did not come up; the message names its log."""


class PortOccupiedError(ServerStartError):
    """The port that was asked for belongs to another process."""


class DiskFullError(ParleyError):
    """No space is left where a development server or its files should go."""


class DirectoryInUseError(ServerStartError):
    """Another process runs a server on the same data directory."""


@contextlib.contextmanager
def clear_disk_errors(directory: Path, remedy: str) -> Iterator[None]:
    """Turn a full or read-only disk below `directory` into one line that ends with `remedy`.

    Raises:
        DiskFullError: No space or quota is left, or nothing may be written there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"No space is left below {directory}. Free some, or {remedy}.") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise DiskFullError(
                f"Nothing may be written below {directory} ({error.strerror}). Change its permissions, or {remedy}."
            ) from error
        raise


class ServerProcess:
    """One server in a process of its own, its output appended to a log file.

    A thread starts the child and waits for it: the kernel's death signal follows the *thread* that forked, so that thread has to
    live exactly as long as the child. Methods may be called from any thread.
    """

    def __init__(self, name: str, command: Sequence[str], *, log_path: Path, pid_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._pid_path = pid_path
        self._log_offset = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._ended.set()

    @property
    def pid(self) -> int | None:
        """The process id while the server runs, else None."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return not self._ended.is_set()

    def start(self) -> None:
        """Start the process; what a former process left behind on the same pid file is ended first.

        Raises:
            ServerStartError: The process could not be started at all.
        """
        self._end_orphan()
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".old.log"))
        self._log_offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        forked = threading.Event()
        failures: list[OSError] = []
        self._ended.clear()
        threading.Thread(target=self._live, args=(forked, failures), name=f"leash of {self.name}", daemon=True).start()
        forked.wait()
        if failures or self._process is None:
            raise ServerStartError(f"{self.name} cannot be started: {failures}. Check that the files of its command exist.")
        self._pid_path.write_text(f"{self._process.pid}\n", encoding="ascii")

    def _live(self, forked: threading.Event, failures: list[OSError]) -> None:
        """Fork and stay until the child has ended."""
        try:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - the command is built here, from files that we checked
                    [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *self._command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            failures.append(error)
            self._ended.set()
            forked.set()
            return
        forked.set()
        self._process.wait()
        self._ended.set()

    def wait_until(self, ready: Callable[[], bool], *, seconds_max: float, given_up: threading.Event) -> None:
        """Return once `ready` says so.

        Raises:
            PortOccupiedError: The process could not have its port (it may well live on without).
            ServerStartError: The process ended, `seconds_max` passed, or `given_up` was set.
        """
        deadline = monotonic() + seconds_max
        while not ready():
            if any(sign in self.log_of_this_run() for sign in PORT_TAKEN_SIGNS):
                raise PortOccupiedError(f"A port of {self.name} was taken by another process while it started. Start it again.")
            if given_up.is_set():
                raise ServerStartError(f"The start of {self.name} was given up.")
            if self._ended.wait(POLL_SECONDS):
                raise ServerStartError(f"{self.name} ended while it started: {self.last_words()} See {self.log_path}.")
            if monotonic() > deadline:
                raise ServerStartError(
                    f"{self.name} was not ready after {seconds_max:.0f} s. See {self.log_path}; on a busy machine try again."
                )

    def wait_for_end(self, *, seconds_max: float, given_up: threading.Event) -> int | None:
        """Return the exit code once the process has ended, or None when `seconds_max` passed or `given_up` was set before."""
        deadline = monotonic() + seconds_max
        while not self._ended.wait(POLL_SECONDS):
            if given_up.is_set() or monotonic() > deadline:
                return None
        return None if self._process is None else self._process.returncode

    def last_words(self) -> str:
        """Return the line of this run's log that tells best why it ended."""
        return telling_line(self.log_of_this_run())

    def log_of_this_run(self) -> str:
        """Return the first LOG_START_BYTES that this run wrote."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(self._log_offset)
                return log.read(LOG_START_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def request_end(self) -> None:
        """Ask the process to end (SIGTERM); does nothing when it has ended."""
        self._signal(signal.SIGTERM)

    def end(self, *, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """End the process: SIGTERM, and SIGKILL when it still runs after `seconds_max`."""
        self.request_end()
        if not self._ended.wait(seconds_max):
            self.kill()
        self._pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the process (SIGKILL) and wait until it is gone; it leaves its pid file, as a crash would."""
        self._signal(signal.SIGKILL)
        self._ended.wait(KILL_SECONDS_MAX)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def _end_orphan(self) -> None:
        """Kill what a parent left behind that could not take its child along (no Linux), or that is just dying.

        Raises:
            DirectoryInUseError: It does not die.
        """
        pid = _read_pid(self._pid_path)
        if pid is None or not self._is_ours(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = monotonic() + KILL_SECONDS_MAX
        while self._is_ours(pid):
            if monotonic() > deadline:
                raise DirectoryInUseError(
                    f"Process {pid} of an earlier {self.name} does not end. End it by hand (kill -9 {pid}), then start again."
                )
            threading.Event().wait(POLL_SECONDS)

    def _is_ours(self, pid: int) -> bool:
        """Return whether `pid` runs this very command (pids are reused: the number alone proves nothing)."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return self._command[-1].encode() in arguments


def telling_line(output: str) -> str:
    """Return the line of a Java program's output that tells best why it ended."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign in ("Exception", "Error", "ERROR"):
        for line in lines:
            if sign in line and not line.startswith("at "):
                return line
    return lines[-1] if lines else "not a word."


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
