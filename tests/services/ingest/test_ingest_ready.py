"""Ingest is ready while what it takes in reaches the log, and comes back without a webhook to show it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from services.ingest.service import WatchedPublisher, report_ready
from shared.engine.records import Publication
from shared.engine.status import LoopStatus
from shared.errors import BrokerUnavailableError
from shared.topics import INBOUND

PATIENCE_SECONDS = 10.0
WRITTEN = [Publication(INBOUND, "whatsapp:1:2", b"{}")]


class Broker:
    """Acknowledges, refuses, or is silent."""

    def __init__(self) -> None:
        self.behaviour = "acknowledges"
        self.heard = asyncio.Event()

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Do what the test says."""
        assert publications
        if self.behaviour == "refuses":
            raise BrokerUnavailableError("no")
        if self.behaviour == "silent":
            await asyncio.Event().wait()

    async def answers(self) -> bool:
        """Return whether it would answer; one that is silent is waited for."""
        if self.behaviour == "silent":
            await self.heard.wait()
        return self.behaviour == "acknowledges"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("behaviour", ["refuses", "silent"])
async def test_a_write_that_failed_or_was_given_up_ends_readiness_until_the_broker_answers(
    behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's deadline is long before the publisher's: what it gave up counts. No webhook has to come for the way back."""
    monkeypatch.setattr("services.ingest.service.READY_POLL_SECONDS", 0.001)
    broker, status, stop = Broker(), LoopStatus(), asyncio.Event()
    publisher = WatchedPublisher(broker)
    reporting = asyncio.create_task(report_ready(publisher, broker.answers, status, stop))
    await publisher.publish(WRITTEN)
    await until(lambda: status.ready)
    broker.behaviour = behaviour
    with suppress(BrokerUnavailableError, TimeoutError):
        async with asyncio.timeout(0.01):
            await publisher.publish(WRITTEN)
    await until(lambda: not status.ready)
    broker.behaviour = "acknowledges"
    broker.heard.set()
    await until(lambda: status.ready)
    stop.set()
    await reporting
