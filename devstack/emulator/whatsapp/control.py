"""The script's door to the WhatsApp world: play customers, post any webhook, order faults, look at phones."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from devstack.emulator.control_http import ControlError, json_answer, read_list, read_model
from devstack.emulator.webhooks import Delivery
from devstack.emulator.whatsapp.behaviour import Step
from devstack.emulator.whatsapp.control_bodies import (
    CustomerBody,
    HandshakeBody,
    MessageFields,
    MessageItem,
    MessagesBody,
    PostingBody,
    RawMessageItem,
    ReadBody,
    SendBody,
    StatusBody,
    ValueItem,
    WebhookBody,
)
from devstack.emulator.whatsapp.directory import UnknownCustomerError, customer_as_json, derived_bsuid
from devstack.emulator.whatsapp.envelope import Item, metadata
from devstack.emulator.whatsapp.faults import Fault
from devstack.emulator.whatsapp.inbound import ContentError, Draft
from devstack.emulator.whatsapp.postman import Posting, outcome_as_json
from devstack.emulator.whatsapp.settings import Behaviour, Template
from devstack.emulator.whatsapp.state import Customer
from devstack.emulator.whatsapp.world import World, Written

PORTFOLIO = "emulated-portfolio"


class WhatsAppControl:
    """The control routes of the WhatsApp world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/control/customers", self.list_customers),
            web.post("/control/customers", self.put_customers),
            web.get("/control/customers/{id}", self.get_customer),
            web.post("/control/customers/{id}/send", self.customer_sends),
            web.post("/control/customers/{id}/read", self.customer_reads),
            web.get("/control/conversations/{id}", self.conversation),
            web.post("/control/messages", self.post_messages),
            web.post("/control/webhooks", self.post_webhook),
            web.post("/control/statuses", self.post_status),
            web.get("/control/faults", self.list_faults),
            web.post("/control/faults", self.add_faults),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/behaviour", self.get_behaviour),
            web.patch("/control/behaviour", self.change_behaviour),
            web.put("/control/templates", self.put_template),
            web.post("/control/handshake", self.handshake),
        ]

    async def list_customers(self, _: web.Request) -> web.Response:
        """All customers."""
        return json_answer({"customers": [customer_as_json(customer) for customer in self.world.directory.all()]})

    async def put_customers(self, request: web.Request) -> web.Response:
        """Create or replace one customer (an object) or many (a list)."""
        bodies, many = await read_list(request, CustomerBody)
        created = [customer_as_json(self._put_customer(body)) for body in bodies]
        return json_answer({"customers": created} if many else created[0], status=201)

    def _put_customer(self, body: CustomerBody) -> Customer:
        fields = body.model_dump()
        fields["id"] = body.id or f"customer-{len(self.world.directory.all()) + 1}"
        if body.phone and "bsuid" not in body.model_fields_set:
            fields["bsuid"] = derived_bsuid(body.phone, PORTFOLIO)
        if not (fields["phone"] or fields["bsuid"]):
            raise ControlError("A customer needs a phone or a bsuid.")
        customer = Customer(**fields)
        self.world.directory.put(customer)
        return customer

    async def get_customer(self, request: web.Request) -> web.Response:
        """One customer, with the reply windows that are on record."""
        customer = self._customer(request.match_info["id"])
        windows = {number: ends_at.isoformat() for (number, owner), ends_at in self.world.windows.items() if owner == customer.id}
        return json_answer({**customer_as_json(customer), "windows": windows})

    async def customer_sends(self, request: web.Request) -> web.Response:
        """Let a customer write; answers the native id and what came of the webhook."""
        body = await read_model(request, SendBody)
        written = self._write(self._customer(request.match_info["id"]), body)
        posting = body.posting(written.posting)
        deliveries = self.world.postman.queue(written.item, posting) if body.batch else self.world.postman.post([written.item], posting)
        await _wait(deliveries, body)
        return json_answer({"id": written.wamid, "webhooks": [outcome_as_json(delivery) for delivery in deliveries]}, status=201)

    async def customer_reads(self, request: web.Request) -> web.Response:
        """Let a customer read; answers the messages that got a read status."""
        body = await read_model(request, ReadBody)
        read = self.world.customer_reads(self._customer(request.match_info["id"]), body.phone_number_id, body.up_to)
        return json_answer({"read": read})

    async def conversation(self, request: web.Request) -> web.Response:
        """What the customer sees on the phone, oldest first."""
        customer = self._customer(request.match_info["id"])
        bubbles = self.world.phones.chat(customer, request.query.get("phone_number_id"))
        return json_answer({"customer": customer_as_json(customer), "messages": [bubble.as_json() for bubble in bubbles]})

    async def post_messages(self, request: web.Request) -> web.Response:
        """Let many customers write, each in a POST of its own; answers the ids in order."""
        body = await read_model(request, MessagesBody)
        ids, deliveries = [], []
        for position, message in enumerate(body.messages):
            written = self._write(self._customer(message.customer), message)
            posting = body.posting(written.posting)
            spaced = replace(posting, delay_seconds=posting.delay_seconds + position * body.interval_seconds)
            deliveries += self.world.postman.post([written.item], spaced)
            ids.append(written.wamid)
        await _wait(deliveries, body)
        return json_answer({"ids": ids}, status=201)

    async def post_webhook(self, request: web.Request) -> web.Response:
        """Post several items at once, or any bytes."""
        body = await read_model(request, WebhookBody)
        raw = _raw(body)
        if raw is None and not body.items:
            raise ControlError("Give items, raw_body or raw_body_base64.")
        items, ids = [], []
        for asked in body.items:
            item, wamid = self._item(asked)
            items.append(item)
            ids.append(wamid)
        posting = replace(body.posting(Posting()), raw_body=raw)
        deliveries = self.world.postman.post(items, posting)
        await _wait(deliveries, body)
        return json_answer({"ids": ids, "webhooks": [outcome_as_json(delivery) for delivery in deliveries]}, status=201)

    async def post_status(self, request: web.Request) -> web.Response:
        """Make one status happen."""
        body = await read_model(request, StatusBody)
        send = self.world.sends.get(body.wamid)
        if send is None:
            raise ControlError(f"No accepted send {body.wamid!r}.", status=404)
        code = (body.code or 131026) if body.status == "failed" else None
        self.world.emit_status(send, Step(body.status, 0.0, body.delay_seconds, body.copies), code)
        return json_answer({"wamid": send.wamid, "statuses": send.statuses}, status=201)

    async def list_faults(self, _: web.Request) -> web.Response:
        """The faults still to come."""
        return json_answer({"faults": [{**fault.model_dump(), "left": left} for fault, left in self.world.faults]})

    async def add_faults(self, request: web.Request) -> web.Response:
        """Order one fault (an object) or several (a list)."""
        faults, _ = await read_list(request, Fault)
        try:
            for fault in faults:
                self.world.faults.add(fault)
        except ValueError as error:
            raise ControlError(str(error), status=409) from error
        return await self.list_faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Forget all faults."""
        self.world.faults.clear()
        return await self.list_faults(request)

    async def get_behaviour(self, _: web.Request) -> web.Response:
        """What the vendor does by itself now."""
        return json_answer(self.world.behaviour.model_dump())

    async def change_behaviour(self, request: web.Request) -> web.Response:
        """Change some of the behaviour; unknown names are refused."""
        changes = await read_model(request, Behaviour)
        merged = self.world.behaviour.model_dump() | changes.model_dump(include=changes.model_fields_set)
        self.world.behaviour = Behaviour.model_validate(merged)
        return await self.get_behaviour(request)

    async def put_template(self, request: web.Request) -> web.Response:
        """Put a template on file (or change its status)."""
        template = await read_model(request, Template)
        self.world.templates[template.name, template.language] = template
        return json_answer(template.model_dump())

    async def handshake(self, request: web.Request) -> web.Response:
        """Verify the webhook URL as Meta does: 200 and the bare challenge."""
        body = await read_model(request, HandshakeBody)
        challenge = body.challenge or str(secrets.randbelow(10**10))
        token = self.world.settings.verify_token if body.verify_token is None else body.verify_token
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
        try:
            async with self.world.postman.sender.session.get(
                self.world.settings.webhook_url, params=query, allow_redirects=False
            ) as answer:
                text, status = await answer.text(), answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ControlError(f"The webhook URL did not answer: {type(error).__name__} {error}.", status=502) from error
        outcome = {
            "http_status": status,
            "body": text,
            "challenge": challenge,
            "verified": status == web.HTTPOk.status_code and text == challenge,
        }
        self.world.journal.append("handshake", **{name: outcome[name] for name in ("http_status", "verified")})
        return json_answer(outcome)

    def _customer(self, customer_id: str) -> Customer:
        try:
            return self.world.directory.get(customer_id)
        except UnknownCustomerError as error:
            raise ControlError(str(error.args[0]), status=404) from error

    def _write(self, customer: Customer, fields: MessageFields) -> Written:
        now = self.world.clock.now()
        at = fields.timestamp.astimezone(UTC) if fields.timestamp else now - timedelta(seconds=fields.ago_seconds or 0.0)
        draft = Draft(fields.kind, fields.content, fields.context, fields.referral, fields.group_id)
        try:
            written = self.world.customer_writes(customer, self.world.number_of(fields.phone_number_id), draft, at)
        except ContentError as error:
            raise ControlError(str(error)) from error
        if fields.omit_profile and written.item.contact is not None:
            contact = {name: value for name, value in written.item.contact.items() if name != "profile"}
            return replace(written, item=replace(written.item, contact=contact))
        return written

    def _item(self, asked: MessageItem | RawMessageItem | ValueItem) -> tuple[Item, str | None]:
        if isinstance(asked, MessageItem):
            written = self._write(self._customer(asked.customer), asked)
            return written.item, written.wamid
        number = self.world.number_of(asked.phone_number_id)
        if isinstance(asked, RawMessageItem):
            return Item(number, asked.payload, {"item": "raw", "part": asked.part}, asked.part, asked.contact), None
        front: Mapping[str, Any] = {"messaging_product": "whatsapp", "metadata": metadata(number)} if asked.metadata else {}
        return Item(number, {**front, **asked.value}, {"item": "value", "field": asked.field}, field=asked.field), None


def _raw(body: WebhookBody) -> bytes | None:
    if body.raw_body is not None:
        return body.raw_body.encode()
    if body.raw_body_base64 is None:
        return None
    try:
        return base64.b64decode(body.raw_body_base64, validate=True)
    except binascii.Error as error:
        raise ControlError("raw_body_base64 is not Base64.") from error


async def _wait(deliveries: list[Delivery], body: PostingBody) -> None:
    if body.wait == "none" or not deliveries:
        return
    awaited = [delivery.first if body.wait == "attempt" else delivery.settled for delivery in deliveries]
    await asyncio.wait(awaited, timeout=body.wait_seconds)
