"""The reducer as the engine sees it, and how it is built."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.sla.app import build_reducer
from shared.contact_centre.loader import load_contact_centre
from shared.engine.reducer import TimerFired
from shared.errors import ConfigurationError
from shared.events.conversations import NoteAdded
from shared.events.shapes import Author, AuthorKind, Customer
from shared.topics import CONVERSATIONS, DELIVERIES
from tests.services.sla.sla_world import DAY, NOON, POLICIES, TEMPLATES, World, contact_centre, names

EXAMPLE = Path(__file__).parents[3] / "config"


def test_it_reads_conversations_and_deliveries_under_its_own_name() -> None:
    """Name and source are on the topics: they do not change."""
    reducer = World().reducer
    assert (reducer.name, reducer.source, reducer.inputs) == ("sla", "parley/sla/sla", (CONVERSATIONS, DELIVERIES))


def test_what_is_of_no_interest_leaves_the_state_as_it_is() -> None:
    """A note begins nothing and changes nothing; so does a timer that came too early."""
    world = World()
    note = NoteAdded(conversation_id="c1", author=Author(kind=AuthorKind.AGENT, id="ieva"), text="x")
    assert world.tell(note) == []
    assert world.state is None
    world.customer_writes()
    before = world.state
    assert world.tell(note) == []
    assert world.tell(TimerFired(due_at=NOON)) == []
    assert world.state is before or world.state == before


def test_an_event_that_changes_nothing_in_an_unknown_thread_is_not_remembered() -> None:
    """A close of a conversation that we never saw leaves no state behind."""
    world = World()
    assert world.closes() == []
    assert world.state is None


def test_a_thread_that_waits_for_nothing_asks_for_no_timer() -> None:
    """Nothing is due where no window is open and no clock runs."""
    world = World()
    world.updated(language="lv")
    assert world.state is not None
    assert world.reducer.due(world.state) is None


def test_the_customers_current_number_is_the_one_that_is_written_to() -> None:
    """What the router learns of the customer is used from the next answer on; the thread's id stands in before anything is known."""
    world = World()
    world.customer_writes()
    assert world.requested("r1").to == Customer(id="anna")
    world.updated(customer={"id": "anna", "phone": "+37129999999"})
    assert world.requested("r2").to.phone == "+37129999999"


def test_a_subject_that_is_no_thread_is_an_error() -> None:
    """Nobody could be answered there: the engine parks it for an operator to see."""
    with pytest.raises(ValueError, match="thread id"):
        World(thread="nowhere").customer_writes()


def test_changed_marks_are_taken_up_by_the_timer() -> None:
    """A mark that was configured away says nothing; the end is said all the same."""
    world = World(build_reducer(contact_centre(promises=[]), POLICIES))
    world.customer_writes()
    marks = {"chat": {"warn_before_minutes": [1]}}
    world.reducer = build_reducer(contact_centre(promises=[], windows=marks), POLICIES)
    assert world.sleep(timedelta(hours=20)) == []
    assert names(world.pass_time(DAY)) == ["window.closing", "window.closed"]


def test_a_come_back_template_with_parameters_is_refused_at_the_start() -> None:
    """Nobody fills them in when it is sent by itself."""
    templates = [TEMPLATES[0] | {"languages": {"lv": {"body": "{{1}}", "parameters": 1}}}]
    with pytest.raises(ConfigurationError, match="come_back in lv"):
        build_reducer(contact_centre(templates=templates), POLICIES)


def test_a_template_in_a_language_that_the_channel_does_not_know_is_refused_at_the_start() -> None:
    """It would be refused at every send; the message says which codes there are."""
    policies = {**POLICIES, "chat": replace(POLICIES["chat"], template_languages=("lv", "pt-BR", "pt-PT"))}
    templates = [TEMPLATES[0] | {"languages": {"lv": {"body": "a"}, "pt-BR": {"body": "b", "code": "pt"}, "en": {"body": "c"}}}]
    with pytest.raises(ConfigurationError, match=r"come_back in pt-BR would be sent as pt, .*: pt-BR, pt-PT\n.*come_back in en"):
        build_reducer(contact_centre(templates=templates), policies)


def test_the_example_contact_centre_can_be_used() -> None:
    """Its promises and templates make a reducer."""
    assert build_reducer(load_contact_centre(EXAMPLE), POLICIES).rules.promises
