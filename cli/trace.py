"""`parley trace THREAD`: the whole story of a conversation."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connection import BOOTSTRAP_DEFAULT, PREFIX_DEFAULT, BootstrapOption, PrefixOption, connection_to, run

EPILOG = """\b
Examples:
  parley trace whatsapp:100000000000001:351912000001
  parley trace 912000001
  parley trace 912000001 --show-text
  parley trace 912000001 --json | jq '.events[].event.type'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trace", epilog=EPILOG)(trace)


def trace(
    thread: Annotated[
        str,
        typer.Argument(
            help="The thread's id, <channel>:<account>:<customer>, or a part that only it or its customer has (phone, user name)."
        ),
    ],
    *,
    show_text: Annotated[bool, typer.Option("--show-text", help="Show what was written; a terminal may be logged.")] = False,
    show_phones: Annotated[bool, typer.Option("--show-phones", help="Show phone numbers and names in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
    bootstrap: BootstrapOption = BOOTSTRAP_DEFAULT,
    prefix: PrefixOption = PREFIX_DEFAULT,
) -> None:
    """Tell the whole story of a thread from the topics, and what became of each answer.

    Every event that concerns it is shown, causes before effects, with the agents' work and the dead letters. Without --show-text and
    --show-phones nothing is shown that was written, and no phone number or name of the customer.
    """
    from cli.tracing.command import Request, tell  # noqa: PLC0415 # heavy: only this command needs it

    run(tell(connection_to(bootstrap, prefix), Request(thread, show_text=show_text, show_phones=show_phones, as_json=as_json)))
