"""The sla service as a process: its reducer on Kafka."""

from __future__ import annotations

from services.sla.app import build_reducer
from services.sla.core.thread import SlaReducer
from shared.channels.discover import discover
from shared.contact_centre.models import ContactCentre
from shared.running import run_service, serve_reducers
from shared.settings import ServiceSettings


def main() -> None:
    """Run until SIGTERM or Ctrl-C; settings come from the environment."""
    run_service("sla", lambda: serve_reducers("sla", ServiceSettings(), _build))


def _build(centre: ContactCentre) -> tuple[SlaReducer]:
    """Return the reducer under the policies of every channel of this installation."""
    return (build_reducer(centre, {name: channel.policy for name, channel in discover().by_name.items()}),)
