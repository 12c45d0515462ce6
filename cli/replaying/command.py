"""`parley replay` from end to end: read, plan, show; and with --yes publish, and tell how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.text import Text

from cli.cluster import administering, partition_counts, reading, topic_names
from cli.connection import Connection
from cli.masking import mask_key
from cli.output import note, say, table, working
from cli.replaying.history import find_replays, not_taken
from cli.replaying.items import Ready, Refused, of_dead_letter, of_rejected
from cli.replaying.letters import Letter, Letters, Selection, read_letters
from cli.replaying.originals import whole_value
from cli.replaying.plan import Past, Row, make_plan
from cli.replaying.waves import Broker, Outcome, replay_in_waves
from shared.channels.discover import discover
from shared.contact_centre.loader import load_contact_centre
from shared.engine.publisher import KafkaPublisher, PublisherOptions
from shared.errors import ParleyError
from shared.events.rejected import DeadLetter
from shared.topics import DELIVERIES, INBOUND, TOPICS

ROWS_MAX = 200
"""Rows that are shown; the totals count all."""
CLOCK_SKEW = timedelta(minutes=5)
"""How much the clocks of services and broker may differ when earlier replays are looked for."""
PUBLISH_RECORDS_MAX = 500


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    selection: Selection
    config: Path
    write: bool = False
    skip_earlier: bool = False
    show_keys: bool = False


async def carry_out(connection: Connection, order: Order) -> bool:
    """Do what `order` says; return whether everything selected could be replayed. Raises ParleyError."""
    with working("Reading what was put aside"):
        letters = await read_letters(connection, order.selection.topics(await topic_names(connection)), order.selection)
        rows = await _plan(connection, letters, order)
    if letters.unreadable:
        note(f"{letters.unreadable} records on these topics are no letters of ours and were left out")
    _show(rows, order)
    ready = [row.ready for row in rows if row.ready is not None]
    well = not any(row.problem for row in rows)
    if not ready:
        say("Nothing to replay.")
        return well
    if not order.write:
        say(f"{len(ready)} would be replayed; nothing was written. Add --yes to do it.")
        return well
    outcomes = await _publish(connection, ready)
    _tell(outcomes, order)
    return well and all(outcome.kind in {"taken", "published"} for outcome in outcomes)


async def _plan(connection: Connection, letters: Letters, order: Order) -> list[Row]:
    """Return what is to be done about each selected letter."""
    if not letters.selected:
        return []
    items = await _items(connection, letters.selected, order.config)
    earlier = letters.before_selected()
    ids = {letter.id for letter in letters.selected} | {other.id for other in earlier}
    since = min([*(letter.at for letter in letters.selected), *(other.at for other in earlier)]) - CLOCK_SKEW
    names = {letter.event.data.topic for letter in letters.selected if isinstance(letter.event.data, DeadLetter)}
    if any(letter.reducer is None for letter in letters.selected):
        names |= {INBOUND.name, DELIVERIES.name}
    replays = await find_replays(connection, [topic for topic in TOPICS if topic.name in names], ids, since)
    reducers = {letter.id: letter.reducer for letter in letters.selected if letter.reducer is not None}
    waiting = await not_taken(connection, replays, reducers)
    return make_plan(letters, items, Past(frozenset(replays), frozenset(waiting)), skip_earlier=order.skip_earlier)


async def _items(connection: Connection, selected: Sequence[Letter], config: Path) -> dict[str, Ready | Refused]:
    """Return what each letter becomes, by its id."""
    found: dict[str, Ready | Refused] = {}
    async with reading(connection) as consumer:
        for letter in selected:
            if isinstance(letter.event.data, DeadLetter):
                value = await whole_value(consumer, connection, letter.event.data)
                gone = "its record was too large for the letter and its topic no longer has it"
                found[letter.id] = Refused(letter, gone) if value is None else of_dead_letter(letter, letter.event.data, value)
    rejected = [letter for letter in selected if letter.reducer is None]
    if rejected:
        accounts = frozenset(load_contact_centre(config).accounts)
        channels = discover()
        for letter in rejected:
            found[letter.id] = of_rejected(letter, letter.event, channels, accounts)  # type: ignore[arg-type] # rejected by its topic
    return found


async def _publish(connection: Connection, readies: Sequence[Ready]) -> list[Outcome]:
    """Publish `readies`: dead letters in waves, rejected webhooks one behind the other."""
    dead = [ready for ready in readies if ready.letter.reducer is not None]
    rejected = [ready for ready in readies if ready.letter.reducer is None]
    topics = {publication.topic.name for ready in readies for publication in ready.publications} | {ready.letter.source for ready in dead}
    partitions = await partition_counts(connection, topics)
    if len(set(partitions.values())) != 1:
        raise ParleyError(f"the topics differ in their partitions ({partitions}): nothing was replayed, keys would change their partition")
    options = PublisherOptions(connection.bootstrap_servers, connection.prefix, partitions[topics.pop()], "replay")
    publisher = KafkaPublisher(options)
    try:
        with working("Replaying", total=len(readies)) as step:
            async with reading(connection) as consumer, administering(connection) as admin:
                outcomes = await replay_in_waves(Broker(connection, publisher, consumer, admin, partitions), dead, step.advance)
            for first in range(0, len(rejected), PUBLISH_RECORDS_MAX):
                part = rejected[first : first + PUBLISH_RECORDS_MAX]
                await publisher.publish([publication for ready in part for publication in ready.publications])
                outcomes += [Outcome(ready.letter, "published") for ready in part]
                step.advance(len(part))
    finally:
        await publisher.close()
    return outcomes


def _show(rows: Sequence[Row], order: Order) -> None:
    """Print what would be done."""
    shown = [
        (
            f"{row.letter.at:%Y-%m-%d %H:%M:%S}",
            row.letter.source,
            row.letter.reason,
            _key(row.letter, order),
            _record(row.letter),
            Text("replay: " + row.words, "green") if row.ready else Text(row.words, "red" if row.problem else "dim"),
        )
        for row in rows[:ROWS_MAX]
    ]
    if shown:
        table(("put aside (UTC)", "from", "reason", "key", "record", "what"), shown)
    if len(rows) > ROWS_MAX:
        say(f"and {len(rows) - ROWS_MAX} more")
    totals = Counter((row.letter.source, row.letter.reason, "replay" if row.ready else "left") for row in rows)
    for (source, reason, what), count in sorted(totals.items()):
        say(f"{source} {reason}: {count} {'to replay' if what == 'replay' else 'left as they are'}")


def _tell(outcomes: Sequence[Outcome], order: Order) -> None:
    """Print how it went: each that did not go well, and the totals."""
    trouble = [outcome for outcome in outcomes if outcome.kind not in {"taken", "published"}]
    if trouble:
        rows = [
            (outcome.letter.source, _key(outcome.letter, order), _record(outcome.letter), outcome.kind, outcome.words)
            for outcome in trouble
        ]
        table(("from", "key", "record", "outcome", "why"), rows[:ROWS_MAX])
    totals = Counter(outcome.kind for outcome in outcomes)
    say(", ".join(f"{count} {kind}" for kind, count in sorted(totals.items())))


def _key(letter: Letter, order: Order) -> str:
    return letter.key if order.show_keys else mask_key(letter.key)


def _record(letter: Letter) -> str:
    """Return where the record stands, or where the rejected webhook came from."""
    data = letter.event.data
    return f"{data.topic}/{data.partition}/{data.offset}" if isinstance(data, DeadLetter) else f"webhook of {data.channel}"
