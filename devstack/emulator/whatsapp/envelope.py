"""From items to the signed POST: Meta's envelope, Meta's escaping, Meta's signature.

`X-Hub-Signature-256: sha256=<lowercase hex HMAC-SHA256(app secret, raw body)>` over the bytes as sent, non-ASCII escaped with
lowercase hex (WA/webhooks/create-webhook-endpoint, 2025-11-07).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from devstack.emulator.whatsapp.settings import PhoneNumber

ITEMS_PER_POST_MAX = 1_000
Signature = Literal["good", "bad", "absent"]
# Made once: json.dumps with arguments of its own makes one per call.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to tell the receiver.

    `part` names the list it belongs to (messages, statuses), `contact` what goes beside it. With `part` None the payload is a
    whole `value` of its own. `summary` is what the log says about it.
    """

    number: PhoneNumber
    payload: Any
    summary: dict[str, Any]
    part: Literal["messages", "statuses"] | None = None
    contact: dict[str, Any] | None = None
    field: str = "messages"


def envelope(items: Iterable[Item]) -> dict[str, Any]:
    """Return the webhook's JSON value: one entry per account, neighbours of one number and list share a change."""
    entries: dict[str, dict[str, Any]] = {}
    previous: Item | None = None
    for item in items:
        entry = entries.setdefault(item.number.waba_id, {"id": item.number.waba_id, "changes": []})
        if item.part is not None and previous is not None and _shares_change(previous, item):
            _add(entry["changes"][-1]["value"], item)
        else:
            entry["changes"].append({"value": _value(item), "field": item.field})
        previous = item
    return {"object": "whatsapp_business_account", "entry": list(entries.values())}


def _shares_change(previous: Item, item: Item) -> bool:
    return (previous.number, previous.part, previous.field) == (item.number, item.part, item.field)


def _value(item: Item) -> Any:
    if item.part is None:
        return item.payload
    value: dict[str, Any] = {"messaging_product": "whatsapp", "metadata": metadata(item.number)}
    _add(value, item)
    return value


def _add(value: dict[str, Any], item: Item) -> None:
    if item.contact is not None and item.contact not in value.setdefault("contacts", []):
        value["contacts"].append(item.contact)
    value.setdefault(str(item.part), []).append(item.payload)


def metadata(number: PhoneNumber) -> dict[str, str]:
    """Return `value.metadata`."""
    return {"display_phone_number": number.display_phone_number, "phone_number_id": number.phone_number_id}


def encode(value: Any) -> bytes:
    r"""Return the bytes as Meta writes them: compact, non-ASCII as lowercase `\uXXXX`."""
    return _ENCODER.encode(value).encode("ascii")


def headers(body: bytes, secret: str, signature: Signature = "good") -> dict[str, str]:
    """Return the POST's headers; a bad signature is the right one of another secret."""
    result = {"Content-Type": "application/json", "User-Agent": "facebookexternalua"}
    if signature != "absent":
        key = secret if signature == "good" else f"not-{secret}"
        result["X-Hub-Signature-256"] = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return result
