"""Who wrote this? The signature of a webhook, and the handshake that proves an address is ours.

Meta signs the raw body: `X-Hub-Signature-256: sha256=<lower-case hex of HMAC-SHA256(app secret, body)>` ("Create a webhook
endpoint", 2025-11-07). It signs the escaped form of the JSON, so the bytes must be the ones that came, never re-serialised ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache

from shared.channels.contract import Handshake

SIGNATURE_HEADER = "x-hub-signature-256"
SECRETS_CACHED_MAX = 256
_PREFIX = "sha256="


def is_signed(headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes]) -> bool:
    """Return whether one of `secrets` signed `body`.

    Every secret is tried, in constant time each, so that the time taken tells nothing about which one fits, or how nearly.
    """
    given = _signature_in(headers).encode("utf-8", "replace")
    matches = [hmac.compare_digest(_sign(secret, body), given) for secret in secrets]
    return any(matches)


def _sign(secret: bytes, body: bytes) -> bytes:
    """Return the signature of `body` as the header carries it, without its prefix."""
    code = _keyed(secret).copy()
    code.update(body)
    return code.hexdigest().encode()


@lru_cache(maxsize=SECRETS_CACHED_MAX)
def _keyed(secret: bytes) -> hmac.HMAC:
    """Return the code of an empty message: taking in the key costs as much as a usual body."""
    return hmac.new(secret, digestmod="sha256")


def _signature_in(headers: Mapping[str, str]) -> str:
    """Return the hex digits of the header, or an empty string, which no signature equals."""
    value = headers.get(SIGNATURE_HEADER)
    if value is None:
        value = next((text for name, text in headers.items() if name.lower() == SIGNATURE_HEADER), "")
    value = value.strip()
    return value[len(_PREFIX) :].lower() if value[: len(_PREFIX)].lower() == _PREFIX else ""


def answer_handshake(query: Mapping[str, str], verify_token: bytes) -> Handshake:
    """Return the bare challenge where the token is ours, else a refusal ("Create a webhook endpoint", 2025-11-07)."""
    given = query.get("hub.verify_token", "").encode("utf-8", "replace")
    # A token that is not configured must not equal one that is not given.
    is_ours = bool(verify_token) and hmac.compare_digest(verify_token, given)
    if query.get("hub.mode") == "subscribe" and is_ours and "hub.challenge" in query:
        return Handshake(200, query["hub.challenge"])
    return Handshake(403, "the verify token does not match, or the request is no subscription")
