"""The fault proxy against an echoing server: what passes, what waits, what is lost, what is cut."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.faults.__main__ import obey
from devstack.faults.conditions import DOWN, UP, Condition, ConditionError
from devstack.faults.kafka_frames import GROUP_REQUESTS, OFFSET_COMMIT, PRODUCE, RequestKinds
from devstack.faults.proxy import FaultProxy

PATIENCE_SECONDS = 10.0
QUIET_SECONDS = 0.2
"""How long nothing must come where nothing may come."""


@dataclass
class Echo:
    """A server that sends back what it gets, and remembers it."""

    port: int = 0
    got: bytes = b""
    ended: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo one connection."""
        try:
            while data := await reader.read(65536):
                self.got += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.ended += 1
            writer.transport.abort()
            async with self.news:
                self.news.notify_all()

    async def until_ended(self, connections: int) -> None:
        """Wait until so many connections have ended here."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.news:
            await self.news.wait_for(lambda: self.ended >= connections)


@asynccontextmanager
async def proxied(**options: object) -> AsyncIterator[tuple[FaultProxy, Echo]]:
    """Run an echo server behind a proxy."""
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with FaultProxy(target_port=echo.port, **options) as proxy:  # type: ignore[arg-type] # each test names what it wants
        yield proxy, echo
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect a client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    """Return the next bytes, or fail."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await reader.readexactly(count)


async def silent(reader: asyncio.StreamReader) -> bool:
    """Return whether nothing comes for a while."""
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_without_faults_bytes_and_ends_pass() -> None:
    """A megabyte goes there and back unchanged, and the client's end reaches the server."""
    payload = bytes(range(256)) * 4096
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        writer.write(payload)
        assert await exactly(reader, len(payload)) == payload
        writer.write_eof()
        await echo.until_ended(1)
        assert not proxy.disturbed


async def test_latency_delays_one_direction_and_keeps_the_order() -> None:
    """Each answer comes the latency later; what was sent meanwhile does not wait twice."""
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.set(DOWN, Condition(latency_seconds=0.3))
        started = time.monotonic()
        for number in range(10):
            writer.write(bytes([number]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await exactly(reader, 10) == bytes(range(10))
        assert 0.3 <= time.monotonic() - started < 3.0


async def test_bandwidth_limits_how_fast_bytes_arrive() -> None:
    """At 100 kB a second 30 kB take 0.3 s."""
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.set(UP, Condition(bytes_per_second=100_000))
        started = time.monotonic()
        writer.write(b"x" * 30_000)
        await exactly(reader, 30_000)
        assert time.monotonic() - started >= 0.25


async def test_held_bytes_arrive_afterwards() -> None:
    """Nothing is lost, the connection lives."""
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        proxy.set(UP, Condition(held=True))
        writer.write(b"wait")
        assert await silent(reader)
        assert echo.got == b""
        proxy.heal()
        assert await exactly(reader, 4) == b"wait"


async def test_a_black_hole_swallows_one_direction_only() -> None:
    """The request arrives, its answer is lost; when the hole closes, the connection that lost bytes is reset."""
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        proxy.set(DOWN, Condition(black_hole=True))
        writer.write(b"request")
        assert await silent(reader)
        assert echo.got == b"request"
        assert proxy.bytes_lost == 7
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await exactly(reader, 1)


async def test_a_connection_that_lost_nothing_survives_the_hole() -> None:
    """It was idle while bytes were swallowed."""
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(b"a")
        await exactly(reader, 1)
        proxy.set_both(Condition(black_hole=True))
        proxy.heal()
        writer.write(b"b")
        assert await exactly(reader, 1) == b"b"


async def test_a_reset_cuts_both_sides() -> None:
    """The client gets RST; a new connection works."""
    async with proxied() as (proxy, echo):
        async with connected(proxy) as (reader, writer):
            writer.write(b"a")
            await exactly(reader, 1)
            assert proxy.reset() == 1
            with pytest.raises(ConnectionResetError):
                await exactly(reader, 1)
            await echo.until_ended(1)
        async with connected(proxy) as (reader, writer):
            writer.write(b"b")
            assert await exactly(reader, 1) == b"b"


async def test_a_half_open_connection_is_silent_until_it_is_healed() -> None:
    """The server knows nothing of it any more, the client notices nothing."""
    async with proxied() as (proxy, echo), connected(proxy) as (reader, writer):
        writer.write(b"a")
        await exactly(reader, 1)
        assert proxy.half_open() == 1
        await echo.until_ended(1)
        writer.write(b"b")
        assert await silent(reader)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await exactly(reader, 1)


async def test_refused_connections_are_reset_at_once() -> None:
    """As where nobody listens; what is connected goes on."""
    async with proxied() as (proxy, _), connected(proxy) as (reader, writer):
        writer.write(b"a")
        await exactly(reader, 1)
        proxy.refuse()
        async with connected(proxy) as (late, _):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await exactly(late, 1)
        writer.write(b"b")
        assert await exactly(reader, 1) == b"b"


async def test_a_server_that_is_gone_is_a_reset() -> None:
    """The proxy answers for a server that does not listen."""
    async with proxied() as (_, echo):
        port = echo.port
    async with FaultProxy(target_port=port) as proxy, connected(proxy) as (reader, _):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await exactly(reader, 1)


def frame(key: int, body: bytes = b"") -> bytes:
    """Return a request as Kafka's clients write it."""
    return struct.pack(">ih", 2 + len(body), key) + body


async def test_one_kind_of_request_can_be_refused() -> None:
    """A commit resets its connection; a produce request passes."""
    blocked = {OFFSET_COMMIT}

    def inspector() -> object:
        kinds = RequestKinds()
        return lambda data: not blocked.isdisjoint(kinds.feed(data))

    async with proxied(inspector=inspector) as (proxy, echo):
        async with connected(proxy) as (reader, writer):
            request = frame(PRODUCE, b"records")
            writer.write(request)
            assert await exactly(reader, len(request)) == request
            writer.write(frame(OFFSET_COMMIT, b"offsets"))
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await exactly(reader, 1)
        blocked.clear()
        async with connected(proxy) as (reader, writer):
            writer.write(frame(OFFSET_COMMIT))
            assert await exactly(reader, 6) == frame(OFFSET_COMMIT)
        assert b"offsets" not in echo.got


@given(
    requests=st.lists(st.tuples(st.integers(0, 80), st.binary(max_size=40)), max_size=8),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=20),
)
def test_requests_are_told_apart_however_they_are_cut(requests: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """The keys come out in order, whatever pieces the network makes."""
    stream = b"".join(frame(key, body) for key, body in requests)
    kinds, found, position, turn = RequestKinds(), [], 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        found += kinds.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert found == [key for key, _ in requests]


def test_the_groups_requests_are_those_of_the_protocol() -> None:
    """The protocol guide numbers OffsetCommit 8, JoinGroup 11, Heartbeat 12, SyncGroup 14."""
    assert {8, 11, 12, 14} == GROUP_REQUESTS


@pytest.mark.parametrize(
    "order", ["up latency_seconds soon", "down black_hole maybe", "up colour red", "dance", "up latency_seconds -1", "refuse"]
)
async def test_an_order_that_means_nothing_is_refused(order: str) -> None:
    """The message says what there is."""
    with pytest.raises(ConditionError):
        obey(FaultProxy(target_port=1), order)


async def test_orders_switch_the_directions() -> None:
    """`both` means both, `heal` ends everything."""
    proxy = FaultProxy(target_port=1)
    obey(proxy, "both black_hole on")
    obey(proxy, "up bytes_per_second 100")
    assert proxy.condition(UP) == Condition(bytes_per_second=100, black_hole=True)
    assert proxy.condition(DOWN) == Condition(black_hole=True)
    assert obey(proxy, "refuse on")["disturbed"]
    obey(proxy, "heal")
    assert not proxy.disturbed


async def test_the_command_line_serves_and_obeys() -> None:
    """It tells its port, takes orders while it runs, and ends with its input."""
    async with proxied() as (_, echo):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "devstack.faults",
            "--target",
            f"127.0.0.1:{echo.port}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS * 3):
            port = json.loads(await process.stdout.readline())["port"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await exactly(reader, 5) == b"hello"
            process.stdin.write(b"down black_hole on\nnonsense\n")
            assert json.loads(await process.stdout.readline())["disturbed"]
            assert "error" in json.loads(await process.stdout.readline())
            writer.write(b"lost")
            assert await silent(reader)
            writer.transport.abort()
            process.stdin.close()
            assert await process.wait() == 0
