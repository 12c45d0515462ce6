"""aiohttp against a small server that answers, delays, drops and refuses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.outbound.sender import ANSWER_BYTES_MAX, AnswerLostError, HttpTransport, RequestNotSentError
from shared.channels.contract import HttpRequest

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return one whole request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    return head + await reader.readexactly(length)


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """Run a server that treats each connection as `serve` does; give its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@asynccontextmanager
async def transport(connect: float = 2, total: float = 2, connections: int = 10) -> AsyncIterator[HttpTransport]:
    """Give an open transport."""
    made = HttpTransport(connect_timeout_seconds=connect, request_timeout_seconds=total, connections_max=connections)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def post(url: str) -> HttpRequest:
    """Return a send."""
    return HttpRequest("POST", url, {"Authorization": "Bearer secret"}, b'{"to":"x"}')


async def test_an_answer_is_returned_whole_and_redirects_are_answers() -> None:
    """Status, lower-case header names, body; the request carries ours."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nX-Trace: 7\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with server(serve) as url, transport() as sender:
        answer = await sender.send(post(url))
    assert (answer.status, answer.body, answer.headers["x-trace"]) == (307, b"ok", "7")
    assert b"POST / HTTP/1.1" in seen[0]
    assert b"Bearer secret" in seen[0]
    assert seen[0].endswith(b'{"to":"x"}')


async def test_a_connection_that_is_refused_sent_nothing() -> None:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with transport() as sender:
            with pytest.raises(RequestNotSentError, match="No connection") as raised:
                await sender.send(post(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert not raised.value.permanent


async def test_a_name_that_does_not_exist_sent_nothing() -> None:
    """RFC 6761 keeps `.invalid` from resolving."""
    async with transport() as sender:
        with pytest.raises(RequestNotSentError, match="No connection"):
            await sender.send(post("http://channel.invalid/"))


async def test_a_connection_that_is_not_had_in_time_sent_nothing() -> None:
    """The pool is full: the request waits for a connection, and gives up before it has one."""
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await asyncio.Event().wait()

    async with server(serve) as url, transport(connect=0.05, total=5, connections=1) as sender:
        first = asyncio.create_task(sender.send(post(url)))
        await arrived.wait()
        with pytest.raises(RequestNotSentError, match="ConnectionTimeout"):
            await sender.send(post(url))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://"])
async def test_an_address_that_cannot_be_used_is_final(url: str) -> None:
    """Trying again would not help."""
    async with transport() as sender:
        with pytest.raises(RequestNotSentError) as raised:
            await sender.send(post(url))
    assert raised.value.permanent


async def test_a_time_out_after_the_request_left_is_a_lost_answer() -> None:
    """The server has the request and says nothing."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await read_request(reader))
        await asyncio.Event().wait()

    async with server(serve) as url, transport(total=0.1) as sender:
        with pytest.raises(AnswerLostError, match="TimeoutError"):
            await sender.send(post(url))
    assert len(arrived) == 1


@pytest.mark.parametrize(
    "part",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"gibberish\r\n\r\n"],
    ids=["nothing", "half a head", "half a body", "no HTTP"],
)
async def test_a_connection_that_drops_after_reading_is_a_lost_answer_and_asked_once(part: bytes) -> None:
    """Whatever came before it dropped, the request is not made a second time."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await read_request(reader))
        writer.write(part)
        await writer.drain()

    async with server(serve) as url, transport() as sender:
        with pytest.raises(AnswerLostError):
            await sender.send(post(url))
    assert len(arrived) == 1


async def test_a_reused_connection_that_drops_is_not_asked_again() -> None:
    """The second request on a kept connection is lost with it: it may have been read."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        arrived.append(await read_request(reader))

    async with server(serve) as url, transport() as sender:
        assert (await sender.send(post(url))).body == b"ok"
        with pytest.raises(AnswerLostError):
            await sender.send(post(url))
    assert len(arrived) == 2


async def test_an_answer_without_end_is_a_lost_answer() -> None:
    """No answer to a send is a megabyte long; it is not read to its end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * ANSWER_BYTES_MAX))
        for _ in range(2 * ANSWER_BYTES_MAX // 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with server(serve) as url, transport() as sender:
        with pytest.raises(AnswerLostError, match="larger than"):
            await sender.send(post(url))


async def test_no_error_repeats_the_address_or_a_secret() -> None:
    """Addresses of some channels hold the token."""
    async with transport() as sender:
        with pytest.raises(RequestNotSentError) as raised:
            await sender.send(post("http://token-7.invalid/bot-secret/send"))
    assert "secret" not in str(raised.value)
    assert "token" not in str(raised.value)


async def test_a_transport_that_is_not_open_sends_nothing() -> None:
    """It is opened in the loop that uses it; closing twice is no error."""
    sender = HttpTransport(connect_timeout_seconds=1, request_timeout_seconds=1, connections_max=1)
    with pytest.raises(RequestNotSentError, match="open"):
        await sender.send(post("http://127.0.0.1:1/"))
    await sender.close()
