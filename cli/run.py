"""`parley run SERVICE`: one service in this process."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  parley run router
  KAFKA_BOOTSTRAP_SERVERS=kafka-1:9092,kafka-2:9092 PARLEY_PARTITIONS=24 parley run sla
"""


class Service(StrEnum):
    """The services of an installation."""

    INGEST = "ingest"
    ROUTER = "router"
    BOT = "bot"
    SLA = "sla"
    OUTBOUND = "outbound"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog=EPILOG)(run)


def run(service: Annotated[Service, typer.Argument(help="Which one.", show_choices=True)]) -> None:
    """Run one service in this process until Ctrl-C or SIGTERM.

    Its settings come from the environment. Exit code 78: it cannot start as it is configured.
    """
    importlib.import_module(f"services.{service.value}.service").main()
