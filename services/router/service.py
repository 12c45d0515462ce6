"""The router as a process: its two reducers on Kafka."""

from __future__ import annotations

from typing import Any

from services.router.app import build_reducers
from shared.channels.discover import discover
from shared.contact_centre.models import ContactCentre
from shared.engine.reducer import Reducer
from shared.running import run_service, serve_reducers
from shared.settings import ServiceSettings


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("router", lambda: serve_reducers("router", ServiceSettings(), _build))


def _build(centre: ContactCentre) -> tuple[Reducer[Any], ...]:
    """Return both reducers; how many conversations an agent takes at once depends on the class of each channel."""
    classes = {name: channel.policy.channel_class for name, channel in discover().by_name.items()}
    return build_reducers(centre, channel_classes=classes)
