"""Who is on shift, by department and language."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contact_centre.models import ContactCentre
from shared.contact_centre.staffing import Return, Staffing, same_language

MONDAY_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONDAY_NIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)


def agent(calendar: str, languages: list[str], departments: list[str]) -> dict[str, Any]:
    """Return an agent as written in config/."""
    return {"name": "Desk", "pool": "all", "languages": languages, "departments": departments, "calendar": calendar}


STAFFING = Staffing(
    ContactCentre.model_validate(
        {
            "name": "House",
            "languages": ["pt", "lv"],
            "fallback_language": "pt",
            "departments": {"sales": {"pool": "all"}, "support": {"pool": "all"}},
            "pools": {"all": {}},
            "accounts": {},
            "calendars": {
                "day": {"time_zone": "Europe/Riga", "hours": [{"days": ["mon", "tue"], "from": "08:00", "until": "17:00"}]},
                "early": {"time_zone": "Etc/UTC", "hours": [{"days": ["tue"], "from": "05:00", "until": "07:00"}]},
                "never": {"time_zone": "Etc/UTC"},
            },
            "agents": {
                "b": agent("day", ["pt", "lv"], ["sales"]),
                "a": agent("day", ["lv"], ["sales", "support"]),
                "c": agent("early", ["pt-BR"], ["sales"]),
                "d": agent("never", ["pt"], ["support"]),
            },
        }
    )
)


@pytest.mark.parametrize(
    ("department", "language", "expected"),
    [
        (None, None, ("a", "b", "c", "d")),
        ("sales", None, ("a", "b", "c")),
        ("sales", "pt", ("b", "c")),
        ("sales", "pt-PT", ("b", "c")),
        (None, "lv", ("a", "b")),
        ("support", "pt", ("d",)),
        ("press", "pt", ()),
    ],
)
def test_agents_are_found_by_department_and_language(department: str | None, language: str | None, expected: tuple[str, ...]) -> None:
    """They come in the order of their names; what is not asked for does not matter."""
    assert STAFFING.agents_for(department, language) == expected


def test_only_who_works_now_is_on_shift() -> None:
    """By day the desks of the day are; by night nobody; an agent nobody knows never is."""
    assert STAFFING.agents_on_shift(MONDAY_NOON, department="sales") == ("a", "b")
    assert STAFFING.agents_on_shift(MONDAY_NIGHT) == ()
    assert STAFFING.on_shift("a", MONDAY_NOON)
    assert not STAFFING.on_shift("nobody", MONDAY_NOON)


def test_the_first_who_is_back_counts() -> None:
    """From Monday night on that is the early desk for Portuguese and the day desk for Latvian, each with its own zone."""
    assert STAFFING.next_on_shift(MONDAY_NIGHT, department="sales", language="pt") == Return(
        datetime(2026, 11, 24, 5, tzinfo=UTC), "Etc/UTC"
    )
    latvian = STAFFING.next_on_shift(MONDAY_NIGHT, department="sales", language="lv")
    assert latvian == Return(datetime(2026, 11, 24, 6, tzinfo=UTC), "Europe/Riga")


def test_nobody_comes_back_where_nobody_works() -> None:
    """An agent without hours, and a department without agents, have no next shift."""
    assert STAFFING.next_on_shift(MONDAY_NIGHT, department="support", language="pt") is None
    assert STAFFING.next_on_shift(MONDAY_NIGHT, department="press") is None


def test_a_region_does_not_divide_a_language() -> None:
    """Who speaks Portuguese answers Brazilians; who speaks Latvian does not."""
    assert same_language("pt", "pt-BR")
    assert not same_language("lv", "pt-BR")
