"""Reply windows, as desks and the gate rely on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.sla.app import build_reducer
from services.sla.core.windows import mark_name
from shared.channels.contract import Policy
from shared.events.conversations import MessageChanged
from shared.events.shapes import Choice, Content, Reaction, Text
from shared.events.sla import WindowClosed, WindowClosing, WindowOpened
from tests.services.sla.sla_world import DAY, FREE, HOUR, MINUTE, NOON, SECOND, World, contact_centre, names, of_kind, only


def world_without_promises(*rules: object, thread: str = "chat:desk:anna") -> World:
    """Return a world whose channel has these rows in its policy, and no clocks to listen to."""
    policy = Policy("chat", "messaging", windows=rules or (FREE,), templates=True)  # type: ignore[arg-type] # rows of the policy
    return World(build_reducer(contact_centre(promises=[]), {"chat": policy}), thread=thread)


@pytest.mark.parametrize(
    ("content", "act"), [(Text(text="hello"), "message"), (Choice(choice_id="1", via="button"), "choice")], ids=["message", "choice"]
)
def test_a_customers_act_opens_the_window_for_its_length(content: Content, act: str) -> None:
    """A message and a tap open free form for a day from when the customer acted."""
    world = world_without_promises()
    opened = only(WindowOpened, world.customer_writes(content=content))
    assert (opened.permission, opened.ends_at, opened.opened_by) == ("free_form", NOON + DAY, act)


def test_each_message_moves_the_end_and_says_so() -> None:
    """Whoever counts down has the exact end after every message."""
    world = world_without_promises()
    world.customer_writes()
    world.pass_time(SECOND)
    assert only(WindowOpened, world.customer_writes()).ends_at == NOON + DAY + SECOND


def test_an_older_or_repeated_message_never_shortens_the_window() -> None:
    """What came late gives nothing that a younger message has not given already."""
    world = world_without_promises()
    world.customer_writes()
    assert world.customer_writes(ago=HOUR) == []
    assert world.customer_writes(position=1) == []


def test_nothing_is_opened_by_the_future() -> None:
    """A channel's time that no clock that is off a little explains is cut to the present."""
    world = world_without_promises()
    assert only(WindowOpened, world.customer_writes(ago=-HOUR)).ends_at == NOON + DAY


def test_a_clock_of_ours_that_is_behind_shortens_no_window() -> None:
    """The customer wrote, by the channel's clock, five minutes from now by ours: the channel's window ends a day after that."""
    world = world_without_promises()
    ahead = timedelta(minutes=5)
    assert only(WindowOpened, world.customer_writes(ago=-ahead)).ends_at == NOON + ahead + DAY
    said = world.pass_time(2 * DAY)
    assert said[-1] == WindowClosed(permission="free_form", ended_at=NOON + ahead + DAY)


def test_the_window_warns_at_each_mark_and_closes_once() -> None:
    """Four hours, one hour and ten minutes before the end somebody is told, and at the end, each once."""
    world = world_without_promises()
    world.customer_writes()
    said = world.pass_time(2 * DAY)
    assert [(fact.mark, fact.remaining_seconds) for fact in of_kind(WindowClosing, said)] == [("4h", 14400), ("1h", 3600), ("10m", 600)]
    assert said[-1] == WindowClosed(permission="free_form", ended_at=NOON + DAY)
    assert len(said) == 4


def test_a_window_that_opens_late_tells_the_nearest_mark_only() -> None:
    """A message that took 23.5 hours to arrive: of the marks that have passed, one is said, and the next ones follow."""
    world = world_without_promises()
    opened, closing = world.customer_writes(ago=timedelta(hours=23, minutes=30))
    assert isinstance(opened, WindowOpened)
    assert isinstance(closing, WindowClosing)
    assert (closing.mark, closing.remaining_seconds) == ("1h", 1800)
    assert [fact.mark for fact in of_kind(WindowClosing, world.pass_time(DAY))] == ["10m"]


def test_a_window_that_is_refreshed_does_not_warn_again_at_once() -> None:
    """Late messages that move the end a little say the new end, not the same mark once more."""
    world = world_without_promises()
    world.customer_writes(ago=timedelta(hours=23, minutes=30))
    assert names(world.customer_writes(ago=timedelta(hours=23, minutes=20))) == ["window.opened"]


def test_a_message_older_than_the_window_opens_nothing() -> None:
    """What a message of yesterday gave is over when it comes."""
    world = world_without_promises()
    assert world.customer_writes(ago=25 * HOUR) == []
    assert world.customer_writes(ago=24 * HOUR + MINUTE) == []


def test_after_an_outage_each_end_is_said_once() -> None:
    """Of the marks that passed meanwhile the nearest is said; once the window is over, only that."""
    world = world_without_promises()
    world.customer_writes()
    assert only(WindowClosing, world.sleep(timedelta(hours=23, minutes=30))).mark == "1h"
    assert names(world.sleep(5 * DAY)) == ["window.closed"]
    assert world.wake() == []


def test_a_message_after_an_end_that_nobody_was_told_of_says_the_end_first() -> None:
    """The timer was late: the window that ended is closed before the new one opens."""
    world = world_without_promises()
    world.customer_writes()
    world.now += 2 * DAY
    closed, opened = world.customer_writes()
    assert closed == WindowClosed(permission="free_form", ended_at=NOON + DAY)
    assert isinstance(opened, WindowOpened)


def test_a_late_message_after_an_untold_end_moves_the_end_into_the_past() -> None:
    """Both are over: the window is said to have closed when the later one ended, once."""
    world = world_without_promises()
    world.customer_writes()
    world.now += 2 * DAY
    facts = world.customer_writes(ago=2 * DAY - HOUR)
    assert facts == [WindowClosed(permission="free_form", ended_at=NOON + DAY + HOUR)]
    assert world.wake() == []


def test_a_row_of_the_policy_counts_from_its_first_to_before_its_last_moment() -> None:
    """The rule of the day on which the customer acted decides, not that of the day on which we heard of it."""
    old = replace(FREE, valid_until=NOON)
    new = replace(FREE, length_seconds=3600, valid_from=NOON)
    before = world_without_promises(old, new)
    assert only(WindowOpened, before.customer_writes(ago=SECOND)).ends_at == NOON - SECOND + DAY
    after = world_without_promises(old, new)
    assert only(WindowOpened, after.customer_writes(content=Choice(choice_id="1", via="list"))).ends_at == NOON + HOUR


def test_a_reaction_opens_only_what_the_policy_says() -> None:
    """Some channels count a reaction as an act; taking it back, editing and deleting are none anywhere."""
    given = MessageChanged(conversation_id="c1", message_id="m1", change="reaction", emoji="👍", sent_at=NOON)
    plain, counting = world_without_promises(), world_without_promises(replace(FREE, opened_by=("reaction",)))
    assert plain.tell(given) == []
    assert counting.tell(given.model_copy(update={"emoji": None})) == []
    assert counting.tell(MessageChanged(conversation_id="c1", message_id="m1", change="deleted", sent_at=NOON)) == []
    ahead = given.model_copy(update={"sent_at": NOON + HOUR})
    opened = only(WindowOpened, counting.tell(ahead))
    assert (opened.opened_by, opened.ends_at) == ("reaction", NOON + DAY)


def test_windows_outlive_the_conversation() -> None:
    """The customer gave them to us, not to a conversation."""
    world = world_without_promises()
    world.opens()
    world.customer_writes()
    world.closes()
    assert world.requested().not_after == NOON + DAY
    assert names(world.pass_time(DAY))[-1] == "window.closed"


def test_a_channel_that_was_removed_still_ends_its_windows() -> None:
    """Its marks are gone with it; its messages open nothing more."""
    world = world_without_promises()
    world.customer_writes()
    world.reducer = build_reducer(contact_centre(promises=[]), {})
    assert names(world.sleep(21 * HOUR)) == []
    assert world.customer_writes() == []
    assert names(world.sleep(DAY)) == ["window.closed"]


def test_our_own_messages_open_no_window() -> None:
    """Neither an answer nor a reaction of ours gives us anything."""
    world = world_without_promises()
    world.opens()
    world.replies(content=Reaction(message_id="m1", emoji="👍"))
    assert of_kind(WindowOpened, world.published) == []


@pytest.mark.parametrize(("seconds", "name"), [(14400, "4h"), (5400, "90m"), (600, "10m"), (30, "30s"), (0, "0s")])
def test_marks_are_named_as_people_write_them(seconds: int, name: str) -> None:
    """Hours where they are whole, else minutes, else seconds."""
    assert mark_name(timedelta(seconds=seconds)) == name
