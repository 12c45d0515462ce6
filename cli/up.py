"""`parley up`: everything on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import PREFIX_DEFAULT, PrefixOption
from cli.run import Service

EPILOG = """\b
Examples:
  parley up
  parley up --without bot               (then run it yourself, under a debugger for example)
  parley up --config my-centre --ingest-port 8080
  parley up --no-emulator               (the real channels, with the settings of your environment)
  KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 parley up     (use that broker, start none)
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", epilog=EPILOG)(up)


def up(
    *,
    service: Annotated[list[Service] | None, typer.Option(help="Start only this one; may be given several times (default: all).")] = None,
    without: Annotated[list[Service] | None, typer.Option(help="Leave this one out; may be given several times.")] = None,
    config: Annotated[Path, typer.Option(envvar="PARLEY_CONFIG_DIRECTORY", help="The contact centre's configuration.")] = Path("config"),
    directory: Annotated[Path, typer.Option(help="Where the broker, the stores and the logs keep their files.")] = Path("var/up"),
    emulator: Annotated[
        bool, typer.Option("--emulator/--no-emulator", help="Start the channels' emulator; without it the channels are the real ones.")
    ] = True,
    ingest_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port for webhooks (default: a free one).")] = None,
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, envvar="PARLEY_PARTITIONS", help="Partitions of every topic, at the first start.")
    ] = 6,
    prefix: PrefixOption = PREFIX_DEFAULT,
    log_level: Annotated[str, typer.Option(help="The least severe line that the services write: debug, info, warning, error.")] = "info",
) -> None:
    """Start broker, topics, the channels' emulator and the services here, and show their logs until Ctrl-C.

    A service that crashes is started again and the output says so. Ctrl-C stops everything and leaves no process behind. With
    --no-emulator the channels' settings (PARLEY_<CHANNEL>_…) are those of your environment, and what is sent reaches customers.
    """
    chosen = [one.value for one in service or list(Service) if one not in (without or [])]
    if not chosen:
        raise typer.BadParameter("nothing is left to start", param_hint="--without")
    from cli.supervising import Plan, supervise  # noqa: PLC0415 # heavy: only this command needs it

    code = supervise(Plan(tuple(chosen), config, directory, ingest_port, partitions, prefix, log_level, emulator))
    raise typer.Exit(code)
