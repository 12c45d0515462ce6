"""The vendor's HTTP API: /messages, /media and the media bytes, at any Graph version.

Nothing is decided here: the token is checked, the body is read, `sending` answers, and the answer is given, delayed or cut off.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import BodyPartReader, web

from devstack.emulator.whatsapp.errors import MetaError, RefusedError, answer_body, http_status, unknown_object
from devstack.emulator.whatsapp.media import UPLOADED_MEDIA_LIFE, check_upload
from devstack.emulator.whatsapp.sending import Answer, handle, refuse
from devstack.emulator.whatsapp.settings import PhoneNumber
from devstack.emulator.whatsapp.world import World

VERSION = r"{version:v\d+\.\d+}"
REQUEST_BYTES_MAX = 110 * 1024 * 1024  # the vendor takes documents of 100 MB
EARLY_STATUSES_SECONDS_MAX = 15.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GraphServer:
    """The routes of graph.facebook.com that a contact centre uses."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.post(f"/{VERSION}/{{phone_number_id}}/messages", self.send),
            web.post(f"/{VERSION}/{{phone_number_id}}/media", self._with_token(self.upload)),
            web.get(f"/{VERSION}/{{media_id}}", self._with_token(self.describe_media)),
            web.delete(f"/{VERSION}/{{media_id}}", self._with_token(self.delete_media)),
            web.get("/whatsapp-media/{media_id}", self._with_token(self.download)),
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /messages: a send, a read receipt, the typing indicator."""
        phone_number_id = request.match_info["phone_number_id"]
        number = self.world.numbers.get(phone_number_id)
        body = _json(await request.read())
        error = self._token_error(request) or (unknown_object(phone_number_id) if number is None else None)
        if error is not None or number is None:
            self.world.journal.count("sends.asked")
            return _answer(refuse(self.world, number, body, error or MetaError(100)))
        return await _give(request, handle(self.world, number, body))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """POST /media: a multipart form of messaging_product, type and file."""
        self._demand_number(request.match_info["phone_number_id"])
        fields, content, file_type = await _form(request)
        if fields.get("messaging_product") != "whatsapp":
            raise RefusedError(100, "The parameter messaging_product is required.")
        if content is None:
            raise RefusedError(100, "The parameter file is required.")
        mime_type = fields.get("type") or file_type
        check_upload(mime_type, len(content))
        media = self.world.media.put(mime_type, content, now=self.world.clock.now(), life=UPLOADED_MEDIA_LIFE)
        self.world.journal.count("media.uploaded")
        self.world.journal.append("media_uploaded", id=media.id, mime_type=mime_type, size_bytes=len(content))
        return _json_answer({"id": media.id})

    async def describe_media(self, request: web.Request) -> web.StreamResponse:
        """GET /{media_id}: a URL that lives five minutes, type, digest and size."""
        media_id = request.match_info["media_id"]
        media = self.world.media.find(media_id, self.world.clock.now())
        if media is None:
            return _error(unknown_object(media_id), self.world)
        media = self.world.media.resolve(media, self.world.base_url, self.world.clock.now())
        described = {"url": media.url, "mime_type": media.mime_type, "sha256": media.sha256_hexadecimal, "file_size": len(media.content)}
        return _json_answer({"messaging_product": "whatsapp", **described, "id": media.id})

    async def delete_media(self, request: web.Request) -> web.StreamResponse:
        """DELETE /{media_id}."""
        media_id = request.match_info["media_id"]
        return _json_answer({"success": True}) if self.world.media.delete(media_id) else _error(unknown_object(media_id), self.world)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Give the bytes behind a resolved URL; expired or unknown: 404."""
        media = self.world.media.download(request.match_info["media_id"], self.world.clock.now())
        if media is None:
            return _error(MetaError(100, "The media URL has expired: resolve the id again.", http_status=404), self.world)
        self.world.journal.count("media.downloaded")
        self.world.journal.append("media_downloaded", id=media.id, size_bytes=len(media.content))
        return web.Response(body=media.content, headers={"Content-Type": media.mime_type})

    def _with_token(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            error = self._token_error(request)
            if error is not None:
                return _error(error, self.world)
            try:
                return await handler(request)
            except RefusedError as refused:
                return _error(refused.error, self.world)

        return checked

    def _token_error(self, request: web.Request) -> MetaError | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        expected = self.world.settings.access_token
        if scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected.encode()):
            return None
        return MetaError(190)

    def _demand_number(self, phone_number_id: str) -> PhoneNumber:
        number = self.world.numbers.get(phone_number_id)
        if number is None:
            refused = RefusedError(100, "")
            refused.error = unknown_object(phone_number_id)
            raise refused
        return number


async def _give(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Give the answer in the way it is meant: late, after the statuses, or not at all."""
    if answer.before:
        await asyncio.wait([asyncio.ensure_future(first) for first in answer.before], timeout=EARLY_STATUSES_SECONDS_MAX)
    if answer.wait_seconds:
        await asyncio.sleep(answer.wait_seconds)
    if answer.cut and request.transport is not None:
        request.transport.abort()
    return _answer(answer)


def _answer(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.http_status, text=answer.body)
    return _json_answer(answer.body, answer.http_status)


def _error(error: MetaError, world: World) -> web.Response:
    return _json_answer(answer_body(error, world.trace_id()), http_status(error, world.settings.rate_limit_http_status))


def _json_answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _json(body: bytes) -> Any:
    """Return the JSON value, None when it is none (refused as a body without messaging_product)."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


async def _form(request: web.Request) -> tuple[dict[str, str], bytes | None, str]:
    """Read the multipart form: text fields, the file's bytes and its type."""
    fields: dict[str, str] = {}
    content: bytes | None = None
    file_type = "application/octet-stream"
    if not request.content_type.startswith("multipart/"):
        raise RefusedError(100, "The parameter file is required (multipart/form-data).")
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name == "file":
            content = bytes(await part.read(decode=True))
            file_type = part.headers.get("Content-Type", file_type)
        elif part.name is not None:
            fields[part.name] = await part.text()
    return fields, content, file_type
