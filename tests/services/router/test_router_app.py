"""The router put together: from a contact centre to two reducers that work hand in hand."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.router.app import Shifts, build_reducers
from shared.contact_centre.models import Agent, Calendar, ContactCentre, Hours
from shared.engine.reducer import Reducer
from shared.events.commands import Close, HandOff
from shared.events.work import AgentSignedIn, AssignmentMade, WorkOffered
from shared.topics import CONVERSATIONS, dead_letters_of
from tests.services.router.router_kit import ANA, BOT, POOL, THREAD, Driver, centre, message, nothing_detected, only

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def day(from_: str, until: str) -> Calendar:
    """Return a calendar of workdays in Riga."""
    return Calendar(
        time_zone="Europe/Riga", hours=(Hours.model_validate({"days": ("mon", "tue", "wed", "thu", "fri"), "from": from_, "until": until}),)
    )


@pytest.fixture
def house() -> ContactCentre:
    """Return a contact centre with shifts: 9 to 17 in Riga, and a calendar that never opens."""
    closed = Agent(name="Desk C", pool=POOL, languages=("en",), departments=("sales",), calendar="never")
    plain = centre()
    return centre(
        calendars={"day": day("09:00", "17:00"), "never": Calendar(time_zone="Europe/Riga")}, agents={**plain.agents, "closed": closed}
    )


def test_reducers_are_what_the_engine_expects(house: ContactCentre) -> None:
    """Names, sources, inputs: the interface of the topics."""
    reducers: tuple[Reducer[Any], ...] = build_reducers(house, nothing_detected)
    assert [(one.name, one.source) for one in reducers] == [
        ("conversation", "parley/router/conversation"),
        ("dispatch", "parley/router/dispatch"),
    ]
    assert [[topic.name for topic in one.inputs] for one in reducers] == [
        ["inbound", "commands", "assignments", "deliveries", "sla"],
        ["work", "agents"],
    ]
    assert all(len({topic.key for topic in one.inputs}) == 1 and dead_letters_of(one.name).name for one in reducers)
    assert CONVERSATIONS not in {topic for one in reducers for topic in one.inputs}


def test_customer_reaches_an_agent_and_leaves_the_slot_free(house: ContactCentre) -> None:
    """Message, hand-off, offer, assignment, close: each side takes what the other one said."""
    conversation_rules, dispatch_rules = build_reducers(house, nothing_detected)
    thread, desk = Driver(conversation_rules, THREAD), Driver(dispatch_rules, POOL)
    desk.take(AgentSignedIn(agent="ana"))
    thread.take(message())
    offer = only(thread.take(HandOff(author=BOT)), WorkOffered)
    made = only(desk.take(offer, emitter=THREAD), AssignmentMade)
    thread.take(made, emitter=POOL)
    assert thread.state.owner == "agent:ana"
    for data in thread.take(Close(author=ANA)):
        if data.NAME == "work.finished":
            desk.take(data, emitter=THREAD)
    assert desk.state.assigned == {}


def test_channel_classes_come_with_the_channels(house: ContactCentre) -> None:
    """A channel that takes more attention is offered as such; others are messaging."""
    rules, _ = build_reducers(house, nothing_detected, channel_classes={"chat": "live"})
    thread = Driver(rules, THREAD)
    thread.take(message())
    assert only(thread.take(HandOff(author=BOT)), WorkOffered).channel_class == "live"


def test_shift_that_is_to_come_is_remembered_until_it_has(house: ContactCentre) -> None:
    """The answer is the calendar's, however often and in whichever order it is asked."""
    shifts = Shifts(house)
    nine = MONDAY + timedelta(hours=7)
    assert [shifts.next_shift("ana", MONDAY + timedelta(hours=hours)) for hours in (0, 3, 1)] == [nine] * 3
    assert shifts.next_shift("ana", nine + timedelta(hours=9)) == nine + timedelta(days=1)
    assert shifts.next_shift("ana", MONDAY) == nine
    assert shifts.next_shift("closed", MONDAY) is None
    assert shifts.next_shift("closed", MONDAY) is None
    assert shifts.on_shift("ana", nine)
    assert not shifts.on_shift("ana", MONDAY)
    assert not shifts.on_shift("unknown", nine)


def test_morning_shift_takes_what_waited_all_night(house: ContactCentre) -> None:
    """Somebody who signed in early gets it when the shift begins."""
    _, rules = build_reducers(house, nothing_detected)
    desk = Driver(rules, POOL)
    desk.now = MONDAY
    desk.take(AgentSignedIn(agent="ana"))
    desk.take(WorkOffered(conversation_id="c", thread=THREAD, language="en"))
    assert desk.reducer.due(desk.state) == MONDAY + timedelta(hours=7)
    assert only(desk.passes(hours=7), AssignmentMade).agent == "ana"


def test_importing_the_router_loads_no_language_model() -> None:
    """The model is loaded when the reducers are built, and nowhere else."""
    code = "import services.router.app, sys; sys.exit('py3langid' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 # our own interpreter


def test_without_a_detector_the_model_is_loaded(house: ContactCentre) -> None:
    """The real one hears Latvian."""
    rules, _ = build_reducers(house)
    thread = Driver(rules, THREAD)
    thread.take(message("Es gribu runāt ar cilvēku"))
    assert thread.state.language == "lv"
