"""Only what an app of ours signed is taken in, and only a handshake with our token is answered."""

from __future__ import annotations

import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings

CHANNEL = channel(WhatsAppSettings(app_secret=SecretStr("current,previous"), verify_token=SecretStr("let-me-in")))
BODY = json.dumps({"text": "olá, ção"}).encode()


def sign(secret: bytes, body: bytes = BODY) -> str:
    """Return the header of `body`."""
    return f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-hub-signature-256": sign(b"current")},
        {"x-hub-signature-256": sign(b"previous")},
        {"X-Hub-Signature-256": sign(b"current")},
        {"x-hub-signature-256": f" {sign(b'current').upper()} "},
    ],
)
def test_a_body_signed_with_any_configured_secret_is_ours(headers: dict[str, str]) -> None:
    """The current and the previous secret hold while they rotate; the case of names and digits does not matter."""
    assert CHANNEL.verify(headers, BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": "sha256="},
        {"x-hub-signature-256": sign(b"another")},
        {"x-hub-signature-256": sign(b"current")[:-1]},
        {"x-hub-signature-256": sign(b"current").removeprefix("sha256=")},
        {"x-hub-signature-256": "sha1=" + sign(b"current").removeprefix("sha256=")},
        {"x-hub-signature-256": "sha256=é\udcff"},
        {"x-hub-signature": sign(b"current")},
    ],
)
def test_anything_else_is_not_ours(headers: dict[str, str]) -> None:
    """A missing, cut, foreign or unreadable signature is refused and never raises."""
    assert not CHANNEL.verify(headers, BODY)


def test_one_changed_byte_breaks_the_signature() -> None:
    """What is signed is the raw body, escapes included: the same JSON written otherwise is another body."""
    headers = {"x-hub-signature-256": sign(b"current")}
    assert not CHANNEL.verify(headers, BODY + b" ")
    assert not CHANNEL.verify(headers, json.dumps(json.loads(BODY), ensure_ascii=False).encode())


def test_without_a_secret_nothing_is_ours() -> None:
    """An installation that was not given its secret must not take everything in."""
    bare = channel(WhatsAppSettings())
    assert not bare.verify({"x-hub-signature-256": sign(b"")}, BODY)
    assert not bare.verify({}, BODY)


@given(st.binary(max_size=300), st.text(max_size=100))
def test_no_header_text_passes_by_chance(body: bytes, text: str) -> None:
    """Whatever stands in the header, only the signature passes."""
    assert CHANNEL.verify({"x-hub-signature-256": sign(b"current", body)}, body)
    assert not CHANNEL.verify({"x-hub-signature-256": text}, body)


def test_the_handshake_with_our_token_gets_the_bare_challenge() -> None:
    """The vendor wants its challenge back and nothing else."""
    answer = CHANNEL.handshake({"hub.mode": "subscribe", "hub.verify_token": "let-me-in", "hub.challenge": "1158201444"})
    assert (answer.status, answer.body) == (200, "1158201444")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"hub.mode": "subscribe", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "guess", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "\udcff", "hub.challenge": "1"},
        {"hub.mode": "unsubscribe", "hub.verify_token": "let-me-in", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "let-me-in"},
    ],
)
def test_any_other_handshake_is_refused(query: dict[str, str]) -> None:
    """A wrong or missing token, mode or challenge gets 403 and no echo."""
    answer = CHANNEL.handshake(query)
    assert answer.status == 403
    assert "1" not in answer.body


def test_a_token_that_is_not_configured_equals_no_token() -> None:
    """An empty token must not open the door to an empty guess."""
    bare = channel(WhatsAppSettings())
    assert bare.handshake({"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}).status == 403
