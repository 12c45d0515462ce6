"""Outbound as a process of its own, for tests that kill it: `python -m tests.services.outbound.outbound_process <json>`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from services.outbound.app import Outbound
from services.outbound.sender import HttpTransport
from services.outbound.settings import OutboundSettings
from shared.channels.contract import Channels, HttpRequest, Limits
from shared.clock import SystemClock
from shared.engine.options import LoopOptions
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.engine.status import LoopStatus
from shared.engine.worker import Worker
from shared.engine.worker_options import WorkerOptions
from shared.engine.worker_sleeper import ClockSleeper
from shared.events.sends import SendRequested
from shared.metrics import Metrics
from shared.store.sqlite import SqliteStore
from shared.topics import SENDS
from tests.services.outbound.outbound_world import PaperChannel

GROUP_SESSION_MILLISECONDS = 10_000


class WiredPaperChannel(PaperChannel):
    """The channel of paper at a real address."""

    def __init__(self, url: str) -> None:
        super().__init__(Limits(10_000))
        self._url = url

    def render(self, send: SendRequested) -> HttpRequest:
        """Return the send id as the body of a real request."""
        return HttpRequest("POST", self._url, {}, send.send_id.encode())


async def run(config: dict[str, Any]) -> None:
    """Run until SIGTERM."""
    clock, metrics, status, stop = SystemClock(), Metrics(), LoopStatus(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = SqliteStore(Path(config["store"]))
    transport = HttpTransport(connect_timeout_seconds=2, request_timeout_seconds=5, connections_max=100)
    await transport.open()
    publisher = KafkaPublisher(
        PublisherOptions(
            bootstrap_servers=config["bootstrap"],
            topic_prefix=config["prefix"],
            partitions=config["partitions"],
            client_id=f"outbound-{config['instance']}",
        )
    )
    outbound = Outbound(
        channels=Channels({"paper": WiredPaperChannel(config["url"])}),
        store=store,
        publisher=publisher,
        transport=transport,
        clock=clock,
        sleeper=ClockSleeper(clock),
        settings=OutboundSettings(),
        metrics=metrics,
        instance=config["instance"],
        version="test",
        partitions=config["partitions"],
    )
    await outbound.open()
    options = LoopOptions(
        bootstrap_servers=config["bootstrap"],
        topic_prefix=config["prefix"],
        partitions=config["partitions"],
        instance=config["instance"],
        session_timeout_milliseconds=GROUP_SESSION_MILLISECONDS,
        fetch_wait_milliseconds=50,
    )
    worker = Worker(outbound, (SENDS,), options=WorkerOptions(options), clock=clock, metrics=metrics, status=status)
    await worker.run(stop)
    await outbound.close()
    await publisher.close()
    await transport.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
