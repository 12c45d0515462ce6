"""`parley trace` from end to end: find, collect, order, tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from cli.connection import Connection
from cli.masking import is_phone, mask_number
from cli.output import note, say, table, working
from cli.tracing.fates import Fate, fates
from cli.tracing.find import Found, ThreadFinder
from cli.tracing.order import in_order
from cli.tracing.redact import Redactor
from cli.tracing.story import Teller
from shared.clock import from_epoch_milliseconds

COLOURS = {
    "inbound": "bold cyan", "commands": "magenta", "conversations": "green", "work": "blue", "agents": "blue", "assignments": "blue",
    "sla": "yellow", "sends": "bold green", "deliveries": "cyan",
}  # fmt: skip
LATE_SECONDS = 60.0
"""An event that was written so much later than its time says so (an old webhook, an outage)."""
GOOD_STATES = frozenset({"read", "delivered", "sent", "accepted"})
BAD_STATES = frozenset({"rejected", "withheld", "refused", "failed", "unknown"})


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    thread: str
    show_text: bool = False
    show_phones: bool = False
    as_json: bool = False


async def tell(connection: Connection, request: Request) -> None:
    """Print the story. Raises ParleyError where there is none, or the thread is not named clearly."""
    with working("Reading the topics") as step:
        finder = await ThreadFinder.open(connection)
        thread = await finder.resolve(request.thread, step.advance)
        found = in_order(await finder.collect(thread, step.advance))
    customer = thread.split(":", 2)[-1]
    if request.as_json:
        say(_as_json(thread, found, request))
        return
    teller = Teller(show_text=request.show_text, show_phones=request.show_phones)
    hide = customer if is_phone(customer) and not request.show_phones else ""
    say(mask_number(thread, hide) if hide else thread)
    told: set[str] = set()
    rows = [_row(one, teller, hide, told) for one in found]
    table(("time (UTC)", "topic", "event", "who", "what"), rows)
    answers = fates(one.event for one in found if one.event is not None)
    if answers:
        table(("answer", "by", "as", "state", "why"), [_fate_row(fate, hide) for fate in answers], title="Answers")
    letters = sum(1 for one in found if one.record.topic.key == "source")
    if letters:
        note(f"{letters} dead letters: see `parley replay --key <thread>`")


def _row(found: Found, teller: Teller, hide: str, told: set[str]) -> tuple[str | Text, ...]:
    """Return the line of one event."""
    topic = found.record.topic.name
    written = from_epoch_milliseconds(found.record.timestamp_milliseconds)
    if found.event is None:
        return _time(written), topic, Text("no valid event", "red"), "", found.problem
    event = found.event
    again = "  (the same once more)" if event.id in told else ""
    told.add(event.id)
    late = (written - event.time).total_seconds()
    what = teller.what(event) + again + (f"  (written {_duration(late)} later)" if late > LATE_SECONDS else "")
    who = teller.who(event)
    style = COLOURS.get(topic, "red")
    cells = (mask_number(who, hide), mask_number(what, hide)) if hide else (who, what)
    return _time(event.time), Text(topic, style), Text(event.data.NAME, style), *cells


def _fate_row(fate: Fate, hide: str) -> tuple[str | Text, ...]:
    """Return the line of one answer."""
    style = "green" if fate.state in GOOD_STATES else "red" if fate.state in BAD_STATES else "yellow"
    reply = mask_number(fate.reply_id, hide) if hide else fate.reply_id
    return reply, fate.author, fate.permission, Text(fate.state, style), fate.why


def _as_json(thread: str, found: Sequence[Found], request: Request) -> str:
    """Return the story as one JSON document."""
    redactor = Redactor(thread.split(":", 2)[-1], texts=not request.show_text, persons=not request.show_phones)
    events = [
        {
            "topic": one.record.topic.name,
            "partition": one.record.partition,
            "offset": one.record.offset,
            "written_at": _iso(from_epoch_milliseconds(one.record.timestamp_milliseconds)),
            **(
                {"problem": one.problem}
                if one.event is None
                else {"event": redactor.of(one.event.model_dump(mode="json", exclude_none=True))}
            ),
        }
        for one in found
    ]
    answers = [
        {
            "reply_id": fate.reply_id,
            "author": fate.author,
            "permission": fate.permission,
            "sends": fate.sends,
            "state": fate.state,
            "why": fate.why,
        }
        for fate in fates(one.event for one in found if one.event is not None)
    ]
    story = {"thread": redactor.of(thread), "events": events, "answers": redactor.of(answers)}
    return json.dumps(story, indent=2, ensure_ascii=False)


def _time(moment: datetime) -> str:
    return f"{moment:%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(seconds: float) -> str:
    """Return hours and minutes, or minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600} h {whole // 60 % 60} min" if whole >= 3600 else f"{whole // 60} min {whole % 60} s"  # noqa: PLR2004 # an hour
