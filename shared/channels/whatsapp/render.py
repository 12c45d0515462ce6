"""The request that sends a message: `POST {base}/{version}/{phone_number_id}/messages` ("Send messages", 2025-11-04).

The body holds the recipient, the content, what it answers, and our opaque data, which comes back on every status. What would be
refused is not sent: Unrenderable says why, in words for who wrote it.
"""

from __future__ import annotations

from urllib.parse import quote

import orjson

from shared.channels.contract import HttpRequest, Unrenderable
from shared.channels.whatsapp import opaque
from shared.channels.whatsapp.identity import is_business_scoped_id, to_e164
from shared.channels.whatsapp.policy import ContentLimits, Rules
from shared.channels.whatsapp.reading import Json
from shared.channels.whatsapp.render_content import render_content
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.events.sends import Permission, SendRequested
from shared.events.shapes import Customer, Reaction, Template


def render_send(send: SendRequested, settings: WhatsAppSettings, rules: Rules) -> HttpRequest:
    """Return the request. Raises Unrenderable."""
    _check_permission(send)
    body: Json = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(send.to),
        **render_content(send.content, rules, settings.list_button),
        "biz_opaque_callback_data": _opaque_data(send, rules.content),
    }
    if send.reply_to and not isinstance(send.content, Reaction):
        body["context"] = {"message_id": send.reply_to}
    return HttpRequest(
        method="POST",
        url=f"{settings.api_base_url}/{settings.api_version}/{quote(send.account, safe='')}/messages",
        headers={"authorization": f"Bearer {settings.access_token_of(send.account)}", "content-type": "application/json"},
        body=orjson.dumps(body),
    )


def _check_permission(send: SendRequested) -> None:
    """Refuse a permission that this channel does not know, and free text where only a template may go."""
    if send.permission in {Permission.HUMAN_AGENT, Permission.PRIVATE_REPLY}:
        raise Unrenderable("WhatsApp knows no such permission: outside the 24 hours only an approved template can be sent.")
    if send.permission is Permission.TEMPLATE and not isinstance(send.content, Template):
        raise Unrenderable("Outside the 24 hours only an approved template can be sent on WhatsApp.")


def _recipient(customer: Customer) -> Json:
    """Return the address: the phone where one is known, else the business-scoped id, never both.

    A phone needs its `+`, or the vendor puts our own country code before it. A business-scoped id in `to` would be mangled to digits
    and be undeliverable.
    """
    phone = to_e164(customer.phone) or to_e164(customer.id)
    if phone:
        return {"to": phone}
    scoped_id = customer.business_scoped_id or (customer.id if is_business_scoped_id(customer.id) else None)
    if scoped_id:
        return {"recipient": scoped_id}
    raise Unrenderable("The customer has neither a phone number nor a business-scoped id that WhatsApp could send to.")


def _opaque_data(send: SendRequested, limits: ContentLimits) -> str:
    """Return what comes back on every status."""
    data = opaque.encode(opaque.OpaqueData(send.to.id, send.send_id))
    if len(data) > limits.opaque_data_characters:
        raise Unrenderable(
            f"The ids of the customer and of the send are longer than the {limits.opaque_data_characters} characters that fit."
        )
    return data
