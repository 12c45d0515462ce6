"""The channel's side: takes sends as WhatsApp's Cloud API does, keeps its window, and reports by signed webhooks that it repeats.

It knows nothing of the product: it counts what it was asked for, by the opaque data of each request, and what it acted on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.outbound.sender import AnswerLostError, HttpAnswer, RequestNotSentError
from shared.channels.contract import HttpRequest
from tests.sim.faults import Faults, HttpFate
from tests.sim.loop import Process, SimulatedLoop

SECRET = "simulated-secret"
WINDOW = timedelta(hours=24)
"""How long after a customer's message anything may be sent ("Customer service windows", 2026)."""
ANSWER_TIMEOUT_SECONDS = 10.0
"""How long the vendor waits for a webhook's answer."""
RETRY_SECONDS_MAX = 600.0


@dataclass(slots=True)
class Request:
    """One request that arrived: what it asked for, and what the vendor did. `message_id` is None where it was refused."""

    send_id: str
    body: dict[str, Any]
    at: datetime
    process: str
    message_id: str | None = None
    code: int | None = None


@dataclass(slots=True)
class Delivery:
    """One webhook on its way: posted until it is answered 200."""

    account: str
    value: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    attempts: int = 0
    answered: int = 0


Post = Callable[[Delivery, "asyncio.Future[int]"], None]


@dataclass
class Vendor:
    """One vendor for all accounts. `post` hands a webhook to one of the ingest processes; `requested` hears of every request first."""

    loop: SimulatedLoop
    chance: random.Random
    faults: Faults
    post: Post
    requested: Callable[[Request], None]
    requests: list[Request] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    last_inbound: dict[tuple[str, str], datetime] = field(default_factory=dict)
    statuses_expected: int = 0
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- sends ------------------------------------------------------------------------------------------------------

    async def send(self, process: Process, request: HttpRequest) -> HttpAnswer:
        """Answer a request of `process`. Raises RequestNotSentError and AnswerLostError as the real transport does.

        Whatever befalls the process once the request is handed over, the request is on its way.
        """
        fate = self.faults.http(process)
        if fate is HttpFate.NOT_SENT:
            raise RequestNotSentError("No connection to the channel (simulated).")
        if fate is HttpFate.LOST_BEFORE:
            await asyncio.sleep(self.chance.uniform(0, 20))
            raise AnswerLostError("The request left and its answer was lost (simulated).")
        arrival: asyncio.Future[HttpAnswer] = self.loop.create_future()
        self.loop.at(self.chance.random() * 0.02, self._arrive, process.name, request, fate, arrival)
        await self.faults.cross(process, "HTTP request")
        answer = await arrival
        await self.faults.cross(process, "HTTP answer")
        if fate is HttpFate.SLOW:
            await asyncio.sleep(self.chance.uniform(0, 15))
        if fate is HttpFate.LOST_AFTER:
            await asyncio.sleep(self.chance.uniform(0, 20))
            raise AnswerLostError("The request left and its answer was lost (simulated).")
        return answer

    def _arrive(self, process: str, request: HttpRequest, fate: HttpFate, arrival: asyncio.Future[HttpAnswer]) -> None:
        """Act on a request; whoever sent it may be gone by now."""
        body = json.loads(request.body)
        account = request.url.rsplit("/", 2)[1]
        _, _, send_id = body["biz_opaque_callback_data"].split("|", 2)
        made = Request(send_id, body, self.loop.wall(), process)
        answer = self._judge(made, account, fate)
        self.requested(made)
        self.requests.append(made)
        if not arrival.done():
            arrival.set_result(answer)

    def _judge(self, made: Request, account: str, fate: HttpFate) -> HttpAnswer:
        """Accept or refuse a request."""
        refusals = {HttpFate.LIMITED: (429, 130429), HttpFate.PAIR_LIMITED: (400, 131056), HttpFate.BROKEN: (500, 131000)}
        customer = made.body.get("to", made.body.get("recipient", "")).lstrip("+")
        since = self.last_inbound.get((account, customer))
        if fate in refusals:
            status, made.code = refusals[fate]
        elif made.body["type"] != "template" and (since is None or self.loop.wall() - since > WINDOW):
            status, made.code = 400, 131047
        else:
            made.message_id = f"wamid.out.{next(self._numbers)}"
            self._report_later(made, account, customer)
            return _answer(200, {"messaging_product": "whatsapp", "messages": [{"id": made.message_id}]})
        return _answer(status, {"error": {"message": "(refused)", "type": "OAuthException", "code": made.code, "fbtrace_id": "x"}})

    def _report_later(self, made: Request, account: str, customer: str) -> None:
        """Report what becomes of an accepted message: in order, mostly."""
        seconds = self.chance.choice((0.0, 0.5, 2.0)) * self.chance.random()
        last = self.chance.choice(("delivered", "read", "read", "sent", "failed"))
        kinds = {"sent": ("sent",), "delivered": ("sent", "delivered"), "read": ("sent", "delivered", "read"), "failed": ("sent", "failed")}
        for kind in kinds[last]:
            report: dict[str, Any] = {
                "id": made.message_id,
                "status": kind,
                "timestamp": str(int(self.loop.wall().timestamp() + seconds)),
                "recipient_id": customer,
                "biz_opaque_callback_data": made.body["biz_opaque_callback_data"],
            }
            if kind == "failed":
                report["errors"] = [{"code": 131026, "title": "Message undeliverable"}]
            again = [seconds] if not self.faults.draw("status odd", kind) else [self.chance.uniform(0, 300), self.chance.uniform(0, 9000)]
            for delay in again:
                self.loop.at(delay, self.deliver, account, {"statuses": [report]})
            seconds += self.chance.choice((1, 60, 3600)) * self.chance.random()

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def customer_writes(self, account: str, phone: str, text: str, *, late: timedelta = timedelta(0)) -> None:
        """Take a customer's message, and tell the contact centre. `late`: how long the vendor held it back."""
        written_at = self.loop.wall() - late
        known = self.last_inbound.get((account, phone))
        self.last_inbound[account, phone] = written_at if known is None else max(known, written_at)
        message = {
            "from": phone,
            "id": f"wamid.in.{next(self._numbers)}",
            "timestamp": str(int(written_at.timestamp())),
            "type": "text",
            "text": {"body": text},
        }
        self.deliver(account, {"contacts": [{"profile": {"name": "A customer"}, "wa_id": phone}], "messages": [message]})

    def deliver(self, account: str, value: dict[str, Any]) -> None:
        """Post a webhook until it is answered 200; sometimes more often than that."""
        metadata = {"display_phone_number": "15550100000", "phone_number_id": account}
        change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode()
        signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        delivery = Delivery(account, value, body, {"x-hub-signature-256": signature, "content-type": "application/json"})
        self.deliveries.append(delivery)
        self._attempt(delivery)
        if self.faults.draw("webhook repeated", account):
            for _ in range(self.chance.randint(1, 2)):
                self.loop.at(self.chance.choice((0.01, 5, 600)) * self.chance.random(), self._attempt, delivery)

    def _attempt(self, delivery: Delivery) -> None:
        """Post once, and again later unless that was answered 200 in time."""
        delivery.attempts += 1
        answer: asyncio.Future[int] = self.loop.create_future()
        self.post(delivery, answer)
        self.loop.at(ANSWER_TIMEOUT_SECONDS, self._judge_answer, delivery, answer)

    def _judge_answer(self, delivery: Delivery, answer: asyncio.Future[int]) -> None:
        if answer.done() and answer.result() == 200:
            delivery.answered += 1
            if not self.faults.draw("webhook lost answer", delivery.account):
                return
        seconds = min(RETRY_SECONDS_MAX, 2.0 ** min(delivery.attempts, 10))
        self.loop.at(seconds * self.chance.uniform(0.5, 1), self._attempt, delivery)


def _answer(status: int, body: dict[str, Any]) -> HttpAnswer:
    return HttpAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())
