"""A connection that is cut in the middle is an error of Kafka's, on uvloop too."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from shared.engine.closed_connections import mind_closed_connections

PATIENCE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _original() -> Iterator[None]:
    """Give aiokafka its own method back."""
    original = AIOKafkaConnection.send
    yield
    AIOKafkaConnection.send = original


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection at its first byte."""
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def write_to_a_cut_connection() -> BaseException:
    """Send a request over a connection that has just been cut; return what the sender is told."""
    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not writer.transport.is_closing():
            assert time.monotonic() < deadline, "the connection was never cut"
            await asyncio.sleep(0.001)
        connection = AIOKafkaConnection("127.0.0.1", 1, request_timeout_ms=1_000)
        connection._reader, connection._writer, connection._versions = reader, writer, {}
        connection._read_task = connection._closed_fut = asyncio.get_running_loop().create_future()
        connection._read_task.set_result(None)
        try:
            connection.send(ApiVersionRequest())
        except (KafkaConnectionError, RuntimeError) as error:
            return error
        finally:
            connection.close()
    raise AssertionError("nobody was told")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no uvloop")
def test_a_cut_connection_is_an_error_that_callers_expect() -> None:
    """On uvloop aiokafka alone lets a RuntimeError out; a second call of ours changes nothing more."""
    import uvloop  # noqa: PLC0415 # not made for Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert isinstance(runner.run(write_to_a_cut_connection()), RuntimeError)
        mind_closed_connections()
        ours = AIOKafkaConnection.send
        mind_closed_connections()
        assert AIOKafkaConnection.send is ours
        assert isinstance(runner.run(write_to_a_cut_connection()), KafkaConnectionError)


def test_a_connection_that_was_never_made_says_so_as_before() -> None:
    """There is no transport to look at."""
    mind_closed_connections()

    async def send() -> None:
        await AIOKafkaConnection("127.0.0.1", 1, request_timeout_ms=1_000).send(ApiVersionRequest())

    with pytest.raises(KafkaConnectionError, match="No connection"):
        asyncio.run(send())
