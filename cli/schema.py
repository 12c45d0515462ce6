"""`parley schema [TYPE]`: the events as JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  parley schema
  parley schema message.received
  parley schema parley.reply.v1 > reply.schema.json
  parley schema --all schemas
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema", epilog=EPILOG)(schema)


def schema(
    event_type: Annotated[str | None, typer.Argument(metavar="TYPE", help="message.received, or parley.message.received.v1.")] = None,
    *,
    all_: Annotated[
        Path | None, typer.Option("--all", metavar="DIRECTORY", help="Write one file per event type into this directory.")
    ] = None,
) -> None:
    """Print the JSON Schema (2020-12) of an event type with its envelope; without a type, list the types."""
    if event_type is not None and all_ is not None:
        raise typer.BadParameter("give a type or --all, not both")
    from cli import schemas  # noqa: PLC0415 # heavy: only this command needs it

    if all_ is not None:
        schemas.write_all(all_)
    elif event_type is not None:
        schemas.print_one(event_type)
    else:
        schemas.print_list()
