"""Ingest's HTTP server on a real socket: requests that no client library writes."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import uvicorn

from services.ingest.body import IntakeLimits
from services.ingest.http import create_app
from services.ingest.service import _Server
from shared.channels.discover import channel_names
from shared.clock import ManualClock
from tests.channels.fixture_cases import RECEIVED_AT
from tests.fuzz.canaries import planted_phone, planted_text
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.channels import TRUSTED, accounts, channels, good_webhooks
from tests.fuzz.mutation import mutated_bytes
from tests.fuzz.nasties import BODY_BYTES_MAX, bomb
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.targets.webhooks import REFUSALS, Intake

READ_SECONDS = 0.2
"""How long ingest waits for a body here: what is slow takes so long."""
ANSWER_SECONDS = 20.0
PIECES_MAX = 5
PIPELINED = 4
HEAD_BYTES_MAX = 64 * 1024

_NO_BODY_END = ("slow body", "closed early", "half a chunk")
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
KINDS = (
    "plain", "slow body", "slow head", "closed early", "chunked", "half a chunk", "bad chunk", "header injection", "strange head",
    "damaged head", "large", "bomb", "two lengths", "pipelined", "damaged bytes", "http 1.0", "expect",
)  # fmt: skip


class Wires:
    """One server, as a process would run it; a case is what goes over one connection."""

    name = "wires"
    share = 0.01

    def make(self, seed: int, number: int) -> Case:
        """Return the bytes of one connection; `cut` says where the sender stops, `pieces` where it takes breath."""
        chance = chance_of(self.name, seed, number)
        kind = KINDS[number % len(KINDS)] if number < 2 * len(KINDS) else chance.choice(KINDS)
        body = chance.choice(good_webhooks(chance.choice(channel_names())))
        request, parts = _request(kind, body, chance)
        return Case(self.name, kind, request, {"size": max(len(request), BODY_BYTES_MAX), **parts}, seed, number)

    async def carry_out(self, case: Case) -> Ending:
        """Send the case, then a good webhook on a connection of its own: it must be taken in."""
        intake = Intake()
        async with _served(intake) as port:
            statuses = await _exchange(port, case)
            well, _ = await _answers(port, [_good()], leave_open=False)
        if well != [HTTPStatus.OK]:
            raise BrokenPromiseError("neighbour", f"a good webhook on another connection is answered with {well}")
        if case.recipe == "pipelined" and statuses != [HTTPStatus.OK] * PIPELINED:
            raise BrokenPromiseError("vanished", f"{PIPELINED} webhooks on one connection are answered with {statuses}")
        wrong = [status for status in statuses if status != HTTPStatus.OK and status not in REFUSALS]
        if wrong:
            raise BrokenPromiseError("status", f"answered with {wrong}")
        if case.recipe in _NO_BODY_END and HTTPStatus.OK in statuses:
            raise BrokenPromiseError("status", "a webhook that never came whole is answered with 200")
        if not statuses:
            return Ending.REFUSED  # the connection was closed: what was sent was no request
        return Ending.REFUSED if statuses[-1] in REFUSALS else Ending.EVENTS


def _head(body: bytes, *more: str, path: str | None = None, length: int | None = None) -> bytes:
    """Return the head of a good request for `body`; `more` are header lines."""
    lines = [
        f"POST {path or f'/channels/{channel_names()[0]}'} HTTP/1.1",
        "host: ingest",
        "content-type: application/json",
        f"{TRUSTED}: 1",
        *more,
    ]
    if not any(line.lower().startswith(("transfer-encoding", "content-length")) for line in more):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _good() -> bytes:
    """Return a request that is surely taken in."""
    body = good_webhooks(channel_names()[0])[0]
    return _head(body, "connection: close") + body


def _chunked(body: bytes, chance: random.Random) -> bytes:
    """Return the body in chunks of any size."""
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        piece = body[at : at + chance.randrange(1, 500)]
        at += len(piece)
        pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    return b"".join(pieces) + b"0\r\n\r\n"


def _request(kind: str, body: bytes, chance: random.Random) -> tuple[bytes, dict[str, Any]]:  # noqa: C901, PLR0911, PLR0912 # one case per kind: it reads as a table
    """Return the bytes of a connection, and how they are sent."""
    close = "connection: close"
    match kind:
        case "slow body":
            return _head(body, length=len(body) + 10) + body, {"leave_open": True}
        case "slow head":
            return _head(body)[: chance.randrange(5, 60)], {"leave_open": True, "give_up": True}
        case "closed early":
            return _head(body, length=len(body) + 10) + body, {}
        case "chunked":
            return _head(body, "transfer-encoding: chunked", close) + _chunked(body, chance), {"pieces": PIECES_MAX}
        case "half a chunk":
            return _head(body, "transfer-encoding: chunked") + _chunked(body, chance)[:-4], {"leave_open": True}
        case "bad chunk":
            size = chance.choice((b"-1", b"zz", b"ffffffffffffffffff", b"", b"0x10", b"1;" + b"x" * 5_000, b"\x00"))
            return _head(body, "transfer-encoding: chunked") + size + b"\r\n" + body, {}
        case "header injection":
            text = chance.choice((planted_text(chance), planted_phone(chance)))
            forms = ("x-a: {}\r\n\r\nGET / HTTP/1.1", "x-a: {}\nx-b: y", "x-a: {}\r x-b", "x a: {}", ": {}")
            bad = chance.choice(forms).format(text)
            return _head(body, bad, close) + body, {}
        case "strange head":
            paths = ("/%00", "/channels/%2e%2e/x", "/channels/" + "x" * 5_000, "http://x/channels/y", "*", "/channels//", "/é?x=%zz")
            path = chance.choice(paths)
            return _head(body, close, *(f"x-{n}: {n}" for n in range(chance.choice((0, 50, 300)))), path=path) + body, {}
        case "damaged head":
            head = _head(body, close)
            return mutated_bytes(head, chance) + body, {"give_up": True}
        case "large":
            length = chance.choice((BODY_BYTES_MAX, BODY_BYTES_MAX + 1, 2 * BODY_BYTES_MAX))
            return _head(b"", close, length=length) + b" " * length, {}
        case "bomb":
            packed = bomb(chance.choice((BODY_BYTES_MAX, 4 * BODY_BYTES_MAX)))
            return _head(packed, "content-encoding: gzip", close) + packed, {}
        case "two lengths":
            return _head(body, f"content-length: {len(body)}", f"content-length: {len(body) + 5}", close) + body, {"give_up": True}
        case "pipelined":
            return (_head(body) + body) * (PIPELINED - 1) + _head(body, close) + body, {"leave_open": True}
        case "damaged bytes":
            return mutated_bytes(_head(body, close) + body, chance), {"give_up": True}
        case "http 1.0":
            return (_head(body, close) + body).replace(b"HTTP/1.1", b"HTTP/1.0", 1), {}
        case "expect":
            packed = gzip.compress(body)
            return _head(packed, "expect: 100-continue", "content-encoding: gzip", close) + packed, {}
        case _:
            kinds = ("text/html", "", "x", "multipart/form-data; boundary=a")
            return _head(body, close, f"content-type: {chance.choice(kinds)}") + body, {}


@asynccontextmanager
async def _served(intake: Intake) -> AsyncIterator[int]:
    """Serve ingest's application on a free port of the loopback, as the service does."""
    app = create_app(
        channels=channels(),
        accounts=accounts(),
        publish=intake.publish,
        clock=ManualClock(RECEIVED_AT),
        metrics=intake,
        limits=IntakeLimits(read_seconds=READ_SECONDS),
    )
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "date_header": False, "lifespan": "off"}
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, proxy_headers=False, timeout_graceful_shutdown=1, **options))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 # uvicorn tells it by nothing else
        await asyncio.sleep(0)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _exchange(port: int, case: Case) -> list[int]:
    """Send what the case says and return the statuses of the answers; a server that closes without one has answered too."""
    count = int(case.parts.get("pieces", 1))
    size = max(1, len(case.body) // count)
    pieces = [case.body[at : at + size] for at in range(0, len(case.body), size)]
    give_up = bool(case.parts.get("give_up"))
    statuses, ended = await _answers(port, pieces, leave_open=bool(case.parts.get("leave_open")), give_up=give_up)
    if not ended and not give_up:
        raise BrokenPromiseError("hang", f"the connection is still open after {ANSWER_SECONDS:g} s")
    return statuses


async def _answers(port: int, pieces: list[bytes], *, leave_open: bool, give_up: bool = False) -> tuple[list[int], bool]:
    """Return the statuses on a connection, and whether the server ended it. `give_up`: a head without end is the client's to end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    ended = False
    try:
        with suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if not leave_open:
                writer.write_eof()
        try:
            async with asyncio.timeout(READ_SECONDS if give_up else ANSWER_SECONDS):
                while chunk := await reader.read(HEAD_BYTES_MAX):
                    received += chunk
                ended = True
        except TimeoutError:
            ended = False
        except ConnectionError:
            ended = True
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return _statuses(received), ended


def _statuses(received: bytes) -> list[int]:
    """Return the status of each answer; an interim one (100) is none."""
    return [int(status) for status in _STATUS.findall(received) if status != b"100"]
