"""The router as a process: its two reducers on Kafka."""

from __future__ import annotations

from services.router.app import build_reducers
from shared.running import run_service, serve_reducers
from shared.settings import ServiceSettings


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("router", lambda: serve_reducers("router", ServiceSettings(), build_reducers))
