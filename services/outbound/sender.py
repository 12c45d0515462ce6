"""The request itself: aiohttp, and what an error says about whether the request left.

A request that did not leave may be made again; one that may have left must not. In doubt it may have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from shared.channels.contract import HttpRequest
from shared.errors import ParleyError

ANSWER_BYTES_MAX = 1024 * 1024
KEEP_ALIVE_SECONDS = 10.0
"""Idle connections are dropped before the channel's servers do it: a request into a closing connection is a lost answer."""
DNS_CACHE_SECONDS = 60


class RequestNotSentError(ParleyError):
    """Nothing left this process. `permanent`: and never will, the request itself is wrong."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class AnswerLostError(ParleyError):
    """The request may have left, and no whole answer came."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Makes requests."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Make the request once and return its answer. Raises RequestNotSentError or AnswerLostError."""
        ...


class HttpTransport:
    """One aiohttp session for all channels; opened in the running loop, closed by `close`."""

    def __init__(self, *, connect_timeout_seconds: float, request_timeout_seconds: float, connections_max: int) -> None:
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_seconds, connect=connect_timeout_seconds)
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; opens no connection yet."""
        connector = aiohttp.TCPConnector(limit=self._connections_max, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Make the request once and return its answer; redirects are answers. Errors name no address: it may hold a secret."""
        if self._session is None:
            raise RequestNotSentError("the HTTP session is not open; call open() first")
        try:
            async with self._session.request(
                request.method, request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                return HttpAnswer(response.status, {name.lower(): value for name, value in response.headers.items()}, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ServerFingerprintMismatch) as error:
            raise RequestNotSentError(f"No connection to the channel ({type(error).__name__}).") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise RequestNotSentError(f"The channel's address cannot be used ({type(error).__name__}).", permanent=True) from error
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise AnswerLostError(f"The request left and its answer was lost ({type(error).__name__}).") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; raises AnswerLostError for one that is larger than any answer to a send."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise AnswerLostError(f"The channel's answer is larger than {ANSWER_BYTES_MAX} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)
