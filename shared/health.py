"""/live, /ready and /metrics, served from a thread of their own.

The probes must answer while the event loop is busy: a loop that is blocked for a minute recovers by itself and must not be killed
for it, one that is dead for longer must.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.clock import Clock
from shared.errors import ConfigurationError
from shared.metrics import Metrics

LOOP_SILENT_SECONDS_MAX = 120.0
"""A loop that was silent for longer is dead: twice the longest block it has to survive."""
HEARTBEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a probe: whether it is well, and why not."""

    well: bool
    explanation: str = "ok"


class Heartbeat:
    """Shows that the event loop turns, and measures how late it is."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._last_seconds = clock.monotonic_seconds()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = self._clock.monotonic_seconds()
            late = max(0.0, now - self._last_seconds - HEARTBEAT_SECONDS)
            self._metrics.loop_lag.set(late)
            if late > HEARTBEAT_SECONDS:
                self._metrics.loop_blocked.inc(late)  # the gauge has forgotten it a second later, before anybody looked
            self._last_seconds = now

    def live(self) -> Probe:
        """Return whether the loop was heard of lately."""
        silent = self._clock.monotonic_seconds() - self._last_seconds
        if silent > LOOP_SILENT_SECONDS_MAX:
            return Probe(well=False, explanation=f"the event loop has been silent for {silent:.0f} s")
        return Probe(well=True)


class HealthServer:
    """Serves the probes and the metrics of one process."""

    def __init__(self, host: str, port: int, *, live: Callable[[], Probe], ready: Callable[[], Probe], metrics: Metrics) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                match self.path:
                    case "/live":
                        self._answer_probe(live())
                    case "/ready":
                        self._answer_probe(ready())
                    case "/metrics":
                        self._answer(HTTPStatus.OK, metrics.exposition(), "text/plain; version=0.0.4; charset=utf-8")
                    case _:
                        self._answer(HTTPStatus.NOT_FOUND, b"/live, /ready or /metrics\n", "text/plain")

            def _answer_probe(self, probe: Probe) -> None:
                status = HTTPStatus.OK if probe.well else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, f"{probe.explanation}\n".encode(), "text/plain; charset=utf-8")

            def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class names it; probes are not logged
                del format, args

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"the probes cannot be served on {host}:{port} ({error.strerror}): set PARLEY_HEALTH_PORT to a free port, or to 0"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more and release the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
