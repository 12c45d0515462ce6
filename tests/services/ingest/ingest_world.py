"""What the tests of ingest share: a real channel, a log in memory, counts, and a client that speaks ASGI without a network."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr

from services.ingest.core import IntakeCounts
from services.ingest.http import create_app
from shared.channels.contract import Channels
from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.clock import ManualClock
from shared.engine.records import Publication

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACCOUNT = "209900000000001"
ACCOUNTS = frozenset({f"whatsapp:{ACCOUNT}"})
SECRET = b"app-secret"
WHATSAPP = channel(WhatsAppSettings(app_secret=SecretStr("app-secret"), verify_token=SecretStr("let-me-in")))
CHANNELS = Channels({"whatsapp": WHATSAPP})


def text_message(identifier: str = "wamid.A", text: str = "Bom dia", **more: Any) -> dict[str, Any]:
    """Return one text message of a customer."""
    return {"from": "351912000001", "id": identifier, "timestamp": "1763800000", "type": "text", "text": {"body": text}, **more}


def webhook_of(*messages: Any, account: str = ACCOUNT, value: dict[str, Any] | None = None, name: str = "messages") -> bytes:
    """Return the body of a webhook."""
    content = value or {"metadata": {"phone_number_id": account}, "messages": list(messages)}
    change = {"field": name, "value": content}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "3088", "changes": [change]}]}).encode()


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    """Return the headers of a webhook that the vendor signed."""
    return {"x-hub-signature-256": "sha256=" + hmac.digest(secret, body, "sha256").hex(), "content-type": "application/json"}


@dataclass
class MemoryLog:
    """Takes publications; `fail_with` makes it fail, `before` runs first."""

    publications: list[Publication] = field(default_factory=list)
    fail_with: Exception | None = None
    before: Callable[[], Awaitable[None]] | None = None

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Keep the publications, or fail."""
        if self.before is not None:
            await self.before()
        if self.fail_with is not None:
            raise self.fail_with
        self.publications.extend(publications)

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return topic, key and decoded value of each record."""
        return [(one.topic.name, one.key, json.loads(one.value)) for one in self.publications]


@dataclass
class CountedIntake:
    """Counts in memory."""

    answers: list[tuple[str, int]] = field(default_factory=list)
    counts: list[tuple[str, IntakeCounts]] = field(default_factory=list)

    def answered(self, channel: str, status: int, seconds: float) -> None:
        """Keep one answer."""
        assert seconds >= 0
        self.answers.append((channel, status))

    def taken_in(self, channel: str, counts: IntakeCounts) -> None:
        """Keep the counts of one webhook."""
        self.counts.append((channel, counts))


@dataclass
class World:
    """An application and what it was given."""

    app: FastAPI
    log: MemoryLog
    metrics: CountedIntake

    async def post(
        self, body: bytes | Iterable[bytes] | AsyncIterator[bytes], headers: dict[str, str], path: str = "/channels/whatsapp"
    ) -> Answer:
        """Post `body` (in one piece, in chunks, or as they come)."""
        chunks = [body] if isinstance(body, bytes) else body
        return await call(self.app, "POST", path, headers, chunks)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: str


class HangUpError(Exception):
    """The sender hangs up in the middle of a body."""


async def call(
    app: FastAPI, method: str, path: str, headers: dict[str, str], chunks: Iterable[bytes] | AsyncIterator[bytes] = (), *, query: str = ""
) -> Answer:
    """Call the application as a server does; an async iterator of chunks may wait, and raises HangUpError to hang up."""
    source = chunks.__aiter__() if isinstance(chunks, AsyncIterator) else _async(chunks)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(source), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
        except HangUpError:
            return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    await app(scope, receive, send)
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body.decode())


async def _async(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def make_world(**more: Any) -> World:
    """Return an application over a log in memory."""
    log, metrics = MemoryLog(), CountedIntake()
    fields: dict[str, Any] = {
        "channels": CHANNELS,
        "accounts": ACCOUNTS,
        "publish": log.publish,
        "clock": ManualClock(NOW),
        "metrics": metrics,
        **more,
    }
    return World(create_app(**fields), log, metrics)
