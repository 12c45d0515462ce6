"""A TCP proxy that makes faults: it stands where clients are told to connect, and is switched while connections run.

async with FaultProxy(target_port=9092) as proxy:
    proxy.set(DOWN, Condition(black_hole=True))   # answers are lost
    proxy.heal()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

from devstack.faults.conditions import CLEAR, DIRECTIONS, DOWN, UP, Condition, Direction

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS_MAX = 5.0
IN_FLIGHT_BYTES_MAX = 8 * 1024 * 1024
"""What one direction of one connection may have on its way; from there on the sender is not read any more."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Inspect = Callable[[bytes], bool]
"""Looks at the bytes that a client sends over one connection; True resets that connection instead of passing them on."""


@dataclass(eq=False, slots=True)
class _Link:
    """One client's connection and ours to the server; `inspect` sees what the client sends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    inspect: Inspect | None
    lost_bytes: bool = False
    half_open: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        """Cut both sides with RST."""
        _reset(self.client)
        _reset(self.server)
        for task in self.tasks:
            task.cancel()


@dataclass(slots=True)
class _Flow:
    """What is on its way in one direction of one link: chunks with the moment of their arrival."""

    chunks: asyncio.Queue[tuple[float, bytes]] = field(default_factory=asyncio.Queue)
    bytes_under_way: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)


class FaultProxy:
    """Listens on loopback and passes every connection on to a server, under conditions per direction.

    Args:
        target_port: Where the server listens.
        listen_port: Where clients connect; 0 takes a free port.
        target_host: The server's host.
        inspector: Makes, per connection, what looks at the client's bytes; see Inspect.
    """

    def __init__(
        self, *, target_port: int, listen_port: int = 0, target_host: str = LOOPBACK, inspector: Callable[[], Inspect] | None = None
    ) -> None:
        self._target = (target_host, target_port)
        self._wanted_port = listen_port
        self.inspector = inspector
        self._conditions: dict[Direction, Condition] = dict.fromkeys(DIRECTIONS, CLEAR)
        self._refusing = False
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._server: asyncio.Server | None = None
        self._listening_port = listen_port
        self.accepted = 0
        self.resets = 0
        self.bytes_lost = 0

    @property
    def port(self) -> int:
        """Return the port that clients connect to."""
        return self._listening_port

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        return len(self._links)

    @property
    def disturbed(self) -> bool:
        """Return whether any fault is switched on."""
        return self._refusing or any(condition != CLEAR for condition in self._conditions.values())

    def condition(self, direction: Direction) -> Condition:
        """Return how bytes travel in a direction."""
        return self._conditions[direction]

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._wanted_port, limit=CHUNK_BYTES)
        self._listening_port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
        while serving := [task for task in self._serving if task is not None]:
            self.reset()
            await asyncio.wait(serving, timeout=CONNECT_SECONDS_MAX)
        if self._server is not None:
            await self._server.wait_closed()

    # --- switches -------------------------------------------------------------------------------------------------

    def set(self, direction: Direction, condition: Condition) -> None:
        """Let bytes travel under `condition` from now on; a black hole that closes resets the connections that lost bytes in it."""
        before, self._conditions[direction] = self._conditions[direction], condition
        if before.black_hole and not condition.black_hole:
            self.reset(only=lambda link: link.lost_bytes)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def set_both(self, condition: Condition) -> None:
        """Let bytes travel under `condition` in both directions."""
        for direction in DIRECTIONS:
            self.set(direction, condition)

    def refuse(self, *, on: bool = True) -> None:
        """Answer new connections with a reset, as a port does where nobody listens; those that exist are left alone."""
        self._refusing = on

    def reset(self, *, only: Callable[[_Link], bool] = lambda _link: True) -> int:
        """Cut connections with RST on both sides; return how many."""
        chosen = [link for link in self._links if only(link)]
        for link in chosen:
            link.reset()
            self._links.discard(link)
        self.resets += len(chosen)
        return len(chosen)

    def half_open(self) -> int:
        """Let the server's side of every connection go while the client's stays, silent, as after a crash that nobody heard of."""
        for link in self._links:
            link.half_open = True
            _reset(link.server)
        return len(self._links)

    def heal(self) -> None:
        """Switch every fault off. Connections that cannot go on (bytes lost, other side gone) are reset."""
        self.refuse(on=False)
        self.set_both(CLEAR)
        self.reset(only=lambda link: link.half_open)

    # --- connections ----------------------------------------------------------------------------------------------

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; known by its task, so that the proxy can wait for it."""
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._connect(client_reader, client)
        finally:
            self._serving.discard(task)

    async def _connect(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Connect to the server and carry both directions until both sides are done."""
        self.accepted += 1
        if self._refusing:
            _reset(client)
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                server_reader, server = await asyncio.open_connection(*self._target, limit=CHUNK_BYTES)
        except (OSError, TimeoutError):
            _reset(client)
            return
        link = _Link(client, server, self.inspector() if self.inspector else None)
        self._links.add(link)
        link.tasks = [
            asyncio.create_task(self._carry(link, client_reader, server, UP)),
            asyncio.create_task(self._carry(link, server_reader, client, DOWN)),
        ]
        try:
            await asyncio.wait(link.tasks)
        finally:
            link.reset()
            self._links.discard(link)
            await asyncio.gather(*link.tasks, return_exceptions=True)

    async def _carry(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """Carry one direction to its end; a side that breaks takes the other along, unless the link is meant to be half open."""
        flow = _Flow()
        delivering = asyncio.create_task(self._deliver(flow, writer, direction))
        try:
            await self._take(link, flow, reader, direction)
            await delivering
        except (OSError, asyncio.IncompleteReadError):
            if not link.half_open:
                link.reset()
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _take(self, link: _Link, flow: _Flow, reader: asyncio.StreamReader, direction: Direction) -> None:
        """Take what one side sends until its end, and put it on its way; an empty chunk is the end."""
        loop = asyncio.get_running_loop()
        while True:
            data = await reader.read(CHUNK_BYTES)
            condition = self._conditions[direction]
            if condition.black_hole or link.half_open:
                link.lost_bytes = link.lost_bytes or bool(data)
                self.bytes_lost += len(data)
                if not data:  # the other side does not hear of the end either
                    await self._until(lambda: not self._conditions[direction].black_hole and not link.half_open)
                    return flow.chunks.put_nowait((0.0, b""))
                continue
            if direction == UP and link.inspect is not None and link.inspect(data):
                self.resets += 1
                raise ConnectionResetError
            flow.bytes_under_way += len(data)
            flow.chunks.put_nowait((loop.time() + condition.latency_seconds, data))
            if not data:
                return None
            while flow.bytes_under_way > IN_FLIGHT_BYTES_MAX:
                flow.room.clear()
                await flow.room.wait()

    async def _deliver(self, flow: _Flow, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """Hand chunks to the other side at their moments, not faster than the bandwidth, and nothing while the direction is held."""
        loop = asyncio.get_running_loop()
        while True:
            arrives_at, data = await flow.chunks.get()
            await asyncio.sleep(max(0.0, arrives_at - loop.time()))
            await self._until(lambda: not self._conditions[direction].held)
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            for piece, seconds in _pieces(data, self._conditions[direction].bytes_per_second):
                await asyncio.sleep(seconds)
                writer.write(piece)
                await writer.drain()
            flow.bytes_under_way -= len(data)
            flow.room.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition that depends on the switches holds."""
        while not holds():
            await self._changed.wait()


def _pieces(data: bytes, bytes_per_second: float) -> Iterator[tuple[bytes, float]]:
    """Yield `data` in pieces of at most a tenth of a second, each with the seconds it takes; whole, and 0, without a limit."""
    if not bytes_per_second:
        yield data, 0.0
        return
    size = max(1, int(bytes_per_second / 10))
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        yield piece, len(piece) / bytes_per_second


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side gets RST, not FIN."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
