"""Ports on loopback for development servers."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from pathlib import Path

from devstack.server import PortOccupiedError

LOOPBACK = "127.0.0.1"
PORT_MIN = 20_000
PORT_MAX = 32_767
PORT_ATTEMPTS_MAX = 200
CONNECT_SECONDS_MAX = 0.2


def port_is_open(port: int) -> bool:
    """Return whether something takes connections on loopback `port` now."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=CONNECT_SECONDS_MAX):
            return True
    except OSError:
        return False


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on loopback `port` now (connections that linger in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(*, taken: Sequence[int] = ()) -> int:
    """Return a loopback port that is free now and not in `taken`.

    The ports of outgoing connections are avoided: a client that keeps dialling a killed server's port from that range can be
    connected to itself, and then the restarted server finds its port occupied.

    Raises:
        PortOccupiedError: No free port was found in PORT_ATTEMPTS_MAX attempts.
    """
    last = min(PORT_MAX, _first_outgoing_port() - 1)
    candidates = range(PORT_MIN, last + 1) if last > PORT_MIN + PORT_ATTEMPTS_MAX else range(PORT_MIN, PORT_MAX + 1)
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.choice(candidates)
        if port not in taken and port_is_free(port):
            return port
    raise PortOccupiedError(
        f"No free port between {candidates.start} and {candidates.stop - 1} on {LOOPBACK}. Stop servers that you do not need."
    )


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return PORT_MAX + 1


def demand_port(port: int, server: str) -> int:
    """Return `port` if `server` may have it.

    Raises:
        PortOccupiedError: Something listens there already.
    """
    if not port_is_free(port):
        raise PortOccupiedError(
            f"Port {port} for {server} is occupied on {LOOPBACK}. Stop the process that listens there, or choose another port."
        )
    return port
