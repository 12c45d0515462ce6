"""Which letters are replayed: the plan, and moments on the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from cli.masking import mask_key, mask_number
from cli.moments import parse_moment
from cli.replaying.items import Ready, Refused, of_dead_letter
from cli.replaying.letters import Letter, Letters, Other, value_of
from cli.replaying.plan import Past, make_plan
from shared.events.envelope import new_event
from shared.events.rejected import DeadLetter
from tests.cli.cli_world import NOON

KEYS = ("paper:sales:1", "paper:sales:2")


def letter(number: int, key: str, reason: str = "parked") -> Letter:
    """Return letter `number` of its topic."""
    data = DeadLetter.model_validate(
        {
            "topic": "commands",
            "partition": 0,
            "offset": number,
            "reason": reason,
            "error": "x",
            "attempts": 1,
            "version": "1",
            "first_failed_at": NOON,
        }
    )
    return Letter("dead.bot", new_event(data, event_id=f"bot/{number}", source="s", subject=key, time=NOON), (0, number))


@pytest.mark.parametrize("value", ["no base64", "é", "=", "QQ=", "\x00"])
def test_a_letter_whose_value_is_broken_holds_none(value: str) -> None:
    """Whoever wrote it: the command goes on with the others."""
    broken = letter(1, KEYS[0]).event.data.but(value=value, key=value, topic="commands")
    assert isinstance(broken, DeadLetter)
    assert value_of(broken) == b""
    assert isinstance(of_dead_letter(letter(1, KEYS[0]), broken, b""), Refused)


def ready(one: Letter) -> Ready:
    """Return the letter's replay."""
    return Ready(one, (), (f"event/{one.id}",), "reply")


ROWS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["ready", "refused", "other", "replayed", "waiting", "invalid"])), max_size=12
)


@given(ROWS, st.booleans())
def test_nothing_overtakes_an_earlier_letter_of_its_key(rows: list[tuple[str, str]], skip: bool) -> None:  # noqa: FBT001 # drawn by the test
    """Whatever is missing, refused or under way before it: a letter goes out behind it only when that is asked for."""
    letters, items = Letters(), {}
    replayed = {f"bot/{number}" for number, (_, kind) in enumerate(rows) if kind in {"replayed", "waiting"}}
    waiting = {f"bot/{number}" for number, (_, kind) in enumerate(rows) if kind == "waiting"}
    for number, (key, kind) in enumerate(rows):
        one = letter(number, key, "invalid" if kind == "invalid" else "parked")
        if kind == "other":
            letters.others[one.source, key].append(Other(one.place, one.id, NOON))
            continue
        letters.selected.append(one)
        items[one.id] = Refused(one, "no") if kind in {"refused", "invalid"} else ready(one)
    plan = make_plan(letters, items, Past(replayed, waiting), skip_earlier=skip)
    assert [row.letter for row in plan] == letters.selected
    going = {row.letter.id for row in plan if row.ready is not None}
    for number, (key, kind) in enumerate(rows):
        blocked = any(other == key and before in {"refused", "other", "waiting"} for other, before in rows[:number])
        assert (f"bot/{number}" in going) == (kind == "ready" and (skip or not blocked))


def test_a_letter_that_was_replayed_before_is_no_problem() -> None:
    """It is shown, and left alone."""
    one = letter(0, KEYS[0])
    (row,) = make_plan(Letters(selected=[one]), {one.id: ready(one)}, Past({one.id}), skip_earlier=False)
    assert (row.words, row.ready, row.problem) == ("replayed before", None, False)


def test_an_earlier_letter_that_was_replayed_before_does_not_hold_the_key() -> None:
    """It is done, though it was not selected."""
    one = letter(1, KEYS[0])
    letters = Letters(selected=[one])
    letters.others["dead.bot", KEYS[0]].append(Other((0, 0), "bot/0", NOON))
    assert [other.id for other in letters.before_selected()] == ["bot/0"]
    (row,) = make_plan(letters, {one.id: ready(one)}, Past({"bot/0"}), skip_earlier=False)
    assert row.ready is not None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("90m", NOON - timedelta(minutes=90)),
        ("2h", NOON - timedelta(hours=2)),
        ("3d", NOON - timedelta(days=3)),
        ("2026-11-23T12:00", NOON),
        ("2026-11-23T14:00+02:00", NOON),
        ("2026-11-23", NOON - timedelta(hours=12)),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(text: str | None, moment: object) -> None:
    """Without a zone it is UTC."""
    assert parse_moment(text, NOON, option="--since") == moment


def test_what_is_no_moment_is_told_with_examples() -> None:
    """The message shows how to write one."""
    with pytest.raises(typer.BadParameter, match="write 90m, 2h or 3d"):
        parse_moment("yesterday", NOON, option="--since")


def test_phone_numbers_are_masked_and_ids_are_not() -> None:
    """An account is no phone number, a business-scoped id neither."""
    assert mask_key("paper:100000000000001:351912000001") == "paper:100000000000001:***01"
    assert mask_key("paper:100000000000001:PT.abc") == "paper:100000000000001:PT.abc"
    assert mask_key("customers") == "customers"
    assert mask_number("sla/paper:1:351912000001/3 to +351912000001", "351912000001") == "sla/paper:1:***01/3 to ***01"
    assert mask_number("any text", "PT.abc") == "any text"
