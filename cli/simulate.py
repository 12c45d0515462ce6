"""`parley simulate`: days in a contact centre, in seconds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  parley simulate
  parley simulate --days 7 --customers 300 --seed 42
  parley simulate --config my-centre --start 2026-12-24
"""
START_DEFAULT = "2026-11-23"
START_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate", epilog=EPILOG)(simulate)


def simulate(
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days.")] = 1,
    customers: Annotated[int, typer.Option(min=1, max=100_000, help="Customers who write per day.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same days, to the last message.")] = 1,
    start: Annotated[datetime, typer.Option(formats=START_FORMATS, help="First moment, in UTC.")] = START_DEFAULT,  # type: ignore[assignment] # typer parses it
    config: Annotated[Path, typer.Option(envvar="PARLEY_CONFIG_DIRECTORY", help="The contact centre's configuration.")] = Path("config"),
) -> None:
    """Play days in the configured contact centre in simulated time, and reconcile every count.

    The services' real rules run in this process on an in-memory log; customers, agents and the channels' side are played. What a
    change of shifts, promises or flows does to answers and waiting shows in seconds. Exit code 1: a count does not reconcile.
    """
    from cli.simulation.command import Script, play  # noqa: PLC0415 # heavy: only this command needs it

    if not play(Script(days=days, customers_per_day=customers, seed=seed, start=start, config=config)):
        raise typer.Exit(1)
