"""The judge itself: each wrong count that a fault could leave is seen, in the table too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from devstack.demo.summary import Line
from shared.engine.follower import Seen
from shared.engine.records import Record
from shared.events.conversations import NoteAdded
from shared.events.envelope import Event, new_event
from shared.events.shapes import Author, AuthorKind
from shared.topics import CONVERSATIONS
from tests.chaos.__main__ import parse
from tests.chaos.catalogue import FAULTS, MIXED
from tests.chaos.gauges import parse as parse_metrics
from tests.chaos.judge import equations
from tests.chaos.records import Records
from tests.chaos.report import Screen, page_of, row_of, rows_in, seen_of, write_page
from tests.chaos.running import Mix
from tests.chaos.tally import Appended, Sends, Tally
from tests.chaos.trial import Fault, Figures, Finding, Trial, Verdict

THREAD, OTHER = "whatsapp:1:PT.1", "whatsapp:1:PT.2"
RIGHT = Tally(
    posted=frozenset({"m1", "m2", "m3"}),
    acknowledged=frozenset({"m1", "m2", "m3"}),
    received={THREAD: ("m1", "m2"), OTHER: ("m3",)},
    appended=(Appended(THREAD, 1, "m1"), Appended(THREAD, 3, "m2"), Appended(OTHER, 1, "m3")),
    positions={THREAD: (1, 2, 3), OTHER: (1,)},
    sends=Sends(
        requested=frozenset({"s1", "s2", "s3"}),
        accepted=frozenset({"s1"}),
        refused=frozenset({"s2"}),
        unknown=frozenset({"s3"}),
        times_accepted={"s1": 1, "s3": 1},
    ),
    statuses_made=2,
    statuses_in=2,
    dead_letters=1,
    dead_letters_expected=1,
    stored_positions={THREAD: 3, OTHER: 1},
    stored_phases={"accepted": frozenset({"s1"}), "refused": frozenset({"s2"}), "unknown": frozenset({"s3"})},
)
MISTAKES: dict[str, Callable[[Tally], Tally]] = {
    "a message that was answered 200 is lost": lambda t: replace(t, received={THREAD: ("m1", "m2")}),
    "a message is never answered 200": lambda t: replace(t, acknowledged=frozenset({"m1", "m2"})),
    "another message came in than was answered": lambda t: replace(t, received={THREAD: ("m1", "m2"), OTHER: ("m9",)}),
    "a message is not appended": lambda t: replace(t, appended=t.appended[:2]),
    "a message is appended twice": lambda t: replace(t, appended=(*t.appended, Appended(OTHER, 2, "m3"))),
    "messages changed places": lambda t: replace(t, appended=(Appended(THREAD, 3, "m1"), Appended(THREAD, 1, "m2"), t.appended[2])),
    "a place is missing": lambda t: replace(t, positions={**t.positions, THREAD: (1, 3)}),
    "a place is given twice": lambda t: replace(t, positions={**t.positions, THREAD: (1, 2, 3, 3)}),
    "a status is lost": lambda t: replace(t, statuses_in=1),
    "the channel gave a webhook up": lambda t: replace(t, webhooks_given_up=1),
    "a send has no outcome": lambda t: replace(t, sends=replace(t.sends, refused=frozenset())),
    "a send arrived twice": lambda t: replace(t, sends=replace(t.sends, times_accepted={"s1": 2, "s3": 1})),
    "an unknown send arrived twice": lambda t: replace(t, sends=replace(t.sends, times_accepted={"s1": 1, "s3": 2})),
    "the channel has a send that we never made": lambda t: replace(t, sends=replace(t.sends, times_accepted={"s1": 1, "s9": 1})),
    "a send was accepted by nobody": lambda t: replace(t, sends=replace(t.sends, times_accepted={"s3": 1})),
    "a refused send arrived": lambda t: replace(t, sends=replace(t.sends, times_accepted={"s1": 1, "s2": 1})),
    "the store has an older place": lambda t: replace(t, stored_positions={THREAD: 2, OTHER: 1}),
    "the store has forgotten a thread": lambda t: replace(t, stored_positions={THREAD: 3}),
    "the ledger does not know of an acceptance": lambda t: replace(t, stored_phases={**t.stored_phases, "accepted": frozenset()}),
    "the ledger has a send in flight": lambda t: replace(t, stored_phases={**t.stored_phases, "in_flight": frozenset({"s1"})}),
    "an output is missing": lambda t: replace(t, seq_gaps=("parley/router/conversation " + THREAD,)),
    "an output was repeated otherwise": lambda t: replace(t, differing=("conversation/x/1",)),
    "a dead letter too many": lambda t: replace(t, dead_letters=2),
    "a dead letter is missing": lambda t: replace(t, dead_letters=0),
}


def test_right_counts_hold() -> None:
    """Nothing is found where nothing is wrong."""
    assert [line for line in equations(RIGHT) if not line.holds] == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_count_breaks_an_equation(mistake: str) -> None:
    """One mistake, at least one equation that says so."""
    assert [line for line in equations(MISTAKES[mistake](RIGHT)) if not line.holds]


def test_an_unknown_send_may_have_arrived_or_not() -> None:
    """Both are what unknown means."""
    sends = replace(RIGHT.sends, times_accepted={"s1": 1})
    assert all(line.holds for line in equations(replace(RIGHT, sends=sends)))


async def played(_trial: Trial) -> None:
    """Do nothing."""


TODAY = datetime(2026, 11, 22, tzinfo=UTC)
FAULT = Fault("F0", "Nothing happens", "nothing | breaks", played)
GOOD = Verdict(FAULT, (Finding("all well", holds=True, seen="1"),), (), Figures(messages=3), ("a note",))
BAD = {
    "a finding": replace(GOOD, findings=(Finding("no message twice", holds=False, seen="2"),)),
    "an equation": replace(GOOD, broken=(Line("messages = appended", 2, 1, "m1"),)),
    "an error": replace(GOOD, error="router was not ready"),
    "nothing was looked at": replace(GOOD, findings=()),
}


@pytest.mark.parametrize("what", BAD)
def test_the_table_says_fail(what: str) -> None:
    """On the terminal and on the page, with what was seen."""
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 # rich writes there until the test ends
    screen = Screen(console)
    screen.verdict(BAD[what])
    screen.table([BAD[what], GOOD])
    text = console.export_text()
    assert "FAIL" in text
    assert text.count("pass") == 1
    page = page_of({"F1": row_of(BAD[what], TODAY), "F2": row_of(GOOD, TODAY)}, cores=2)
    assert "1 of 2 promises kept" in page
    assert page.count("**no**") == 1
    console.file.close()


def test_a_run_of_one_fault_changes_its_row_alone(tmp_path: Path) -> None:
    """Cores, Python, dates; a bar in a promise is no column, and the faults stand in their order."""
    path = tmp_path / "reliability.md"
    one, ten = replace(GOOD, fault=replace(FAULT, name="F1")), replace(GOOD, fault=replace(FAULT, name="F10"))
    two = replace(GOOD, fault=replace(FAULT, name="F2"))
    write_page([ten, one, two], path)
    first = path.read_text()
    assert "3 of 3 promises kept" in first
    assert "nothing \\| breaks" in first
    assert list(rows_in(first)) == ["F1", "F2", "F10"]
    write_page([replace(ten, findings=())], path)
    second = rows_in(path.read_text())
    assert "2 of 3 promises kept" in path.read_text()
    assert second["F1"] == rows_in(first)["F1"]
    assert second["F10"].endswith("| **no** |")
    assert "a note" in seen_of(GOOD)


def test_a_mixed_run_fails_by_a_finding_an_equation_or_when_nothing_was_played() -> None:
    """And passes otherwise."""
    good = Mix(1, played=["F1"], findings=[Finding("F1: well", holds=True)], lines=3)
    assert good.passed
    assert not replace(good, played=[]).passed
    assert not replace(good, findings=[Finding("F1: well", holds=False)]).passed
    assert not replace(good, broken=[Line("x", 1, 2)]).passed


def test_the_catalogue_is_the_contract() -> None:
    """Twenty faults by their numbers; those of the mixed run need no house of their own."""
    assert list(FAULTS) == [f"F{number}" for number in range(1, 21)]
    assert all(fault.surroundings.brokers == 1 and not fault.surroundings.mongo for fault in MIXED)


def test_the_command_line_is_what_make_passes() -> None:
    """`--minutes`, `--seed`, `--fault`."""
    options = parse(["--minutes", "5", "--seed", "7", "--no-write"])
    assert (options.minutes, options.seed, options.no_write, options.fault) == (5, 7, True, [])
    assert parse(["--fault", "F7", "--fault", "F9"]).fault == ["F7", "F9"]
    with pytest.raises(SystemExit):
        parse(["--fault", "F21"])


def test_metrics_are_read_with_and_without_labels() -> None:
    """Comments are left out."""
    found = parse_metrics('# HELP x y\nx_total{reducer="bot",kind="a b"} 3.0\ny 1e-05\n')
    assert found == {("x_total", 'reducer="bot",kind="a b"'): 3.0, ("y", ""): 1e-05}


def test_a_gap_in_a_stream_is_found() -> None:
    """Outputs 1 and 3 without 2."""
    records = Records()
    assert records.seq_gaps() == []
    for seq in (1, 3):
        records.take(_seen(seq))
    assert records.seq_gaps() == [f"parley/router/conversation {THREAD}"]
    records.take(_seen(2))
    assert records.seq_gaps() == []


def test_a_repetition_is_counted_and_must_be_the_same() -> None:
    """The same bytes are a duplicate to be dropped, other bytes under the same id are a lie."""
    records = Records()
    for _ in range(3):
        records.take(_seen(1))
    assert (records.duplicates, records.different, len(records.events(NoteAdded))) == (2, set(), 1)
    records.take(_seen(1, "another text"))
    assert records.different == {"1"}


def _seen(seq: int, text: str = "…") -> Seen:
    """Return a record with an output of a state."""
    event = _output(seq, text)
    return Seen(Record(CONVERSATIONS, 0, seq, THREAD.encode(), event.to_json(), 1_000), event)


def _output(seq: int, text: str) -> Event[NoteAdded]:
    """Return an event of a state."""
    data = NoteAdded(conversation_id="c", author=Author(kind=AuthorKind.SYSTEM, id="x"), text=text)
    return new_event(
        data, event_id=str(seq), source="parley/router/conversation", subject=THREAD, time=datetime(2026, 11, 22, tzinfo=UTC), seq=seq
    )
