"""Reading a POST to /messages: the envelope that every message shares. What a type demands is in `contents`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from devstack.emulator.whatsapp.contents import VALIDATORS, demand_object, demand_text
from devstack.emulator.whatsapp.errors import MetaError, RefusedError

CALLBACK_DATA_CHARACTERS_MAX = 512


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A well-formed send. `to` and `recipient` are as given; `content` is the object under the type's name."""

    type: str
    content: Any
    to: str | None
    recipient: str | None
    context_message_id: str | None
    callback_data: str | None

    @property
    def is_template(self) -> bool:
        """Return whether this send needs no open window."""
        return self.type == "template"

    @property
    def kind(self) -> str:
        """Return the type, for interactive messages with their own type (`interactive/list`)."""
        return f"interactive/{self.content['type']}" if self.type == "interactive" else self.type


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """A read receipt, with or without the typing indicator."""

    message_id: str
    typing: bool


def parse(body: Any) -> SendRequest | ReadReceipt | MetaError:
    """Read the JSON value of a POST to /messages; an error says how the vendor refuses it."""
    try:
        return _parse(body)
    except RefusedError as refused:
        return refused.error


def _parse(body: Any) -> SendRequest | ReadReceipt:
    if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
        raise RefusedError(100, "The parameter messaging_product is required.")
    if "status" in body:
        return _read_receipt(body)
    if body.get("recipient_type", "individual") != "individual":
        raise RefusedError(100, 'Param recipient_type must be "individual" here: groups are not emulated.')
    message_type = body.get("type", "text")
    if message_type not in VALIDATORS:
        allowed = ", ".join(name.upper() for name in VALIDATORS)
        raise RefusedError(100, f'Param type must be one of {{{allowed}}} - got "{message_type}".')
    to, recipient = _address(body, "to"), _address(body, "recipient")
    if to is None and recipient is None:
        raise RefusedError(100, "The parameter to is required.")
    if message_type not in body:
        raise RefusedError(131008, f"Parameter '{message_type}' is mandatory for type '{message_type}'.")
    VALIDATORS[message_type](body[message_type])
    return SendRequest(message_type, body[message_type], to, recipient, _context(body), _callback_data(body))


def _read_receipt(body: dict[str, Any]) -> ReadReceipt:
    if body["status"] != "read":
        raise RefusedError(100, 'Param status must be one of {READ} - got "' + str(body["status"]) + '".')
    message_id = demand_text(body, "message_id", owner="status")
    typing = body.get("typing_indicator")
    if typing is not None and (not isinstance(typing, dict) or typing.get("type") != "text"):
        raise RefusedError(131009, "typing_indicator.type must be text.")
    return ReadReceipt(message_id, typing is not None)


def _address(body: dict[str, Any], name: Literal["to", "recipient"]) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RefusedError(100, f"Param {name} must be a string.")
    return value


def _context(body: dict[str, Any]) -> str | None:
    if body.get("context") is None:
        return None
    return demand_text(demand_object(body, "context", owner="message"), "message_id", owner="context")


def _callback_data(body: dict[str, Any]) -> str | None:
    data = body.get("biz_opaque_callback_data")
    if data is None:
        return None
    if not isinstance(data, str) or len(data) > CALLBACK_DATA_CHARACTERS_MAX:
        raise RefusedError(100, f"Param biz_opaque_callback_data must be a string of at most {CALLBACK_DATA_CHARACTERS_MAX} characters.")
    return data
