"""`parley`: the command line. One file per command; what a command needs is imported when it runs, so that `--help` is quick.

Exit codes: 0 done · 1 it did not work, or a check found something · 2 the command line is wrong · 69 Kafka does not answer ·
70 an error of ours · 78 a service is misconfigured · 130 interrupted (typer's own).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cli import check, replay, run, schema, simulate, topics, trace, up
from shared.errors import BrokerUnavailableError, ParleyError

EXIT_FAILED = 1
EXIT_BROKER_UNAVAILABLE = 69
EXIT_INTERNAL = 70
VERBOSE = "--verbose"

app = typer.Typer(
    name="parley",
    help="Carries a contact centre's messages: start it, check it, look into its topics, replay what was put aside.",
    epilog="\b\nExamples:\n  parley up\n  parley check config\n  parley trace 351912000001\n  parley COMMAND --help",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: a third of the time, and the same in a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for module in (up, run, check, topics, schema, replay, trace, simulate):
    module.register(app)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option(VERBOSE, help="Show the traceback of an error; may stand anywhere.")] = False,  # noqa: FBT002 # a flag of the command line
) -> None:
    """Carries a contact centre's messages: start it, check it, look into its topics, replay what was put aside."""
    del verbose  # main() has looked for it already: it may also stand behind the command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (`arguments`, else those of the process); ends with SystemExit and a code of the list above."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = VERBOSE in given
    try:
        app(args=[one for one in given if one != VERBOSE], prog_name="parley")
    except ParleyError as error:
        _tell(f"parley: {error}", verbose=verbose)
        raise SystemExit(EXIT_BROKER_UNAVAILABLE if isinstance(error, BrokerUnavailableError) else EXIT_FAILED) from None
    except Exception as error:  # noqa: BLE001 # the boundary: one line for people, the traceback for who asks
        _tell(f"parley: an error of ours ({type(error).__name__}); run it again with {VERBOSE} and report what it shows", verbose=verbose)
        raise SystemExit(EXIT_INTERNAL) from None


def _tell(line: str, *, verbose: bool) -> None:
    """Write an error; its traceback first, where it is asked for."""
    if verbose:
        import traceback  # noqa: PLC0415 # only who asks for it waits for it

        traceback.print_exc()
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
