"""Where Kafka is, for the commands that look into it: the same settings as the services', or options in their place."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

if TYPE_CHECKING:
    from shared.engine.connection import Servers

T = TypeVar("T")

BootstrapOption = Annotated[
    str, typer.Option("--bootstrap", envvar="KAFKA_BOOTSTRAP_SERVERS", help="Where Kafka is: host:port, several with commas.")
]
PrefixOption = Annotated[str, typer.Option("--prefix", envvar="PARLEY_TOPIC_PREFIX", help="What stands before every topic's name.")]
BOOTSTRAP_DEFAULT = "127.0.0.1:9092"
PREFIX_DEFAULT = "parley."


class Connection(NamedTuple):
    """Which cluster and which installation on it."""

    bootstrap_servers: Servers
    prefix: str


def connection_to(bootstrap_servers: str, prefix: str) -> Connection:
    """Return the connection to these addresses, with the services' settings of TLS and passwords. Raises ConfigurationError."""
    from shared.settings import KafkaSettings  # noqa: PLC0415 # only commands that connect need it

    return Connection(KafkaSettings(kafka_bootstrap_servers=bootstrap_servers).kafka, prefix)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; the client libraries' own log lines are kept off the screen: errors reach people as one line."""
    import asyncio  # noqa: PLC0415 # a third of what the help would take to start
    import logging  # noqa: PLC0415 # likewise

    from shared.logs import configure_logs  # noqa: PLC0415 # only commands that connect need it

    configure_logs(level="error", style="console", service="parley", for_good=False)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(work)
