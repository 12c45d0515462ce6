"""Reading the body of a request that nobody has proved to be ours yet: everything about it has a bound."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from typing import Self

from starlette.types import Receive

MEBIBYTE = 1024 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_BARE_DEFLATE = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The bounds of ingest. The vendors' largest webhook is 3 MB (WhatsApp, "Create a webhook endpoint", 2025-11-07).

    `inflated_bytes_max` bounds a compressed body after inflating, `bytes_in_flight_max` all bodies in memory at once.
    `publish_seconds` is how long the broker may take before the provider is told to come again.
    """

    body_bytes_max: int = 3 * MEBIBYTE
    inflated_bytes_max: int = 3 * MEBIBYTE
    bytes_in_flight_max: int = 64 * MEBIBYTE
    read_seconds: float = 10.0
    publish_seconds: float = 2.0


class RefusedRequestError(Exception):
    """A request is answered with `status`, before its body is looked into; the message goes into the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyBudget:
    """The bytes of all bodies in memory."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """Return how many bytes are in memory now."""
        return self._held

    def take(self, size: int) -> None:
        """Take `size` bytes. Raises RefusedRequestError (503) where they are not left."""
        if self._held + size > self._bytes_max:
            raise RefusedRequestError(503, "too many webhooks at once: come again")
        self._held += size

    def give_back(self, size: int) -> None:
        """Give `size` bytes back."""
        self._held -= size


class IncomingBody:
    """The body of one request; a context manager, so that its bytes are given back to the budget however the request ends."""

    def __init__(self, receive: Receive, limits: IntakeLimits, budget: BodyBudget) -> None:
        self._receive = receive
        self._limits = limits
        self._budget = budget
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._taken)

    async def read(self) -> bytes:
        """Return the body as it came. Raises RefusedRequestError: too large (413), too slow (408), gone (400), no room (503).

        `Content-Length` is not trusted: what counts is what comes.
        """
        chunks: list[bytes] = []
        more = True
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedRequestError(400, "the sender hung up")
                    chunk = message.get("body", b"")
                    self._take(len(chunk))
                    chunks.append(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise RefusedRequestError(408, "the body did not arrive in time") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _take(self, size: int) -> None:
        if self._taken + size > self._limits.body_bytes_max:
            raise RefusedRequestError(413, f"a webhook has at most {self._limits.body_bytes_max} bytes")
        self._budget.take(size)
        self._taken += size


def inflate(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return `body` without its `Content-Encoding`.

    Raises RefusedRequestError: an encoding that is not known (415), broken data (400), more than `bytes_max` bytes (413).
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, _GZIP_OR_ZLIB, bytes_max)
        case "deflate":
            # The standard means zlib's format; some senders leave its header out.
            try:
                return _inflated(body, _GZIP_OR_ZLIB, bytes_max)
            except RefusedRequestError as error:
                if error.status == 413:  # noqa: PLR2004 # the HTTP status itself
                    raise
            return _inflated(body, _BARE_DEFLATE, bytes_max)
        case _:
            raise RefusedRequestError(415, "send the body as it is, or as gzip or deflate")


def _inflated(body: bytes, window_bits: int, bytes_max: int) -> bytes:
    """Return the inflated body, of which never more than one byte above `bytes_max` is made."""
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(body, bytes_max + 1)
    except zlib.error:
        raise RefusedRequestError(400, "the compressed body is broken") from None
    if len(plain) > bytes_max:
        raise RefusedRequestError(413, f"an inflated webhook has at most {bytes_max} bytes")
    if not inflater.eof or inflater.unused_data:
        raise RefusedRequestError(400, "the compressed body is broken")
    return plain
