"""The bot as a process: its reducer on Kafka."""

from __future__ import annotations

from services.bot.app import build_reducer
from shared.running import run_service, serve_reducers
from shared.settings import ServiceSettings


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("bot", lambda: serve_reducers("bot", ServiceSettings(), lambda centre: (build_reducer(centre),)))
