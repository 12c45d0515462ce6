"""The HTTP side of ingest: POST takes a webhook in, GET answers the channel that asks whether the address is ours.

200 means that every record is acknowledged by the broker; anything else makes the provider send the webhook again. The routes are
bare ones without body models: the raw bytes are what is signed, and they are read once.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from services.ingest.body import BodyBudget, IncomingBody, IntakeLimits, RefusedRequestError, inflate
from services.ingest.core import Intake, IntakeMetrics, Webhook, accept
from shared.channels.contract import UNKNOWN_ACCOUNT, Channel, Channels
from shared.clock import Clock
from shared.engine.records import Publication
from shared.errors import BrokerUnavailableError

Publish = Callable[[Sequence[Publication]], Awaitable[None]]
"""Writes publications and returns when all are acknowledged; raises BrokerUnavailableError."""

UNKNOWN_CHANNEL = UNKNOWN_ACCOUNT
"""The channel of a request whose address names none of ours: for the metrics, whose labels are bounded."""

logger = structlog.get_logger(__name__)


def _no_trace() -> None:
    """Return no trace context: none is recorded."""


def create_app(
    *,
    channels: Channels,
    accounts: Container[str],
    publish: Publish,
    clock: Clock,
    metrics: IntakeMetrics,
    limits: IntakeLimits | None = None,
    traceparent: Callable[[], str | None] = _no_trace,
    lifespan: Any = None,
) -> FastAPI:
    """Return the application.

    `accounts` holds `<channel>:<account>` of every configured account. `traceparent` gives the trace context of a new webhook, or
    None where none is recorded. `lifespan` is FastAPI's: it starts and stops what `publish` needs.
    """
    intake = _Intake(_Parts(channels, accounts, publish, clock, metrics, limits or IntakeLimits(), traceparent))
    routes: list[BaseRoute] = [
        Route(path, handler, methods=[method])
        for path in ("/channels/{channel}", "/channels/{channel}/{account}")
        for method, handler in (("POST", intake.take_in), ("GET", intake.shake_hands))
    ]
    return FastAPI(title="Parley ingest", routes=routes, lifespan=lifespan, openapi_url=None, redirect_slashes=False)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What ingest is made of; see create_app."""

    channels: Channels
    accounts: Container[str]
    publish: Publish
    clock: Clock
    metrics: IntakeMetrics
    limits: IntakeLimits
    traceparent: Callable[[], str | None]


class _Intake:
    """The two handlers and what they share."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._budget = BodyBudget(parts.limits.bytes_in_flight_max)

    async def shake_hands(self, request: Request) -> Response:
        """Answer a channel's GET."""
        channel = self._parts.channels.get(request.path_params["channel"])
        if channel is None:
            return _answer(404, "no such channel")
        answer = channel.handshake(dict(request.query_params))
        logger.info("handshake.answered", channel=channel.name, status=answer.status)
        return _answer(answer.status, answer.body)

    async def take_in(self, request: Request) -> Response:
        """Answer a webhook; whatever happens is counted."""
        clock, metrics = self._parts.clock, self._parts.metrics
        started = clock.monotonic_seconds()
        channel = self._parts.channels.get(request.path_params["channel"])
        name = channel.name if channel else UNKNOWN_CHANNEL
        try:
            response = await self._taken_in(channel, request)
        except RefusedRequestError as error:
            logger.warning("webhook.refused", channel=name, status=error.status, reason=str(error))
            response = _answer(error.status, str(error), {"connection": "close"})
        except Exception as error:  # noqa: BLE001 # the boundary: reported without its message, which may repeat a customer's text
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            logger.error("webhook.failed", channel=name, error=type(error).__name__, where=place)  # noqa: TRY400 # a traceback may hold message text
            response = _answer(500, "internal error")
        metrics.answered(name, response.status_code, clock.monotonic_seconds() - started)
        return response

    async def _taken_in(self, channel: Channel | None, request: Request) -> Response:
        """Read, verify, parse and publish. Raises RefusedRequestError."""
        if channel is None:
            return _answer(404, "no such channel")
        parts = self._parts
        with IncomingBody(request, parts.limits, self._budget) as incoming:
            raw = await incoming.read()
            headers = dict(request.headers)
            body = inflate(raw, headers.get("content-encoding", ""), parts.limits.inflated_bytes_max)
            account: str | None = request.path_params.get("account")
            # A vendor signs what it wrote; whether it compressed before or after is not told.
            if not (channel.verify(headers, raw, account=account) or (body is not raw and channel.verify(headers, body, account=account))):
                raise RefusedRequestError(401, "the signature does not match")
            received_at = parts.clock.now()
            items = channel.parse(body, received_at, account=account)
            webhook = Webhook(channel.name, received_at, account, headers, parts.traceparent())
            return await self._publish(channel.name, accept(items, webhook, parts.accounts))

    async def _publish(self, channel: str, intake: Intake) -> Response:
        """Publish, and only then say 200."""
        if intake.records:
            publications = [Publication(record.topic, record.key, record.value) for record in intake.records]
            try:
                async with asyncio.timeout(self._parts.limits.publish_seconds):
                    await self._parts.publish(publications)
            except (BrokerUnavailableError, TimeoutError) as error:
                logger.warning("webhook.not_stored", channel=channel, records=len(publications), error=type(error).__name__)
                return _answer(503, "not stored: come again")
        self._parts.metrics.taken_in(channel, intake.counts)
        if intake.counts.rejected:
            logger.warning("items.rejected", channel=channel, reasons=dict(intake.counts.rejected))
        for notice in intake.notices:
            logger.warning("account.noticed", channel=channel, account=notice.account, notice=notice.text)
        return _answer(200, "ok")


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return a plain-text answer that no browser takes for anything else."""
    return PlainTextResponse(text, status, {"x-content-type-options": "nosniff", **(headers or {})})
