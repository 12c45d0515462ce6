"""`parley topics create|list|describe`: the topics of an installation."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connection import BOOTSTRAP_DEFAULT, PREFIX_DEFAULT, BootstrapOption, PrefixOption, connection_to, run

topics = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
CREATE_EPILOG = """\b
Examples:
  parley topics create
  parley topics create --partitions 24 --replicas 3 --min-in-sync 2 --bootstrap kafka-1:9092
"""
LIST_EPILOG = """\b
Examples:
  parley topics list
  parley topics list --bootstrap kafka-1:9092 | grep dead
"""
DESCRIBE_EPILOG = """\b
Examples:
  parley topics describe inbound
  parley topics describe dead.sla
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topics, name="topics", help="Make, list and describe the topics of an installation.")


@topics.command("create", epilog=CREATE_EPILOG)
def create(
    *,
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, envvar="PARLEY_PARTITIONS", help="Partitions of every topic; fixed for good (24 in production).")
    ] = 6,
    replicas: Annotated[int, typer.Option(min=1, help="Brokers that keep each record (3 in production).")] = 1,
    min_in_sync: Annotated[int, typer.Option(min=1, help="Of these, how many must have a record before it counts (2 in production).")] = 1,
    bootstrap: BootstrapOption = BOOTSTRAP_DEFAULT,
    prefix: PrefixOption = PREFIX_DEFAULT,
) -> None:
    """Make the topics that are missing; those that are there stay as they are.

    The partition count cannot be changed later without losing the order of conversations.
    """
    if min_in_sync > replicas:
        raise typer.BadParameter("there cannot be more in-sync replicas than replicas", param_hint="--min-in-sync")
    from cli.topic_views import make  # noqa: PLC0415 # heavy: only this command needs it

    run(make(connection_to(bootstrap, prefix), partitions=partitions, replicas=replicas, in_sync_min=min_in_sync))


@topics.command("list", epilog=LIST_EPILOG)
def list_(*, bootstrap: BootstrapOption = BOOTSTRAP_DEFAULT, prefix: PrefixOption = PREFIX_DEFAULT) -> None:
    """List the topics: partitions, records, and how far behind each consumer group is."""
    from cli.topic_views import show_all  # noqa: PLC0415 # heavy: only this command needs it

    run(show_all(connection_to(bootstrap, prefix)))


@topics.command("describe", epilog=DESCRIBE_EPILOG)
def describe(
    topic: Annotated[str, typer.Argument(help="Its name without the prefix, for example inbound.")],
    *,
    bootstrap: BootstrapOption = BOOTSTRAP_DEFAULT,
    prefix: PrefixOption = PREFIX_DEFAULT,
) -> None:
    """Describe one topic: its key, its events, who writes and reads it; with a broker, its partitions and settings too."""
    from cli.topic_views import show_one  # noqa: PLC0415 # heavy: only this command needs it

    run(show_one(connection_to(bootstrap, prefix), topic))
