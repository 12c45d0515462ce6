"""Those who only look: followers, `parley trace` and `parley replay`, on whatever stands on the topics."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence

import orjson

from cli.output import table
from cli.replaying.history import _named_in
from cli.replaying.items import Ready, Refused, of_dead_letter, of_rejected
from cli.replaying.letters import Letter, Letters, _take, value_of
from cli.replaying.plan import Past, make_plan
from cli.tracing.command import Request, _as_json, _fate_row, _row
from cli.tracing.fates import fates
from cli.tracing.find import _concerns, _see
from cli.tracing.order import in_order
from cli.tracing.story import Teller
from shared.engine.follower import _see as follow
from shared.engine.records import Record
from shared.errors import InvalidEventError
from shared.events.rejected import DeadLetter
from shared.topics import TOPICS, dead_letters_of
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.channels import accounts, channels
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.records import RecordMaker, unpacked

DRAW_INPUTS = 5_000
THREAD = "whatsapp:1:351900000001"
FIRST_PRINTABLE = " "


class Readers:
    """The readers, all on the same records."""

    name = "readers"
    share = 0.05

    def __init__(self) -> None:
        self._maker = RecordMaker((*TOPICS, dead_letters_of("conversation")))

    def make(self, seed: int, number: int) -> Case:
        """Return a history on all topics."""
        history, bad = self._maker.history(chance_of(self.name, seed, number), seed + number // DRAW_INPUTS)
        return Case(self.name, "history", orjson.dumps(history), {"bad": bad}, seed, number)

    async def carry_out(self, case: Case) -> Ending:
        """Read, tell and plan, as the commands do between their reading and their writing."""
        records = unpacked(json.loads(case.body))
        followed = [follow(record) for record in records]
        _tell(records)
        _replay(records)
        bad = followed[int(case.parts["bad"])]
        if followed[-1].event is None:
            raise BrokenPromiseError("neighbour", f"a good record is not seen: {followed[-1].problem}")
        return Ending.QUARANTINED if bad.event is None else Ending.EVENTS


def _tell(records: Sequence[Record]) -> None:
    """Tell the story as `parley trace` does, in each of its forms; no control character of a text reaches the terminal."""
    found = in_order([_see(record) for record in records])
    if len(found) != len(records):
        raise BrokenPromiseError("vanished", f"{len(records) - len(found)} records are missing in the story")
    for shown in (False, True):
        teller = Teller(show_text=shown, show_phones=shown)
        told: set[str] = set()
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            table(("time", "topic", "event", "who", "what"), [_row(one, teller, "" if shown else "351900000001", told) for one in found])
            for fate in fates(one.event for one in found if one.event is not None):
                table(("answer", "by", "as", "state", "why"), [_fate_row(fate, "")])
        strange = {sign for sign in written.getvalue() if sign < FIRST_PRINTABLE and sign != "\n"}
        if strange:
            raise BrokenPromiseError("terminal", f"control characters reach the terminal: {sorted(strange)!r}")
        orjson.loads(_as_json(THREAD, found, Request(THREAD, show_text=shown, show_phones=shown, as_json=True)))
    for one in found:
        if one.event is not None:
            _concerns(one.event, THREAD, {"c"})


def _replay(records: Sequence[Record]) -> None:
    """Plan as `parley replay` does; what is to be written again can be read."""
    letters, by_id = Letters(), dict[str, Letter]()
    for record in records:
        _named_in(record.value)
        if record.topic.key in {"source", "account"}:
            _take(follow(record), by_id, letters)
    letters.selected = list(by_id.values())
    items = {letter.id: _item(letter) for letter in letters.selected}
    make_plan(letters, items, Past(), skip_earlier=False)
    for publication in (one for item in items.values() if isinstance(item, Ready) for one in item.publications):
        try:
            publication.topic.decode(publication.value)
        except InvalidEventError as error:
            raise BrokenPromiseError("record", f"a replay would write what nobody can read: {error}") from None


def _item(letter: Letter) -> Ready | Refused:
    data = letter.event.data
    if isinstance(data, DeadLetter):
        return of_dead_letter(letter, data, value_of(data))
    return of_rejected(letter, letter.event, channels(), accounts())  # type: ignore[arg-type] # rejected by its topic
