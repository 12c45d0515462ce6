"""`parley replay`: dead letters and rejected webhooks, once more."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import BOOTSTRAP_DEFAULT, PREFIX_DEFAULT, BootstrapOption, PrefixOption, connection_to, run

EPILOG = """\b
Examples:
  parley replay                                   (what is there? nothing is written)
  parley replay --from dead.sla --since 2h
  parley replay --from dead.conversation --key whatsapp:100000000000001:351912000001 --yes
  parley replay --from rejected --reason unknown_account --yes     (after the account was configured)
"""
LIMIT_DEFAULT = 10_000


class Reason(StrEnum):
    """Why a record was put aside."""

    INVALID = "invalid"
    DECIDE_FAILED = "decide_failed"
    PARKED = "parked"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNPARSEABLE = "unparseable"
    UNKNOWN_KIND = "unknown_kind"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(replay)


def replay(
    *,
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="TOPIC", help="dead.<reducer>, the reducer alone, or rejected; may be given several times (default: all)."
        ),
    ] = None,
    reason: Annotated[
        list[Reason] | None, typer.Option(help="Only what was put aside for this reason; may be given several times.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Only what was put aside since: 2h ago, or a UTC time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only what was put aside before.")] = None,
    key: Annotated[str | None, typer.Option(help="Only this key: a thread, a pool; for rejected an account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Not more than this many, the oldest first.")] = LIMIT_DEFAULT,
    skip_earlier: Annotated[
        bool, typer.Option("--skip-earlier", help="Go on with a key although earlier letters of it are left out: they lose their place.")
    ] = False,
    show_keys: Annotated[bool, typer.Option("--show-keys", help="Show the keys in full; phone numbers are masked otherwise.")] = False,
    config: Annotated[
        Path, typer.Option(envvar="PARLEY_CONFIG_DIRECTORY", help="The contact centre's configuration, for rejected webhooks.")
    ] = Path("config"),
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only shows what would be done.")] = False,
    bootstrap: BootstrapOption = BOOTSTRAP_DEFAULT,
    prefix: PrefixOption = PREFIX_DEFAULT,
) -> None:
    """Replay what was put aside: dead letters of the reducers and rejected webhooks. Shows first, writes with --yes.

    A dead letter's record goes to its topic again, marked as a replay of the letter: the reducer takes it once, however often it is
    replayed, and a parked key goes on. Per key one follows the other, and a record that fails again keeps its successors waiting.
    A rejected webhook is read again with the configuration of now, and published if it is understood. What was replayed before is
    left out. Exit code 1: something that was selected cannot be replayed, or failed again.
    """
    from cli.moments import parse_moment  # noqa: PLC0415 # heavy, with the rest: only this command needs it
    from cli.replaying.command import Order, carry_out  # noqa: PLC0415 # likewise
    from cli.replaying.letters import Selection  # noqa: PLC0415 # likewise
    from shared.clock import SystemClock  # noqa: PLC0415 # likewise

    now = SystemClock().now()
    selection = Selection(
        sources=frozenset(from_ or ()),
        reasons=frozenset(one.value for one in reason or ()),
        since=parse_moment(since, now, option="--since"),
        until=parse_moment(until, now, option="--until"),
        key=key,
        limit=limit,
    )
    order = Order(selection, config, write=yes, skip_earlier=skip_earlier, show_keys=show_keys)
    if not run(carry_out(connection_to(bootstrap, prefix), order)):
        raise typer.Exit(1)
