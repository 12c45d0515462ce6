"""A development server's process: it starts, it ends in time, and it never outlives its parent."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.ports import LOOPBACK, demand_port, free_port, port_is_free, port_is_open
from devstack.server import DiskFullError, PortOccupiedError, ServerProcess, ServerStartError, clear_disk_errors

PATIENT = "import signal, sys, threading; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
WAIT_SECONDS_MAX = 20.0


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert monotonic() < deadline
        threading.Event().wait(0.01)


def process_exists(pid: int) -> bool:
    """Return whether `pid` runs (a process that ended and was not collected does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


def make_server(directory: Path, code: str) -> ServerProcess:
    """Return a server that runs `code` and has the directory as its last argument, as the real ones have."""
    command = [sys.executable, "-c", code, str(directory / "settings")]
    return ServerProcess("the server", command, log_path=directory / "log", pid_path=directory / "pid")


def start(server: ServerProcess) -> None:
    """Start `server` and wait for its word."""
    server.start()
    server.wait_until(lambda: "up" in server.log_of_this_run(), seconds_max=WAIT_SECONDS_MAX, given_up=threading.Event())


def test_a_server_ends_when_asked(tmp_path: Path) -> None:
    """SIGTERM suffices for one that listens to it, and its pid file goes."""
    server = make_server(tmp_path, PATIENT)
    start(server)
    pid = server.pid
    assert pid is not None
    server.end()
    assert not server.running
    assert not process_exists(pid)
    assert not (tmp_path / "pid").exists()


def test_a_server_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """After the bound comes SIGKILL."""
    server = make_server(tmp_path, STUBBORN)
    start(server)
    server.end(seconds_max=0.1)
    assert not server.running


def test_a_server_has_a_session_of_its_own(tmp_path: Path) -> None:
    """Ctrl-C in the terminal does not reach it: we stop it when its clients have ended."""
    server = make_server(tmp_path, PATIENT)
    start(server)
    try:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid
    finally:
        server.end()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_a_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The parent gets SIGKILL and can do nothing more; the server is gone all the same."""
    code = (
        "import signal, sys, pathlib; from devstack.server import ServerProcess\n"
        "d = pathlib.Path(sys.argv[1])\n"
        "ServerProcess('s', [sys.executable, '-c', sys.argv[2], str(d)], log_path=d / 'log', pid_path=d / 'pid').start()\n"
        "print('started', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), PATIENT], stdout=subprocess.PIPE) as parent:  # noqa: S603 - our own code
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        pid = int((tmp_path / "pid").read_text(encoding="ascii"))
        wait_for(lambda: "up" in (tmp_path / "log").read_text(encoding="ascii"))
        assert process_exists(pid)
        parent.kill()
    wait_for(lambda: not process_exists(pid))


def test_an_orphan_of_an_earlier_run_is_ended_first(tmp_path: Path) -> None:
    """What runs the same command under the remembered pid is killed before the new process starts."""
    command = [sys.executable, "-c", PATIENT, str(tmp_path / "settings")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as orphan:  # noqa: S603 - our own code
        (tmp_path / "pid").write_text(f"{orphan.pid}\n", encoding="ascii")
        server = make_server(tmp_path, PATIENT)
        collector = threading.Thread(target=orphan.wait, daemon=True)
        collector.start()
        try:
            start(server)
            collector.join(WAIT_SECONDS_MAX)
            assert orphan.returncode == -signal.SIGKILL
        finally:
            orphan.kill()
            server.end()


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    """The remembered pid belongs to somebody else today: the number alone proves nothing."""
    (tmp_path / "pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    server = make_server(tmp_path, PATIENT)
    start(server)
    server.end()


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """The error carries the telling line of this run's log, not of an earlier one."""
    (tmp_path / "log").write_text("Exception of yesterday\n", encoding="ascii")
    server = make_server(tmp_path, "import sys; print('starting'); sys.exit('Exception: no such thing')")
    server.start()
    with pytest.raises(ServerStartError, match="ended while it started: Exception: no such thing") as caught:
        server.wait_until(lambda: False, seconds_max=WAIT_SECONDS_MAX, given_up=threading.Event())
    assert "yesterday" not in str(caught.value)


def test_patience_has_an_end(tmp_path: Path) -> None:
    """A server that never gets ready is reported after the bound, with its log."""
    server = make_server(tmp_path, PATIENT)
    start(server)
    try:
        with pytest.raises(ServerStartError, match="was not ready after 0 s"):
            server.wait_until(lambda: False, seconds_max=0.05, given_up=threading.Event())
    finally:
        server.end()


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """The leash cannot run what is not there: the start ends with the system's word."""
    server = ServerProcess("the server", [str(tmp_path / "nothing"), "x"], log_path=tmp_path / "log", pid_path=tmp_path / "pid")
    server.start()
    with pytest.raises(ServerStartError, match="nothing cannot be run: No such file"):
        server.wait_until(lambda: False, seconds_max=WAIT_SECONDS_MAX, given_up=threading.Event())


def test_an_occupied_port_is_refused() -> None:
    """A port on which somebody listens is neither free nor given, and the error says what to do."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert port_is_open(port)
        assert not port_is_free(port)
        with pytest.raises(PortOccupiedError, match=rf"Port {port} for the broker is occupied .* choose another port"):
            demand_port(port, "the broker")
    assert not port_is_open(port)
    assert demand_port(port, "the broker") == port


@given(st.sets(st.integers(20_000, 32_767), max_size=50))
def test_a_free_port_is_none_that_is_taken(taken: set[int]) -> None:
    """Ports chosen a moment ago, not yet listened on, are not given twice."""
    assert free_port(taken=tuple(taken)) not in taken


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "No space is left"),
        (errno.EDQUOT, "No space is left"),
        (errno.EROFS, "Nothing may be written"),
        (errno.EACCES, "Nothing"),
    ],
)
def test_a_disk_that_refuses_is_one_clear_line(tmp_path: Path, number: int, expected: str) -> None:
    """The error names the directory and the remedy."""
    with pytest.raises(DiskFullError, match=expected) as caught, clear_disk_errors(tmp_path, "use another directory"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path) in str(caught.value)
    assert "use another directory" in str(caught.value)


def test_other_errors_of_the_disk_pass() -> None:
    """What is no matter of space or permission keeps its own message."""
    with pytest.raises(FileNotFoundError), clear_disk_errors(Path(), "do nothing"):
        raise FileNotFoundError(errno.ENOENT, "no such file")
