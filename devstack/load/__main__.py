"""Run a load: `python -m devstack.load --url URL --rate 100 --seconds 60 …`; prints one JSON line."""

from __future__ import annotations

import argparse
import gc
import os
import sys

import uvloop
from pydantic import ValidationError

from devstack.load.process import ClosedPace, Load, LoadError, OpenPace, run_load

EXAMPLE = """examples:
  PARLEY_WHATSAPP_APP_SECRET=… python -m devstack.load --url http://127.0.0.1:8080/channels/whatsapp --rate 100 --seconds 60
  PARLEY_WHATSAPP_APP_SECRET=… python -m devstack.load --url http://127.0.0.1:8080/channels/whatsapp --closed --connections 64 --seconds 10
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack.load",
        description="Posts signed webhooks at a fixed rate and measures latencies from the intended moments.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", choices=["-"], help="read the whole load as JSON from standard input; the rest is ignored then")
    parser.add_argument("--url", help="where the webhooks go")
    parser.add_argument(
        "--secret-variable", default="PARLEY_WHATSAPP_APP_SECRET", help="variable with the app secret (default: %(default)s)"
    )
    parser.add_argument("--account", action="append", default=[], help="phone number id; may be repeated (default: 100000000000002)")
    parser.add_argument("--text", action="append", default=[], help="what customers write, in turn; may be repeated")
    parser.add_argument("--customers", type=int, default=1_000, help="how many customers write, in turn (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="connections, one request at a time each (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (default: %(default)s)")
    parser.add_argument("--closed", action="store_true", help="as fast as the connections are answered, instead of a rate")
    return parser.parse_args(arguments)


def load_of(arguments: argparse.Namespace) -> Load:
    """Return the load that the command line, or standard input, describes."""
    if arguments.plan:
        return Load.model_validate_json(sys.stdin.read())
    count = max(1, round(arguments.rate * arguments.seconds))
    pace = ClosedPace(seconds=arguments.seconds) if arguments.closed else OpenPace(per_second=arguments.rate, count=count)
    return Load(
        url=arguments.url,
        secret=os.environ.get(arguments.secret_variable, ""),
        accounts=tuple(arguments.account) or ("100000000000002",),
        texts=(tuple(arguments.text) or ("What are your opening hours?",),),
        customers=arguments.customers,
        connections=arguments.connections,
        run=f"load{os.getpid()}",
        pace=pace,
    )


def main() -> int:
    """Run; returns the exit code."""
    # The requests are many small objects that stay: looking through them would make pauses that look like the receiver's.
    gc.disable()
    try:
        report = uvloop.run(run_load(load_of(parse_arguments())))
    except (LoadError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ValidationError as error:
        sys.stderr.write(f"the load cannot be run: {error.errors(include_url=False, include_input=False)}\n")
        return 2
    sys.stdout.write(report.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
