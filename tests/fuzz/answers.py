"""What a channel's servers may answer to a send, and should not: statuses, headers and bodies, from nonsense to nearly right."""

from __future__ import annotations

import random
from typing import Any

from shared.channels.contract import Accepted, Channel
from tests.fuzz.canaries import planted_phone, planted_text
from tests.fuzz.mutation import mutated, mutated_bytes
from tests.fuzz.nasties import BODIES, any_value
from tests.fuzz.wire import write

STATUSES = (0, 99, 100, 200, 200, 200, 201, 202, 204, 206, 299, 301, 302, 400, 400, 400, 401, 403, 404, 408, 409, 413, 422, 425,
            429, 429, 500, 500, 502, 503, 504, 520, 599, 600, 999, -1)  # fmt: skip
RETRY_AFTER = ("", "0", "1", "30", "-1", "1.5", "1e9", "99999999999999999999", "nan", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", "soon",
               "１２", "²", "0x10", "\x00", "1, 2", " 7 ", "9" * 5_000)  # fmt: skip
GOOD: tuple[dict[str, Any], ...] = (
    {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "1", "wa_id": "1"}],
        "messages": [{"id": "m.1", "message_status": "accepted"}],
    },
    {"recipient_id": "1", "message_id": "m.1"},
    {"ok": True, "result": {"message_id": 1, "date": 1763800000}},
    {"sid": "m.1", "status": "queued"},
    {"id": "m.1"},
)
"""Shapes of a success, of which a channel understands one."""
BAD: tuple[dict[str, Any], ...] = (
    {"error": {"message": "(#131047) Re-engagement", "type": "OAuthException", "code": 131047, "error_subcode": 2494010,
               "error_data": {"messaging_product": "whatsapp", "details": "more than 24 hours"}, "fbtrace_id": "A"}},
    {"error": {"code": 130429, "message": "Rate limit hit", "is_transient": True}},
    {"error": {"code": 190, "message": "token expired", "type": "OAuthException"}},
    {"error": {"code": 131026, "title": "undeliverable"}},
    {"ok": False, "error_code": 429, "parameters": {"retry_after": 5}, "description": "Too Many Requests"},
    {"code": 21610, "message": "unsubscribed", "status": 400},
)  # fmt: skip


def any_answer(chance: random.Random) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (lower-case names, as the transport gives them) and body of an answer."""
    status = chance.choice(STATUSES)
    headers = {"content-type": chance.choice(("application/json", "text/html", "", "application/json; charset=utf-16"))}
    if chance.randrange(2):
        headers["retry-after"] = chance.choice(RETRY_AFTER)
    if chance.randrange(4) == 0:
        headers[chance.choice(("x-app-usage", "x-business-use-case-usage", "location", "set-cookie"))] = planted_text(chance)
    return status, headers, _body(chance)


def _body(chance: random.Random) -> bytes:
    kind = chance.randrange(10)
    if kind == 0:
        return chance.choice(BODIES)[1]()
    good = chance.choice((*GOOD, *BAD))
    if kind == 1:
        return mutated_bytes(write(good), chance)
    if kind == 2:  # the number of a kind
        words = {
            "error": {"code": chance.choice((131047, "x", None, 10**30)), "message": planted_text(chance), "title": planted_phone(chance)}
        }
        return write(words)
    if kind == 3:  # likewise
        return write(any_value(chance))
    if kind == 4:  # likewise
        return write(good)
    return write(mutated(_copied(good), chance, []))


def _copied(value: Any) -> Any:
    """Return a copy that may be changed."""
    if isinstance(value, dict):
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def good_answer(channel: Channel) -> tuple[int, dict[str, str], bytes]:
    """Return an answer that `channel` takes as a success. Raises LookupError where none of the known shapes is."""
    for shape in GOOD:
        body = write(shape)
        if isinstance(channel.interpret(200, {}, body), Accepted):
            return 200, {}, body
    message = f"{channel.name} takes none of the known shapes of a success: add its own to tests/fuzz/answers.py"
    raise LookupError(message)
