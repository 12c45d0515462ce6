"""The channels' side, simulated: the real channel's rules and rendering, an answer of our own instead of the network.

What cannot be rendered is refused as in production. A share of the requests is refused for a moment, or its answer is lost; statuses
follow as they would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from cli.simulation.world import World
from services.outbound.sender import AnswerLostError, HttpAnswer
from shared.channels.contract import Accepted, Channel, Handshake, HttpRequest, Item, ItemEvent, Limits, Policy, Refused, Role
from shared.engine.worker_sleeper import Sleeper
from shared.events.deliveries import MessageDelivered, MessageRead, MessageSent
from shared.events.sends import SendRequested
from shared.events.shapes import Failure, FailureClass
from shared.ids import thread_id, webhook_item_id
from shared.topics import DELIVERIES

LATENCY_SECONDS = (0.05, 0.4)
REFUSED_SHARE = 0.01
"""Requests that are refused for a moment: they are tried again."""
LOST_SHARE = 0.003
"""Requests whose answer is lost although the channel took them: unknown until a status comes."""
READ_SHARE = 0.85
HTTP_OK = 200
HTTP_BUSY = 503
TakeIn = Callable[[str, list[Item]], Awaitable[None]]
"""Takes items of a webhook in, as ingest does: (channel, items)."""


class SimulatedChannel:
    """A channel of this installation that answers by itself."""

    def __init__(self, real: Channel) -> None:
        self._real = real
        self.name = real.name
        self.policy: Policy = real.policy

    def limits(self, account: str) -> Limits:
        """Return the real limits."""
        return self._real.limits(account)

    def missing(self, role: Role) -> tuple[str, ...]:  # noqa: ARG002 # nothing leaves this process
        """Return nothing: no secret is needed."""
        return ()

    def handshake(self, query: Mapping[str, str]) -> Handshake:
        """Answer as the real channel does."""
        return self._real.handshake(query)

    def verify(self, headers: Mapping[str, str], body: bytes, *, account: str | None = None) -> bool:
        """Verify as the real channel does."""
        return self._real.verify(headers, body, account=account)

    def parse(self, body: bytes, received_at: datetime, *, account: str | None = None) -> tuple[Item, ...]:
        """Parse as the real channel does."""
        return self._real.parse(body, received_at, account=account)

    def render(self, send: SendRequested) -> HttpRequest:
        """Return a request to the simulated side of what the real channel can render. Raises Unrenderable."""
        self._real.render(send)
        body = {"channel": send.channel, "account": send.account, "customer": send.to.id, "send_id": send.send_id}
        return HttpRequest("POST", "simulated:", {}, orjson.dumps(body))

    def interpret(self, status: int, headers: Mapping[str, str], body: bytes) -> Accepted | Refused:  # noqa: ARG002 # the contract's
        """Return what our own answer says."""
        if status == HTTP_OK:
            return Accepted(str(orjson.loads(body)["message_id"]))
        return Refused(Failure(code="busy", class_=FailureClass.RETRY, explanation="The channel was busy."))


@dataclass(slots=True)
class SimulatedSide:
    """The vendors' side: takes sends, and reports what became of them."""

    world: World
    chance: Random
    sleeper: Sleeper
    take_in: TakeIn
    counts: Counter[str] = field(default_factory=Counter)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Take a send: accept it, refuse it for a moment, or take it and lose the answer."""
        await self.sleeper.until(self.world.now() + timedelta(seconds=self.chance.uniform(*LATENCY_SECONDS)))
        if self.chance.random() < REFUSED_SHARE:
            return HttpAnswer(HTTP_BUSY, {}, b"")
        self.counts["sends.accepted"] += 1
        message_id = f"out.{self.counts['sends.accepted']}"
        self._report(orjson.loads(request.body), message_id)
        if self.chance.random() < LOST_SHARE:
            raise AnswerLostError("The simulated answer was lost.")
        return HttpAnswer(HTTP_OK, {}, orjson.dumps({"message_id": message_id}))

    def _report(self, send: dict[str, Any], message_id: str) -> None:
        """Put the statuses on the agenda."""
        moment = self.chance.uniform(0.2, 1.5)
        self._status(MessageSent, send, message_id, moment)
        moment += self.chance.uniform(0.3, 5.0)
        self._status(MessageDelivered, send, message_id, moment)
        if self.chance.random() < READ_SHARE:
            self._status(MessageRead, send, message_id, moment + self.chance.expovariate(1 / 120))

    def _status(
        self, kind: type[MessageSent | MessageDelivered | MessageRead], send: dict[str, Any], message_id: str, after: float
    ) -> None:
        async def report() -> None:
            now = self.world.now()
            channel, account = send["channel"], send["account"]
            thread = thread_id(channel, account, send["customer"])
            event_id = webhook_item_id(channel, account, kind.NAME, message_id)
            data = kind(message_id=message_id, send_id=send["send_id"], at=now)
            await self.take_in(channel, [ItemEvent(DELIVERIES, thread, event_id, account, data, now)])

        self.world.after(after, report)
