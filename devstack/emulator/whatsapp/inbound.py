"""Customers' messages in Meta's shape, one builder per kind (WA/webhooks/reference/messages, 2025-11 to 2026-09).

A builder takes the script's `content` (the object under the type's name, or a plain string where one says it all) and returns
the message's own fields. What every message shares is added by `compose`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson

from devstack.emulator.whatsapp.media import StoredMedia
from devstack.emulator.whatsapp.settings import PhoneNumber
from devstack.emulator.whatsapp.state import Customer

MEDIA_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "image": "image/jpeg",
        "video": "video/mp4",
        "audio": "audio/ogg; codecs=opus",
        "document": "application/pdf",
        "sticker": "image/webp",
    }
)


class ContentError(ValueError):
    """The script's content does not fit the kind; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a customer writes. `content` depends on the kind; the rest may accompany every kind.

    `context` as Meta sends it (`{"message_id": …}` is enough for a reply; `{"forwarded": true}`); `media` for the media kinds.
    """

    kind: str
    content: Any = None
    context: dict[str, Any] | None = None
    referral: dict[str, Any] | None = None
    group_id: str | None = None
    media: StoredMedia | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """A message in Meta's shape, and the text that it shows on a phone."""

    message: dict[str, Any]
    text: str


def compose(draft: Draft, *, customer: Customer, number: PhoneNumber, wamid: str, at: datetime) -> Composed:
    """Return the item of `value.messages[]` for `draft`.

    Raises:
        ContentError: The kind is unknown or the content does not fit it.
    """
    if draft.kind not in BUILDERS:
        raise ContentError(f"Unknown kind {draft.kind!r}: use one of {', '.join(BUILDERS)}.")
    try:
        fields, text = BUILDERS[draft.kind](draft)
    except (KeyError, TypeError, AttributeError) as error:
        raise ContentError(f"The content does not fit kind {draft.kind!r}: {type(error).__name__} {error}. See the README.") from error
    message: dict[str, Any] = {}
    if draft.context is not None:
        message["context"] = _context(draft.context, number)
    if draft.referral is not None:
        message["referral"] = draft.referral
    message |= _sender(customer)
    if draft.group_id is not None:
        message["group_id"] = draft.group_id
    message |= {"id": wamid, "timestamp": str(int(at.timestamp())), **fields}
    return Composed(message, text)


def contact_of(customer: Customer) -> dict[str, Any]:
    """Return the item of `value.contacts[]`: the phone is left out, not replaced, when it may not be shown."""
    profile = {"name": customer.name} | ({"username": customer.username} if customer.username else {})
    ids = {"wa_id": customer.visible_phone, "user_id": customer.bsuid, "parent_user_id": customer.parent_bsuid}
    return {"profile": profile, **{name: value for name, value in ids.items() if value is not None}}


def _sender(customer: Customer) -> dict[str, Any]:
    ids = {"from": customer.visible_phone, "from_user_id": customer.bsuid, "from_parent_user_id": customer.parent_bsuid}
    return {name: value for name, value in ids.items() if value is not None}


def _context(context: dict[str, Any], number: PhoneNumber) -> dict[str, Any]:
    if "message_id" in context:
        return {"from": number.display_phone_number, "id": context["message_id"]}
    return context


def _text(draft: Draft) -> tuple[dict[str, Any], str]:
    body = draft.content if isinstance(draft.content, str) else draft.content["body"]
    return {"type": "text", "text": {"body": body}}, body


def _media(draft: Draft) -> tuple[dict[str, Any], str]:
    content: dict[str, Any] = draft.content or {}
    if draft.media is None:
        raise ContentError(f"Kind {draft.kind!r} needs stored media.")
    media: dict[str, Any] = {name: content[name] for name in ("caption", "filename") if name in content}
    media |= {"mime_type": draft.media.mime_type, "sha256": draft.media.sha256_base64, "id": draft.media.id, "url": draft.media.url}
    if draft.kind == "audio":
        media["voice"] = bool(content.get("voice", True))
    if draft.kind == "sticker":
        media["animated"] = bool(content.get("animated", False))
    return {"type": draft.kind, draft.kind: media}, content.get("caption") or f"[{draft.kind}]"


def _location(draft: Draft) -> tuple[dict[str, Any], str]:
    location = {"latitude": draft.content["latitude"], "longitude": draft.content["longitude"]} | draft.content
    return {"type": "location", "location": location}, location.get("name", "[location]")


def _contacts(draft: Draft) -> tuple[dict[str, Any], str]:
    wrapped = draft.content if isinstance(draft.content, dict) else {"contacts": draft.content}
    fields = {"type": "contacts", "contacts": list(wrapped["contacts"])}
    if "origin" in wrapped:
        fields["origin"] = wrapped["origin"]
    return fields, f"[{len(fields['contacts'])} contacts]"


def _interactive(draft: Draft) -> tuple[dict[str, Any], str]:
    reply = {"id": draft.content["id"], "title": draft.content["title"]}
    if draft.kind == "list_reply" and "description" in draft.content:
        reply["description"] = draft.content["description"]
    return {"type": "interactive", "interactive": {"type": draft.kind, draft.kind: reply}}, reply["title"]


def _flow_reply(draft: Draft) -> tuple[dict[str, Any], str]:
    # The response is JSON inside a JSON string, as Meta sends it.
    response = orjson.dumps(draft.content["response"]).decode()
    reply = {"response_json": response, "body": draft.content.get("body", "Sent"), "name": draft.content.get("name", "flow")}
    return {"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": reply}}, reply["body"]


def _button(draft: Draft) -> tuple[dict[str, Any], str]:
    button = {"payload": draft.content["payload"], "text": draft.content["text"]}
    return {"type": "button", "button": button}, button["text"]


def _reaction(draft: Draft) -> tuple[dict[str, Any], str]:
    # A removal comes without the key or with "": the script chooses by leaving `emoji` out or giving "".
    reaction = {name: draft.content[name] for name in ("message_id", "emoji") if name in draft.content}
    reaction["message_id"] = draft.content["message_id"]
    return {"type": "reaction", "reaction": reaction}, reaction.get("emoji", "")


def _order(draft: Draft) -> tuple[dict[str, Any], str]:
    order = {"catalog_id": draft.content["catalog_id"], "text": "", **draft.content}
    order["product_items"] = list(draft.content["product_items"])
    return {"type": "order", "order": order}, order["text"] or f"[order of {len(order['product_items'])} items]"


def _system(draft: Draft) -> tuple[dict[str, Any], str]:
    system = {"body": draft.content.get("body", ""), "type": draft.content["type"], **draft.content}
    return {"type": "system", "system": system}, system["body"]


def _unsupported(draft: Draft) -> tuple[dict[str, Any], str]:
    title = "Message type unknown"
    error = {"code": 131051, "title": title, "message": title, "error_data": {"details": "Message type is currently not supported."}}
    fields: dict[str, Any] = {"errors": [error], "type": "unsupported"}
    if draft.content and "type" in draft.content:
        fields["unsupported"] = {"type": draft.content["type"]}
    return fields, "[unsupported]"


def _edit(draft: Draft) -> tuple[dict[str, Any], str]:
    message = {"context": {"id": "M0"}} | draft.content["message"]
    edited = message.get(message["type"], {})
    text = edited.get("body") or edited.get("caption") or ""
    return {"type": "edit", "edit": {"original_message_id": draft.content["original_message_id"], "message": message}}, text


def _revoke(draft: Draft) -> tuple[dict[str, Any], str]:
    return {"type": "revoke", "revoke": {"original_message_id": draft.content["original_message_id"]}}, ""


def _request_welcome(_: Draft) -> tuple[dict[str, Any], str]:
    return {"type": "request_welcome"}, ""


def generated_bytes(content: dict[str, Any]) -> bytes:
    """Return the media's bytes: the script's (`bytes_base64`), or a few generated ones that differ per seed text."""
    if "bytes_base64" in content:
        return base64.b64decode(content["bytes_base64"], validate=True)
    return f"emulated media: {content.get('seed', '')}".encode()


BUILDERS: Mapping[str, Callable[[Draft], tuple[dict[str, Any], str]]] = MappingProxyType(
    {
        "text": _text,
        "image": _media,
        "video": _media,
        "audio": _media,
        "document": _media,
        "sticker": _media,
        "location": _location,
        "contacts": _contacts,
        "button_reply": _interactive,
        "list_reply": _interactive,
        "nfm_reply": _flow_reply,
        "button": _button,
        "reaction": _reaction,
        "order": _order,
        "system": _system,
        "unsupported": _unsupported,
        "edit": _edit,
        "revoke": _revoke,
        "request_welcome": _request_welcome,
    }
)
