"""The HTTP side of ingest: POST takes a webhook in, GET answers the channel that asks whether the address is ours.

200 means that every record is acknowledged by the broker; anything else makes the provider send the webhook again. The routes are
bare ones without body models: the raw bytes are what is signed, and they are read once.
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from services.ingest.body import BodyBudget, IncomingBody, IntakeLimits, RefusedRequestError, inflate
from services.ingest.core import Intake, IntakeMetrics, Webhook, accept
from services.ingest.openapi import openapi_document
from shared.channels.contract import UNKNOWN_ACCOUNT, Channel, Channels
from shared.clock import Clock
from shared.engine.records import Publication
from shared.errors import BrokerUnavailableError
from shared.ids import digest

Publish = Callable[[Sequence[Publication]], Awaitable[None]]
"""Writes publications and returns when all are acknowledged; raises BrokerUnavailableError."""

_LONG_NUMBER = re.compile(r"[1-9][0-9]{14,19}")
"""The vendor's number of a business; telephone numbers of the world have up to 13 digits (15 are allowed, and used by nobody)."""
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
    paths = ("/channels/{channel}", "/channels/{channel}/{account}")
    routes: list[BaseRoute] = [Route(path, intake, methods=["POST", "GET"]) for path in paths]
    # Of telemetry there is a span per batch; one per request, which FastAPI makes by itself, would cost more than the request.
    quiet: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    return _App(intake, title="Parley ingest", routes=routes, lifespan=lifespan, openapi_url=None, redirect_slashes=False, telemetry=quiet)


class _App(FastAPI):
    """FastAPI, with a way past its middlewares for webhooks: they do for others what the intake does by itself, at a tenth of the cost."""

    def __init__(self, intake: _Intake, **options: Any) -> None:
        super().__init__(**options)
        self._intake = intake

    def openapi(self) -> dict[str, Any]:
        """Return what the addresses answer; it is not served: who posts here knows it from the channel's own documentation."""
        return openapi_document(self.version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            match scope["path"].split("/"):
                case ["", "channels", channel] if channel:
                    return await self._intake({**scope, "path_params": {"channel": channel}}, receive, send)
                case ["", "channels", channel, account] if channel and account:
                    return await self._intake({**scope, "path_params": {"channel": channel, "account": account}}, receive, send)
        return await super().__call__(scope, receive, send)


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
    """The ASGI application behind both addresses. It is a bare one: a request object and its wrappers cost more than the parsing."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._budget = BodyBudget(parts.limits.bytes_in_flight_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        channel = self._parts.channels.get(scope["path_params"]["channel"])
        response = await self._take_in(channel, scope, receive) if scope["method"] == "POST" else self._shake_hands(channel, scope)
        await response(scope, receive, send)

    def _shake_hands(self, channel: Channel | None, scope: Scope) -> Response:
        """Answer a channel's GET."""
        if channel is None:
            return _NO_SUCH_CHANNEL
        answer = channel.handshake(dict(Request(scope).query_params))
        logger.info("handshake.answered", channel=channel.name, status=answer.status)
        return _answer(answer.status, answer.body)

    async def _take_in(self, channel: Channel | None, scope: Scope, receive: Receive) -> Response:
        """Answer a webhook; whatever happens is counted."""
        clock, metrics = self._parts.clock, self._parts.metrics
        started = clock.monotonic_seconds()
        name = channel.name if channel else UNKNOWN_CHANNEL
        try:
            response = await self._taken_in(channel, scope, receive) if channel else _NO_SUCH_CHANNEL
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

    async def _taken_in(self, channel: Channel, scope: Scope, receive: Receive) -> Response:
        """Read, verify, parse and publish. Raises RefusedRequestError."""
        parts = self._parts
        account: str | None = scope["path_params"].get("account")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with IncomingBody(receive, parts.limits, self._budget) as incoming:
            raw = await incoming.read()
            body = inflate(raw, headers.get("content-encoding", ""), parts.limits.inflated_bytes_max)
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
            logger.warning("account.noticed", channel=channel, account=self._shown(channel, notice.account), notice=notice.text)
        return _OK

    def _shown(self, channel: str, account: str) -> str:
        """Return an account as a log line names it: one that we do not know may be anything, a telephone number or a customer's words."""
        known = f"{channel}:{account}" in self._parts.accounts or _LONG_NUMBER.fullmatch(account)
        return account if known else f"unknown-{digest(account)}"


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return a plain-text answer that no browser takes for anything else."""
    return PlainTextResponse(text, status, {"x-content-type-options": "nosniff", **(headers or {})})


_OK = _answer(200, "ok")
_NO_SUCH_CHANNEL = _answer(404, "no such channel", {"connection": "close"})
