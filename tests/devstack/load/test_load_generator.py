"""The generator on real sockets: it keeps its moments while the server does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from devstack.load.connection import LOST, AnswerError, content_length
from devstack.load.generator import run_closed, run_open
from devstack.load.pace import Arrivals, ClosedLoop, OpenLoop
from devstack.load.process import Load, OpenPace, run_load_apart
from devstack.load.requests import Script, webhooks
from shared.channels.whatsapp.parse import parse_webhook
from shared.channels.whatsapp.signature import is_signed
from shared.clock import SystemClock
from shared.events.inbound import MessageReceived

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
SCRIPT = Script(accounts=("100000000000001", "100000000000002"), texts=(("Olá", "Bom dia"), ("Hello",)), customers=3, run="test")


@asynccontextmanager
async def server(*, wait_for: int = 0, cut_first: bool = False) -> AsyncIterator[int]:
    """Serve 200 on a free port; the first `wait_for` requests are answered together; `cut_first` ends the first connection unanswered."""
    enough, seen = asyncio.Event(), 0
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(content_length(head))
                seen += 1
                if cut_first and seen == 1:
                    break
                if seen >= wait_for:
                    enough.set()
                await enough.wait()
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.wait(handlers)


async def test_requests_leave_while_others_wait_for_their_answers() -> None:
    """A server that answers nobody before the fifth request has come gets all five: nobody's moment depends on another's answer."""
    async with server(wait_for=5) as port:
        result = await run_open(OpenLoop(Arrivals(200, 5), 5), [REQUEST] * 5, host="127.0.0.1", port=port, connections=5)
    assert result.unanswered == 0
    assert result.answers.statuses == {200: 5}
    assert max(result.answers.latencies) >= 4 / 200


async def test_a_lost_connection_is_counted_and_replaced() -> None:
    """The request on it counts as lost; later ones are answered."""
    async with server(cut_first=True) as port:
        result = await run_open(OpenLoop(Arrivals(50, 10), 1), [REQUEST] * 10, host="127.0.0.1", port=port, connections=1)
    assert result.answers.statuses[LOST] >= 1
    assert result.answers.statuses[200] >= 1
    assert result.answers.statuses.total() == 10


async def test_a_closed_loop_keeps_every_connection_busy() -> None:
    """Requests go round and round until the time is up."""
    async with server() as port:
        plan = ClosedLoop(warm_up=0.0, seconds=0.05)
        result = await run_closed(plan, [REQUEST], host="127.0.0.1", port=port, connections=2)
    assert result.per_second > 40
    assert set(result.answers.statuses) == {200}


async def test_a_load_runs_in_a_process_of_its_own() -> None:
    """The report comes back with every request in it."""
    async with server() as port:
        load = Load(
            url=f"http://127.0.0.1:{port}/channels/whatsapp",
            secret=SecretStr("secret"),
            accounts=SCRIPT.accounts,
            texts=SCRIPT.texts,
            customers=3,
            pace=OpenPace(per_second=100, count=10),
        )
        report = await run_load_apart(load)
    assert report.statuses == {200: 10}
    assert report.milliseconds_p50 <= report.milliseconds_p99 <= report.milliseconds_max


def test_webhooks_are_what_the_channel_would_send() -> None:
    """Each is signed, and parses into one message of the script's customer with the script's words."""
    url = "http://127.0.0.1:8080/channels/whatsapp"
    for number, request in enumerate(islice(webhooks(SCRIPT, url, "secret"), 7)):
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == f"POST {urlsplit(url).path} HTTP/1.1"
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        assert int(headers["content-length"]) == len(body)
        assert is_signed(headers, body, [b"secret"])
        (item,) = parse_webhook(body, SystemClock().now())
        assert item.account == SCRIPT.account(number)
        data = getattr(item, "data", None)
        assert isinstance(data, MessageReceived)
        assert data.customer.business_scoped_id == SCRIPT.customer(number).bsuid
        assert getattr(data.content, "text", None) == SCRIPT.text(number)


def test_an_answer_without_a_length_is_refused() -> None:
    """The client reads no chunks, and says so instead of waiting for ever."""
    with pytest.raises(AnswerError, match="Content-Length"):
        content_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
