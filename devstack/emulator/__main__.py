"""Run the emulator: `python -m devstack.emulator --port 0 --webhook-url URL --config FILE`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path

import uvloop

from devstack.emulator.app import running
from devstack.emulator.settings import CONFIGURATION_VARIABLE, EmulatorSettings, SettingsError, load_settings

# The log keeps many small objects for long: looking through them often would make pauses that look like the receiver's latency.
COLLECTION_THRESHOLDS = (50_000, 20, 50)
EXAMPLE = """example:
  python -m devstack.emulator --port 9000 --webhook-url http://127.0.0.1:8000/channels/whatsapp
  curl -s -X POST http://127.0.0.1:9000/control/customers -d '{"id": "caller", "phone": "+351 912 000 001"}'
  curl -s -X POST http://127.0.0.1:9000/control/customers/caller/send \\
       -d '{"phone_number_id": "100000000000001", "content": "Bom dia"}'

When it serves, it prints one JSON line: {"event": "ready", "port": …, "api_url": …, "control_url": …, "pid": …}.
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack.emulator",
        description="The channels' side for development: speaks for the vendors, enforces their rules, signs their webhooks.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: a free one)")
    parser.add_argument("--webhook-url", help="where WhatsApp's webhooks go (default: the configuration's)")
    parser.add_argument("--config", type=Path, help=f"JSON file (default: ${CONFIGURATION_VARIABLE}, a path or the JSON itself)")
    parser.add_argument("--seed", type=int, help="seed of what the vendor does by itself (default: the configuration's)")
    return parser.parse_args(arguments)


def settings_of(arguments: argparse.Namespace) -> EmulatorSettings:
    """Return the configuration with what the command line says on top."""
    settings = load_settings(arguments.config)
    whatsapp = settings.whatsapp
    if arguments.webhook_url is not None:
        whatsapp = whatsapp.model_copy(update={"webhook_url": arguments.webhook_url})
    if arguments.seed is not None:
        whatsapp = whatsapp.model_copy(update={"behaviour": whatsapp.behaviour.model_copy(update={"seed": arguments.seed})})
    return settings.model_copy(update={"whatsapp": whatsapp})


async def serve(settings: EmulatorSettings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with running(settings, host=host, port=port) as emulator:
        ready = {
            "event": "ready",
            "port": emulator.port,
            "api_url": emulator.url,
            "control_url": f"{emulator.url}/control",
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Run; returns the exit code."""
    arguments = parse_arguments()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    try:
        uvloop.run(serve(settings_of(arguments), arguments.host, arguments.port))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"Cannot serve on {arguments.host}:{arguments.port}: {error.strerror}. Choose another --port, or 0 for a free one.\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
