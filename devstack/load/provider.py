"""A provider: webhooks at a fixed arrival rate, whatever the answers are, each sent again until it is answered 200.

The generator beside it measures; this one keeps at it, as the vendors do, so that in the end every message counts exactly once. It
runs until it is told to stop: nobody knows beforehand how long a fault and the recovery from it take.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

import aiohttp

from devstack.load.requests import Script, webhook

ATTEMPT_SECONDS_MAX = 10.0
"""How long an answer is waited for (the vendor publishes nothing; resellers quote 3-10 s)."""
RETRY_SECONDS = (0.2, 0.5, 1.0)
"""Pauses before another attempt; the last one is repeated."""
CONNECTIONS_MAX = 256
ASK_FIRST_BYTES = 1024 * 1024
NO_ANSWER = 0
"""The status of an attempt that nobody answered."""


@dataclass(slots=True)
class Attempt:
    """One POST: when it left (seconds since 1970), how long it took, and its HTTP status, or NO_ANSWER."""

    left_at: float
    seconds: float
    status: int


@dataclass(slots=True)
class Post:
    """One message on its way: when it was due (seconds since 1970), its attempts, and when it was acknowledged, if it was."""

    message_id: str
    customer: str
    account: str
    due_at: float
    attempts: list[Attempt] = field(default_factory=list)
    acknowledged_at: float | None = None


class Provider:
    """Posts to `url`, signed with `secret`; an async context manager.

    `copies` says how often a message is sent although it was acknowledged (1: once); by its number.
    """

    def __init__(self, url: str, secret: str, *, copies: Callable[[int], int] = lambda _number: 1) -> None:
        self._url = url
        self._secret = secret
        self.copies = copies
        self.posts: dict[str, Post] = {}
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._flowing: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS_MAX),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything that is on its way, and close."""
        tasks = [*self._sending, *self._flowing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def unacknowledged(self) -> int:
        """Return how many messages are still to be acknowledged."""
        return sum(post.acknowledged_at is None for post in self.posts.values())

    def start(self, script: Script, per_second: float) -> None:
        """Let the customers of `script` write from now on, one message every 1 / `per_second` seconds.

        Several loads may flow at once, each with a `run` of its own.

        Raises:
            RuntimeError: They write already.
        """
        if script.run in self._flowing:
            raise RuntimeError(f"the load {script.run} runs already; stop it first")
        self._flowing[script.run] = asyncio.create_task(self._flow(script, per_second))

    async def stop(self) -> None:
        """Let nobody write any more; what was written goes on until it is acknowledged (`settle`)."""
        flowing, self._flowing = list(self._flowing.values()), {}
        for task in flowing:
            task.cancel()
        for outcome in await asyncio.gather(*flowing, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def settle(self, seconds_max: float) -> bool:
        """Wait until every message is acknowledged; return whether they are."""
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=seconds_max)
        return not self._sending

    async def _flow(self, script: Script, per_second: float) -> None:
        """Start a message at each of its moments; a late one does not delay the next."""
        origin, started_at, number = time.perf_counter(), time.time(), 0
        while True:
            due = number / per_second
            await asyncio.sleep(max(0.0, origin + due - time.perf_counter()))
            self._start(script, number, started_at + due)
            number += 1

    def _start(self, script: Script, number: int, due_at: float) -> None:
        """Let one message go."""
        post = Post(script.message_id(number), script.customer(number).bsuid or "", script.account(number), due_at)
        self.posts[post.message_id] = post
        body, headers = webhook(script, number, self._secret)
        task = asyncio.create_task(self._send(post, body, headers, self.copies(number)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, post: Post, body: bytes, headers: Mapping[str, str], copies: int) -> None:
        """Post until it was acknowledged, and then so often again."""
        while copies:
            attempt = await self.attempt(body, headers)
            post.attempts.append(attempt)
            if attempt.status == HTTPStatus.OK:
                post.acknowledged_at = post.acknowledged_at or attempt.left_at + attempt.seconds
                copies -= 1
            else:
                await asyncio.sleep(RETRY_SECONDS[min(len(post.attempts), len(RETRY_SECONDS)) - 1])

    async def attempt(self, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Post once and return what came of it."""
        if self._session is None:
            raise RuntimeError("the provider is not open: async with Provider(…)")
        left_at, began = time.time(), time.perf_counter()
        try:
            # Of a large body the receiver may say no before it has read it: asked first, its word is not lost with the connection.
            ask_first = len(body) > ASK_FIRST_BYTES
            data = io.BytesIO(body)
            async with self._session.post(self._url, data=data, headers=headers, allow_redirects=False, expect100=ask_first) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = NO_ANSWER
        return Attempt(left_at, time.perf_counter() - began, status)
