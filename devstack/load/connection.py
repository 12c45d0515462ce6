"""One keep-alive HTTP/1.1 connection that costs the generator as little as possible: bytes out, a status in.

A client library costs more per request than the server under load does; then the load would measure the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
LOST = 0
"""The status of a request whose connection was lost before the answer."""
_STATUS = slice(9, 12)


class AnswerError(Exception):
    """The server answered in a form that this client does not read."""


class Connection(asyncio.Protocol):
    """Carries one request at a time; `on_answer` is told the status of each, LOST where the connection ended instead.

    `on_idle_end` is told when the other side ends a connection that carries nothing, as servers do with idle ones.
    """

    def __init__(
        self, on_answer: Callable[[Connection, int], None], on_idle_end: Callable[[Connection], None] = lambda _connection: None
    ) -> None:
        self._on_answer = on_answer
        self._on_idle_end = on_idle_end
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._expected: int | None = None
        self._busy = False
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Return whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # why it was lost is nothing to a load
        """Report the request that was under way, or that there was none."""
        transport, self._transport = self._transport, None
        if self._busy:
            self._finish(LOST)
        elif transport is not None and not self._closed:
            self._on_idle_end(self)

    def send(self, request: bytes) -> None:
        """Send a whole request; the last one must have been answered."""
        self._busy = True
        self._expected = None
        self._buffer = b""
        if self._transport is None or self._transport.is_closing():
            asyncio.get_running_loop().call_soon(self._finish, LOST)
            return
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._expected is None:
            head_end = self._buffer.find(HEAD_END)
            if head_end < 0:
                return
            self._expected = head_end + len(HEAD_END) + content_length(self._buffer[:head_end])
        if len(self._buffer) >= self._expected:
            self._finish(int(self._buffer[_STATUS]))

    def close(self) -> None:
        """End the connection."""
        self._busy = False
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def _finish(self, status: int) -> None:
        if self._busy:
            self._busy = False
            self._on_answer(self, status)


def content_length(head: bytes) -> int:
    """Return the length of the body that follows `head`; raises AnswerError where the head does not say it."""
    lowered = head.lower()
    start = lowered.find(LENGTH)
    if start < 0:
        raise AnswerError("an answer without Content-Length: this client reads no chunks")
    return int(lowered[start + len(LENGTH) :].split(b"\r\n", 1)[0])


def request_bytes(path: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body
