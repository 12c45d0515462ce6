"""The provider on real sockets: it keeps its rate, and keeps at it until each message is acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from devstack.load.provider import NO_ANSWER, Provider
from devstack.load.requests import Script, webhook
from shared.channels.whatsapp.signature import is_signed

SECRET = "a secret"
SCRIPT = Script(accounts=("100000000000001",), texts=(("Olá",),), customers=4, run="provider")
PATIENCE_SECONDS = 20.0


@dataclass
class Receiver:
    """Answers by script: per message the statuses in turn, then 200; None cuts the connection."""

    statuses: dict[str, list[int | None]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    unsigned: int = 0
    port: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one webhook."""
        body = await request.read()
        self.unsigned += not is_signed({name.lower(): value for name, value in request.headers.items()}, body, [SECRET.encode()])
        message_id = json.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
        self.seen[message_id] += 1
        waiting = self.statuses.get(message_id, [])
        status = waiting.pop(0) if waiting else 200
        if status is None:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 200)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve a receiver."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/channels/whatsapp", receiver.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


def url(receiver: Receiver) -> str:
    """Return where the webhooks go."""
    return f"http://127.0.0.1:{receiver.port}/channels/whatsapp"


async def until_posted(provider: Provider, count: int) -> None:
    """Wait until so many messages were written."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(provider.posts) < count:
        assert time.monotonic() < deadline, "too few messages were written"
        await asyncio.sleep(0.005)


async def test_what_is_not_answered_200_is_sent_again() -> None:
    """503, a cut connection, 201: it comes again, the same message, until 200; others do not wait for it."""
    async with receiving() as receiver, Provider(url(receiver), SECRET) as provider:
        troubled = SCRIPT.message_id(1)
        receiver.statuses[troubled] = [503, None, 201]
        provider.start(SCRIPT, 100)
        await until_posted(provider, 6)
        await provider.stop()
        assert await provider.settle(PATIENCE_SECONDS)
        assert provider.unacknowledged == 0
        assert receiver.seen[troubled] == 4
        assert [attempt.status for attempt in provider.posts[troubled].attempts] == [503, NO_ANSWER, 201, 200]
        assert all(count == 1 for message, count in receiver.seen.items() if message != troubled)
        assert receiver.unsigned == 0


async def test_messages_are_due_at_their_rate_whatever_the_answers_are() -> None:
    """A receiver that answers nothing with 200 changes no moment."""
    async with receiving() as receiver, Provider(url(receiver), SECRET) as provider:
        receiver.statuses = {SCRIPT.message_id(number): [503] * 1_000 for number in range(1_000)}
        provider.start(SCRIPT, 50)
        await until_posted(provider, 10)
        await provider.stop()
        due = [post.due_at for post in provider.posts.values()]
        assert [round(later - earlier, 4) for earlier, later in itertools.pairwise(due)] == [0.02] * (len(due) - 1)
        assert not await provider.settle(0.01)
        assert provider.unacknowledged == len(due)


async def test_copies_are_sent_although_they_were_acknowledged() -> None:
    """Three times the same message, three times 200."""
    async with receiving() as receiver, Provider(url(receiver), SECRET, copies=lambda _number: 3) as provider:
        provider.start(SCRIPT, 100)
        await until_posted(provider, 2)
        await provider.stop()
        assert await provider.settle(PATIENCE_SECONDS)
        assert set(receiver.seen.values()) == {3}


async def test_the_same_load_twice_at_once_is_refused() -> None:
    """Its numbers would meet; another one may flow beside it."""
    async with receiving() as receiver, Provider(url(receiver), SECRET) as provider:
        provider.start(SCRIPT, 1)
        with pytest.raises(RuntimeError, match="already"):
            provider.start(SCRIPT, 1)
        provider.start(replace(SCRIPT, run="another"), 100)
        await until_posted(provider, 3)


def test_a_message_written_again_has_the_same_id() -> None:
    """The id says which message it is, the time when it was written."""
    bodies = [json.loads(webhook(SCRIPT, 3, SECRET)[0]) for _ in range(2)]
    ids = [body["entry"][0]["changes"][0]["value"]["messages"][0]["id"] for body in bodies]
    assert ids == [SCRIPT.message_id(3)] * 2
