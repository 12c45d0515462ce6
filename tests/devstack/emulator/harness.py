"""What the emulator's tests share: a tiny webhook receiver, a caller of the vendor's API, ready-made settings."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from devstack.emulator.app import RunningEmulator, running
from devstack.emulator.client import EmulatorClient
from devstack.emulator.settings import EmulatorSettings

SUPPORT, SALES = "100000000000001", "100000000000002"
SECRET, TOKEN, VERIFY = "a-secret", "a-token", "a-verify-token"
INSTANT = {"sent_delay_seconds": (0, 0), "delivered_delay_seconds": (0, 0), "read_delay_seconds": (0, 0)}
SILENT = {"statuses": "none"}


@dataclass
class Received:
    """One POST as the receiver saw it."""

    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body's JSON value."""
        return json.loads(self.body)

    @property
    def signed(self) -> bool:
        """Whether the signature is right, computed here independently of the emulator."""
        expected = "sha256=" + hmac.new(SECRET.encode(), self.body, hashlib.sha256).hexdigest()
        return self.headers.get("X-Hub-Signature-256") == expected

    def items(self, part: str) -> list[Any]:
        """All items of `value.<part>[]` in the body."""
        return [item for entry in self.json["entry"] for change in entry["changes"] for item in change["value"].get(part, [])]


@dataclass
class Receiver:
    """A webhook endpoint that remembers; `answers` are the HTTP statuses to give next (then 200)."""

    url: str = ""
    posts: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)

    async def post(self, request: web.Request) -> web.Response:
        """Take a webhook."""
        self.posts.append(Received(await request.read(), dict(request.headers)))
        return web.Response(status=self.answers.popleft() if self.answers else 200)

    async def get(self, request: web.Request) -> web.Response:
        """Answer the verification."""
        right = request.query["hub.mode"] == "subscribe" and request.query["hub.verify_token"] == VERIFY
        return web.Response(text=request.query["hub.challenge"]) if right else web.Response(status=403)

    def items(self, part: str) -> list[Any]:
        """All items of that part received so far."""
        return [item for post in self.posts for item in post.items(part)]


@dataclass
class Stage:
    """A running emulator with everything a test speaks to."""

    emulator: RunningEmulator
    control: EmulatorClient
    receiver: Receiver
    session: aiohttp.ClientSession

    async def api(self, body: Any, *, number: str = SUPPORT, token: str = TOKEN, version: str = "v24.0") -> tuple[int, Any]:
        """POST /messages; returns status and JSON."""
        headers = {"Authorization": f"Bearer {token}"}
        data = body if isinstance(body, bytes) else json.dumps(body)
        async with self.session.post(f"{self.emulator.url}/{version}/{number}/messages", data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def text(self, to: str, body: str = "Hello", **fields: Any) -> tuple[int, Any]:
        """Send a text."""
        return await self.api({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}, **fields})

    async def customer(
        self, customer_id: str = "ana", phone: str | None = "+351 912 000 001", *, writes: bool = True, **fields: Any
    ) -> Any:
        """Create a customer, who by default has just written to support."""
        customer = await self.control.put_customer(customer_id, phone=phone, **fields)
        if writes:
            await self.control.send(customer_id, SUPPORT, "Hi")
        return customer


def settings(*, delivery: dict[str, Any] | None = None, **whatsapp: Any) -> EmulatorSettings:
    """Return settings with two numbers and silent statuses, changed by the arguments."""
    defaults: dict[str, Any] = {
        "app_secret": SECRET,
        "access_token": TOKEN,
        "verify_token": VERIFY,
        "phone_numbers": [
            {"phone_number_id": SUPPORT, "waba_id": "200000000000001", "display_phone_number": "351210000001", "name": "Support"},
            {"phone_number_id": SALES, "waba_id": "200000000000002", "display_phone_number": "351210000002", "name": "Sales"},
        ],
        "templates": [
            {"name": "come_back", "language": "pt_PT", "body_parameters": 1, "body": "Olá {{1}}, ainda precisa de ajuda?"},
            {"name": "offer", "language": "en", "category": "marketing", "body": "News for you"},
            {"name": "code", "language": "en", "category": "authentication", "body": "Your code"},
            {"name": "named", "language": "en", "parameter_names": ["order"], "body": "Order {{order}}"},
            {"name": "paused", "language": "en", "status": "PAUSED"},
            {"name": "disabled", "language": "en", "status": "DISABLED"},
            {"name": "pending", "language": "en", "status": "PENDING"},
        ],
        "behaviour": SILENT,
    }
    return EmulatorSettings.model_validate(
        {
            "delivery": {"retry_delays_seconds": (0.0, 0.01), "retry_horizon_seconds": 0.05, **(delivery or {})},
            "whatsapp": {**defaults, **whatsapp},
        }
    )


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve a receiver."""
    receiver = Receiver()
    application = web.Application()
    application.add_routes([web.post("/hook", receiver.post), web.get("/hook", receiver.get)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def staged(*, delivery: dict[str, Any] | None = None, **whatsapp: Any) -> AsyncIterator[Stage]:
    """Serve an emulator against a receiver."""
    async with (
        receiving() as receiver,
        running(settings(delivery=delivery, **{"webhook_url": receiver.url, **whatsapp})) as emulator,
        aiohttp.ClientSession() as session,
    ):
        yield Stage(emulator, EmulatorClient(emulator.url, session), receiver, session)
