"""What `parley topics` does and shows."""

from __future__ import annotations

from datetime import timedelta
from difflib import get_close_matches

from cli.cluster import TopicState, look, topic_names
from cli.connection import Connection
from cli.output import note, say, table, working
from cli.topic_table import READERS, Traffic, traffic_of
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import BrokerUnavailableError, ParleyError
from shared.topics import Topic, all_topics


async def make(connection: Connection, *, partitions: int, replicas: int, in_sync_min: int) -> None:
    """Make the missing topics and say which; a topic with another partition count is an error: services would refuse to start."""
    topics = all_topics(READERS)
    with working("Making the topics"):
        layout = TopicLayout(partitions, replicas, in_sync_min)
        made = await create_topics(connection.bootstrap_servers, connection.prefix, topics, layout)
        states = await look(connection, [topic.name for topic in topics])
    for name in made:
        say(f"made {name}")
    say(f"{len(made)} made, {len(topics) - len(made)} were there")
    wrong = [f"{connection.prefix}{state.name} has {state.partitions}" for state in states if state.partitions != partitions]
    if wrong:
        raise ParleyError(
            f"asked for {partitions} partitions, but {', '.join(wrong)}: set PARLEY_PARTITIONS to what is there; "
            "all topics must have the same number"
        )


async def show_all(connection: Connection) -> None:
    """List the topics with what they hold."""
    with working("Looking at the topics"):
        known = [topic.name for topic in all_topics(READERS)]
        there = await topic_names(connection)
        states = await look(connection, [*(name for name in known if name in there), *(name for name in there if name not in known)])
    missing = [name for name in known if name not in there]
    if states:
        table(("topic", "key", "partitions", "replicas", "records", "lag per group"), [_row(connection, state) for state in states])
    if missing:
        raise ParleyError(f"missing at {connection.bootstrap_servers}: {', '.join(missing)}; run `parley topics create`")


def _row(connection: Connection, state: TopicState) -> tuple[str, ...]:
    topic = _topics().get(state.name)
    lag = ", ".join(f"{group} {behind}" for group, behind in sorted(state.lag.items())) or "-"
    key = topic.key if topic is not None else "?"
    return connection.prefix + state.name, key, str(state.partitions), str(state.replicas), str(state.records), lag


async def show_one(connection: Connection, name: str) -> None:
    """Describe one topic; what the broker knows of it only where it answers."""
    name = name.removeprefix(connection.prefix)
    topic = _topics().get(name)
    if topic is None:
        close = get_close_matches(name, _topics(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_topics())}"
        raise ParleyError(f"no topic is called {name}; {hint}")
    _describe(connection, topic, traffic_of(name))
    try:
        with working("Looking at the topic"):
            states = await look(connection, [name])
    except BrokerUnavailableError as error:
        note(str(error))
        return
    if states:
        _describe_state(states[0])
    else:
        note(f"it is not on {connection.bootstrap_servers}: run `parley topics create`")


def _describe(connection: Connection, topic: Topic, traffic: Traffic) -> None:
    """Print what is fixed by the design."""
    readers = (*traffic.readers, *traffic.besides)
    table(
        ("", connection.prefix + topic.name),
        [
            ("holds", traffic.purpose),
            ("key", topic.key),
            ("written by", ", ".join(traffic.written_by)),
            ("read by", ", ".join(readers)),
            ("kept", f"{timedelta(milliseconds=topic.retention_milliseconds).days} days"),
        ],
    )
    table(("event type", "what it says"), [(model.event_type(), (model.__doc__ or "").splitlines()[0]) for model in topic.models])


def _describe_state(state: TopicState) -> None:
    """Print what the broker knows."""
    settings = [(name, value) for name, value in sorted(state.settings.items())]
    lag = [(f"lag of {group}", str(behind)) for group, behind in sorted(state.lag.items())]
    table(
        ("on the broker", ""),
        [
            ("partitions", str(state.partitions)),
            ("replicas", f"{state.replicas} ({state.in_sync} in sync)"),
            ("records", str(state.records)),
            *settings,
            *lag,
        ],
    )
    rows = [(str(number), str(state.first[number]), str(state.end[number])) for number in sorted(state.end)]
    table(("partition", "first offset", "next offset"), rows)


def _topics() -> dict[str, Topic]:
    """Return every topic of the design by name."""
    return {topic.name: topic for topic in all_topics(READERS)}
