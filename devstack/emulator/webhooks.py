"""Delivery of webhooks: POST the exact bytes, log each attempt, retry what was not answered 200.

Meta retries at once, then with decreasing frequency for 7 days, and drops the webhook then (its pages of 2026-06-17 and
2026-06-26). The shape of that is kept here; the times are settings, because nobody develops for 7 days.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from devstack.emulator.journal import Journal

ERROR_CHARACTERS_MAX = 200


class DeliverySettings(BaseModel):
    """How webhooks are delivered.

    `retry_delays_seconds` are the pauses before the retries, the first at once; the last one repeats until
    `retry_horizon_seconds` after the first attempt. All of them are multiplied by `time_scale`. `concurrent_posts_max` bounds the
    requests in flight and `post_timeout_seconds` each of them (the vendor publishes none; resellers quote 3-10 s).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry_delays_seconds: tuple[float, ...] = (0.0, 0.2, 1.0, 5.0, 15.0, 30.0, 60.0)
    retry_horizon_seconds: float = 600.0
    time_scale: PositiveFloat = 1.0
    post_timeout_seconds: PositiveFloat = 10.0
    concurrent_posts_max: PositiveInt = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """One POST to make: the exact bytes, their headers, and a summary of the items for the log."""

    id: str
    url: str
    body: bytes
    headers: dict[str, str]
    items: list[dict[str, Any]]
    copy: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one POST. `http_status` is None when nobody answered; `error` says why."""

    webhook_id: str
    copy: int
    attempt: int
    http_status: int | None
    latency_milliseconds: float
    error: str | None = None

    @property
    def acknowledged(self) -> bool:
        """Return whether the receiver took it: 200 and nothing else."""
        return self.http_status == HTTPStatus.OK


@dataclass
class Delivery:
    """A webhook on its way. `first` holds the first attempt, `settled` the last one (acknowledged or given up)."""

    webhook: Webhook
    first: asyncio.Future[Attempt]
    settled: asyncio.Future[Attempt]


def retry_pauses(settings: DeliverySettings) -> Iterator[float]:
    """Yield the pauses before each retry, in seconds, as long as the horizon lasts."""
    spent, pauses = 0.0, settings.retry_delays_seconds
    position = 0
    while pauses and position < len(pauses) + settings.retry_horizon_seconds:
        pause = pauses[min(position, len(pauses) - 1)]
        spent += pause
        if spent > settings.retry_horizon_seconds:
            return
        yield pause * settings.time_scale
        position += 1


@dataclass
class WebhookSender:
    """Posts webhooks concurrently and keeps at it. `open` before use, `close` ends everything that is still on its way."""

    settings: DeliverySettings
    journal: Journal
    pending: int = 0
    _session: aiohttp.ClientSession | None = None
    _turn: asyncio.Semaphore = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._turn = asyncio.Semaphore(self.settings.concurrent_posts_max)

    def open(self) -> None:
        """Open the HTTP client (inside a running loop)."""
        timeout = aiohttp.ClientTimeout(total=self.settings.post_timeout_seconds)
        connector = aiohttp.TCPConnector(limit=self.settings.concurrent_posts_max)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Stop all deliveries and close the client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the open HTTP client."""
        if self._session is None:
            raise RuntimeError("The webhook sender is not open: call open() inside the running loop first.")
        return self._session

    def submit(self, webhook: Webhook, *, delay_seconds: float = 0.0) -> Delivery:
        """Start delivering `webhook` after `delay_seconds`."""
        loop = asyncio.get_running_loop()
        delivery = Delivery(webhook, loop.create_future(), loop.create_future())
        self.pending += 1
        self.journal.count("webhooks.created" if webhook.copy == 1 else "webhooks.copies")
        task = loop.create_task(self._deliver(delivery, delay_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return delivery

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.pending -= 1
        self.journal.wake()

    async def _deliver(self, delivery: Delivery, delay_seconds: float) -> None:
        if delay_seconds > 0:
            await asyncio.sleep(delay_seconds)
        attempt = await self._attempt(delivery.webhook, 1)
        delivery.first.set_result(attempt)
        for pause in retry_pauses(self.settings):
            if attempt.acknowledged:
                break
            await asyncio.sleep(pause)
            attempt = await self._attempt(delivery.webhook, attempt.attempt + 1)
        if not attempt.acknowledged:
            self.journal.count("webhooks.given_up")
            self.journal.append("webhook_given_up", webhook_id=delivery.webhook.id, copy=delivery.webhook.copy, attempts=attempt.attempt)
        delivery.settled.set_result(attempt)

    async def _attempt(self, webhook: Webhook, number: int) -> Attempt:
        async with self._turn:
            started = time.perf_counter()
            status, error = await self._post(webhook)
        latency = round((time.perf_counter() - started) * 1000, 3)
        attempt = Attempt(webhook.id, webhook.copy, number, status, latency, error)
        self.journal.count("webhooks.attempts", f"webhooks.answered.{status}" if status else "webhooks.unanswered")
        if attempt.acknowledged:
            self.journal.count("webhooks.acknowledged")
        self.journal.append(
            "webhook",
            webhook_id=webhook.id,
            copy=webhook.copy,
            attempt=number,
            http_status=status,
            error=error,
            latency_milliseconds=latency,
            body_bytes=len(webhook.body),
            items=webhook.items,
        )
        return attempt

    async def _post(self, webhook: Webhook) -> tuple[int | None, str | None]:
        try:
            async with self.session.post(webhook.url, data=webhook.body, headers=webhook.headers, allow_redirects=False) as answer:
                await answer.read()
                return answer.status, None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS_MAX]
