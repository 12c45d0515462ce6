"""A fault proxy from the command line: `python -m devstack.faults --target 127.0.0.1:9092`; orders come over standard input."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from devstack.faults.conditions import DIRECTIONS, ConditionError
from devstack.faults.proxy import LOOPBACK, FaultProxy

ORDERS = """orders, one a line on standard input:
  up latency_seconds 0.5     from the client to the server (down: back; both: both); also bytes_per_second N,
  both held on               nothing arrives until it is off
  down black_hole on         what is sent is lost; connections that lost something are reset when it is off
  reset                      cut every connection
  half_open                  let the server's side go, leave the client's
  refuse on                  reset new connections
  heal                       switch everything off
  status                     tell how things stand
example: printf 'down latency_seconds 0.2\\n' | python -m devstack.faults --target 127.0.0.1:9092 --listen 9100 --stay
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack.faults",
        description="Passes TCP connections on and makes faults on the way.",
        epilog=ORDERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", required=True, help="host:port of the server")
    parser.add_argument("--listen", type=int, default=0, help="port on loopback; 0 takes a free one (default)")
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends, until Ctrl-C")
    return parser.parse_args(arguments)


def obey(proxy: FaultProxy, order: str) -> dict[str, object]:
    """Carry out one order; return how things stand.

    Raises:
        ConditionError: There is no such order.
    """
    match order.split():
        case ["reset"]:
            proxy.reset()
        case ["half_open"]:
            proxy.half_open()
        case ["heal"]:
            proxy.heal()
        case ["refuse", ("on" | "off") as switch]:
            proxy.refuse(on=switch == "on")
        case ["status"]:
            pass
        case [("up" | "down" | "both") as where, name, value]:
            for direction in DIRECTIONS:
                if where in {direction, "both"}:
                    proxy.set(direction, proxy.condition(direction).changed(name, value))
        case _:
            raise ConditionError(f"there is no order {order!r}; see --help")
    return {"port": proxy.port, "connections": proxy.connections, "disturbed": proxy.disturbed, "bytes_lost": proxy.bytes_lost}


async def run(arguments: argparse.Namespace) -> int:
    """Serve until standard input ends (or for good); each order is answered by a JSON line."""
    host, _, port = arguments.target.rpartition(":")
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with FaultProxy(target_host=host or LOOPBACK, target_port=int(port), listen_port=arguments.listen) as proxy:
        _say({"event": "ready", "port": proxy.port})
        while line := (await orders.readline()).decode("utf-8", "replace").strip():
            try:
                _say(obey(proxy, line))
            except ConditionError as error:
                _say({"error": str(error)})
        if arguments.stay:
            await asyncio.Event().wait()
    return 0


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run; returns the exit code."""
    try:
        return asyncio.run(run(parse_arguments()))
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the proxy cannot run: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
