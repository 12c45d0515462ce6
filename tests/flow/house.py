"""The whole contact centre in one process on a clock that is moved by hand: five services, the real channel, no network.

Webhooks are written here in the vendor's shape, signed, verified and parsed as in production; what outbound sends arrives at a vendor
made of a few lines, which answers and, when told to, reports back by webhook.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from services.bot.app import build_reducer as build_bot
from services.ingest.core import Webhook, accept
from services.outbound.app import Outbound
from services.outbound.sender import HttpAnswer
from services.outbound.settings import OutboundSettings
from services.router.app import build_reducers as build_router
from services.sla.app import build_reducer as build_sla
from shared.channels.contract import Channel, Channels, HttpRequest
from shared.channels.whatsapp.channel import WhatsApp
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.clock import ManualClock
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre
from shared.engine.local import LocalShell
from shared.engine.records import Publication
from shared.engine.reducer import Reducer
from shared.engine.worker_local import LocalWorker
from shared.engine.worker_sleeper import ManualSleeper
from shared.events.envelope import EventData, new_event
from shared.ids import thread_id
from shared.store.memory import MemoryStore
from shared.topics import SENDS, TOPICS, Topic

CONFIG = Path(__file__).resolve().parents[2] / "config"
MONDAY_MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""Ten o'clock in Riga: the day desks are there."""
SECRET = "flow-secret"
SALES, SUPPORT, BILLING, PRESS = (f"10000000000000{number}" for number in range(1, 5))
DataT = TypeVar("DataT", bound=EventData)


@dataclass(slots=True)
class Vendor:
    """The channel's side: takes sends, and can be told to refuse or to lose its answer."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Answer a send: as told, else accept it."""
        self.requests.append(json.loads(request.body))
        status, body = self.answers.pop(0) if self.answers else (200, {"messages": [{"id": f"wamid.out{next(self._numbers)}"}]})
        return HttpAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())

    def refuse_next(self, code: int, status: int = 400) -> None:
        """Refuse the next send with the vendor's `code`."""
        self.answers.append((status, {"error": {"message": "(refused)", "type": "OAuthException", "code": code, "fbtrace_id": "x"}}))


@dataclass(slots=True)
class House:
    """The contact centre as a test uses it."""

    clock: ManualClock
    shell: LocalShell
    vendor: Vendor
    channel: Channel
    centre: ContactCentre
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    # --- the customers' side ----------------------------------------------------------------------------------------

    async def customer_writes(
        self,
        text: str,
        *,
        phone: str = "351912000001",
        account: str = SUPPORT,
        ago: timedelta = timedelta(0),
        message_id: str | None = None,
    ) -> str:
        """Let a customer write, and everything that follows happen; return the thread."""
        wamid = message_id or f"wamid.in{next(self._ids)}"
        moment = int((self.clock.now() - ago).timestamp())
        message = {"from": phone, "id": wamid, "timestamp": str(moment), "type": "text", "text": {"body": text}}
        await self.webhook(account, {"contacts": [{"profile": {"name": "A customer"}, "wa_id": phone}], "messages": [message]})
        return thread_id("whatsapp", account, phone)

    async def vendor_reports(self, status: str, send: dict[str, Any], *, account: str = SUPPORT, wamid: str = "wamid.out0") -> None:
        """Let the vendor report what became of a send, with the opaque data that we sent along."""
        report = {
            "id": wamid,
            "status": status,
            "timestamp": str(int(self.clock.now().timestamp())),
            "recipient_id": send["to"].lstrip("+"),
            "biz_opaque_callback_data": send["biz_opaque_callback_data"],
        }
        await self.webhook(account, {"statuses": [report]})

    async def webhook(self, account: str, value: dict[str, Any]) -> None:
        """Take one signed webhook in as ingest does, and let everything that follows happen."""
        metadata = {"display_phone_number": "15550100000", "phone_number_id": account}
        change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode()
        signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert self.channel.verify({"x-hub-signature-256": signature}, body)
        now = self.clock.now()
        intake = accept(self.channel.parse(body, now), Webhook("whatsapp", now), self.centre.accounts)
        await self.shell.log.publish([Publication(record.topic, record.key, record.value) for record in intake.records])
        await self.shell.settle()

    # --- integrators' side ------------------------------------------------------------------------------------------

    async def publish(self, topic: Topic, key: str, data: EventData) -> None:
        """Publish as any integrator would, and let everything that follows happen."""
        event = new_event(data, event_id=f"test/{next(self._ids)}", source="https://test.example", subject=key, time=self.clock.now())
        await self.shell.log.publish([Publication(topic, key, event.to_json())])
        await self.shell.settle()

    def facts(self, kind: type[DataT], thread: str | None = None) -> list[DataT]:
        """Return all events of one kind, of one thread or all, in their order."""
        return [
            event.data
            for topic in TOPICS
            if kind in topic.models
            for event in self.shell.log.events(topic)
            if isinstance(event.data, kind) and thread in {None, event.subject}
        ]

    def sent_texts(self) -> list[str]:
        """Return the words of all sends, as the vendor got them."""
        return [request.get("text", {}).get("body") or request.get("template", {}).get("name") or "" for request in self.vendor.requests]


@cache
def rules() -> tuple[ContactCentre, Channel, tuple[Reducer[Any], ...]]:
    """Return the contact centre of config/, its channel and its reducers, built once: they hold no state."""
    centre = load_contact_centre(CONFIG)
    channel = WhatsApp(WhatsAppSettings(app_secret=SecretStr(SECRET), access_token=SecretStr("token"), verify_token=SecretStr("token")))
    return centre, channel, (*build_router(centre), build_bot(centre), build_sla(centre, {channel.name: channel.policy}))


@asynccontextmanager
async def open_house(start: datetime = MONDAY_MORNING) -> AsyncIterator[House]:
    """Open the contact centre of config/ at `start`."""
    clock, store, vendor = ManualClock(start), MemoryStore(), Vendor()
    shell = LocalShell(clock=clock, store=store, partitions=2)
    centre, channel, reducers = rules()
    for reducer in reducers:
        await shell.add_reducer(reducer)
    sleeper = ManualSleeper(clock)
    outbound = Outbound(
        channels=Channels({channel.name: channel}),
        store=store,
        publisher=shell.log,
        transport=vendor,
        clock=clock,
        sleeper=sleeper,
        settings=OutboundSettings(ledger_linger_seconds=0),
        metrics=shell.metrics,
        instance="flow",
        version="test",
        partitions=2,
    )
    await outbound.open()
    worker = LocalWorker(outbound, (SENDS,), shell.log, clock=clock, sleeper=sleeper)
    shell.add(worker)
    try:
        yield House(clock, shell, vendor, channel, centre)
    finally:
        await worker.close()
        await outbound.close()
