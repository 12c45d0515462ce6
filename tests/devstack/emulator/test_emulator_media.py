"""Media: ids, URLs of five minutes, uploads."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import aiohttp
import pytest

from devstack.emulator.whatsapp.errors import RefusedError
from devstack.emulator.whatsapp.media import MEDIA_STORED_MAX, MediaStore, check_upload
from tests.devstack.emulator.harness import SUPPORT, TOKEN, Stage

AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
PHONE = "+351912000001"


async def get(stage: Stage, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """GET with the token unless other headers are given."""
    async with stage.session.get(url, headers=AUTHORISED if headers is None else headers) as answer:
        return answer.status, await answer.read()


async def upload(stage: Stage, content: bytes, mime_type: str, product: str = "whatsapp") -> tuple[int, Any]:
    """POST /media."""
    form = aiohttp.FormData()
    form.add_field("messaging_product", product)
    form.add_field("type", mime_type)
    form.add_field("file", content, filename="file", content_type=mime_type)
    async with stage.session.post(f"{stage.emulator.url}/v24.0/{SUPPORT}/media", data=form, headers=AUTHORISED) as answer:
        return answer.status, json.loads(await answer.read())


async def test_a_customers_media_can_be_fetched(stage: Stage) -> None:
    """Id, then URL, then bytes; digests in hexadecimal there and in Base64 in the webhook."""
    await stage.customer(writes=False)
    content = {"bytes_base64": base64.b64encode(b"a voice").decode(), "mime_type": "audio/ogg"}
    await stage.control.send("ana", SUPPORT, content, kind="audio")
    audio = stage.receiver.items("messages")[0]["audio"]
    status, body = await get(stage, f"{stage.emulator.url}/v24.0/{audio['id']}")
    described = json.loads(body)
    assert status == 200
    assert (described["mime_type"], described["file_size"]) == ("audio/ogg", 7)
    assert described["sha256"] == hashlib.sha256(b"a voice").hexdigest()
    assert base64.b64decode(audio["sha256"]) == hashlib.sha256(b"a voice").digest()
    assert await get(stage, described["url"]) == (200, b"a voice")
    assert await get(stage, audio["url"]) == (200, b"a voice")


async def test_the_url_needs_the_token_and_lives_five_minutes(stage: Stage) -> None:
    """Without token 401, after five minutes 404; the id can be resolved again for seven days."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, kind="image")
    image = stage.receiver.items("messages")[0]["image"]
    assert (await get(stage, image["url"], {}))[0] == 401
    await stage.control.clock(advance_seconds=300)
    assert (await get(stage, image["url"]))[0] == 404
    url = f"{stage.emulator.url}/v24.0/{image['id']}"
    assert (await get(stage, json.loads((await get(stage, url))[1])["url"]))[0] == 200
    await stage.control.clock(advance_seconds=7 * 24 * 3600)
    assert (await get(stage, url))[0] == 400


async def test_uploaded_media_can_be_sent_until_it_is_deleted(stage: Stage) -> None:
    """An unknown or deleted media id is 131009."""
    await stage.customer()
    status, answer = await upload(stage, b"pixels", "image/png")
    assert status == 200
    image = {"messaging_product": "whatsapp", "to": PHONE, "type": "image", "image": {"id": answer["id"]}}
    assert (await stage.api(image))[0] == 200
    url = f"{stage.emulator.url}/v24.0/{answer['id']}"
    async with stage.session.delete(url, headers=AUTHORISED) as deleted:
        assert await deleted.json() == {"success": True}
    async with stage.session.delete(url, headers=AUTHORISED) as deleted:
        assert deleted.status == 400
    assert (await stage.api(image))[1]["error"]["code"] == 131009


async def test_an_upload_must_be_complete_and_of_a_known_type(stage: Stage) -> None:
    """The product, a file, a supported type, a known number."""
    assert (await upload(stage, b"x", "image/png", product="other"))[0] == 400
    assert (await upload(stage, b"x", "image/tiff"))[1]["error"]["code"] == 100
    for number, code in ((SUPPORT, None), ("42", 33)):
        async with stage.session.post(f"{stage.emulator.url}/v24.0/{number}/media", data=b"x", headers=AUTHORISED) as answer:
            assert (await answer.json())["error"].get("error_subcode") == code


@pytest.mark.parametrize(
    ("mime_type", "bytes_max"),
    [
        ("image/jpeg", 5 << 20),
        ("video/mp4", 16 << 20),
        ("audio/ogg; codecs=opus", 16 << 20),
        ("image/webp", 512 << 10),
        ("application/pdf", 100 << 20),
    ],
)
def test_each_type_has_its_size(mime_type: str, bytes_max: int) -> None:
    """At the limit it passes, one byte more is refused."""
    check_upload(mime_type, bytes_max)
    with pytest.raises(RefusedError):
        check_upload(mime_type, bytes_max + 1)


async def test_the_store_forgets_the_oldest(stage: Stage) -> None:
    """The number of stored media is bounded."""
    store, now = MediaStore(), stage.emulator.clock.now()
    life = now - now.replace(year=now.year - 1)
    first = store.put("image/png", b"", now=now, life=life)
    for _ in range(MEDIA_STORED_MAX):
        last = store.put("image/png", b"", now=now, life=life)
    assert store.find(first.id, now) is None
    assert store.find(last.id, now) is not None
