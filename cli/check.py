"""`parley check [DIRECTORY]`: is the configuration right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  parley check
  parley check config && git commit -m "New shift calendar" config
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog=EPILOG)(check)


def check(
    directory: Annotated[Path, typer.Argument(envvar="PARLEY_CONFIG_DIRECTORY", help="The contact centre's YAML files.")] = Path("config"),
) -> None:
    """Check the contact centre's configuration and print every mistake as file:line: message.

    Beside what the files say, the rules of the services are built from it, so what only they refuse is found too. Nothing is
    started and no secret is needed. Exit code 1 when there is a mistake.
    """
    from cli.checking import report  # noqa: PLC0415 # heavy: only this command needs it

    if not report(directory):
        raise typer.Exit(1)
