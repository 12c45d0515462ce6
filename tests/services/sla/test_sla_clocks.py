"""Promises to the customer, as supervisors rely on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from services.sla.app import build_reducer
from services.sla.core.thread import SlaReducer
from shared.events.conversations import MessageAppended
from shared.events.envelope import EventData
from shared.events.sends import SendRequested
from shared.events.shapes import Author, AuthorKind, Reaction, Text
from shared.events.sla import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarned,
    WindowClosed,
    WindowClosing,
    WindowOpened,
)
from tests.services.sla.sla_world import DAY, HOUR, MINUTE, NOON, POLICIES, PROMISES, SECOND, World, contact_centre, names, of_kind, only

ONE_HOUR = {"name": "one_hour", "calendar": "always", "first_response": {"target_minutes": 60, "warn_before_minutes": [30, 15]}}
AGENT_NEXT = {"next_response": {"target_minutes": 60}}


def promising(*promises: Mapping[str, object]) -> SlaReducer:
    """Return the reducer of a contact centre with these promises alone."""
    return build_reducer(contact_centre(promises=promises), POLICIES)


def waiting(*promises: Mapping[str, object], **fields: object) -> World:
    """Return a world in which a customer has just written."""
    world = World(promising(*(promises or (ONE_HOUR,))))
    world.opens(**fields)
    world.customer_writes()
    return world


def of_clocks(facts: list[EventData]) -> list[EventData]:
    """Return what was said of clocks."""
    return [fact for fact in facts if not isinstance(fact, WindowOpened | WindowClosing | WindowClosed | SendRequested)]


def outside_channel(*, by: AuthorKind | None, position: int = 2) -> MessageAppended:
    """Return a message of ours that did not pass the gate: somebody wrote on the phone."""
    author = None if by is None else Author(kind=by, id="phone")
    return MessageAppended(
        conversation_id="c1", position=position, direction="out", message_id="x", author=author, content=Text(text="x"), sent_at=NOON
    )


def test_the_first_message_starts_the_first_response() -> None:
    """The clock counts from when the customer wrote, not from when we heard of it, and says when it is due."""
    world = World(promising(ONE_HOUR))
    world.opens()
    (clock,) = of_clocks(world.customer_writes(ago=10 * MINUTE))
    assert isinstance(clock, ClockStarted)
    assert (clock.clock, clock.policy, clock.conversation_id) == ("first_response", "one_hour", "c1")
    assert (clock.due_at, clock.elapsed_seconds, clock.target_seconds) == (NOON + 50 * MINUTE, 600, 3600)


def test_it_warns_at_each_mark_and_breaks_once() -> None:
    """Thirty and fifteen minutes before, then the breach; whoever answers afterwards meets it late."""
    world = waiting()
    said = of_clocks(world.pass_time(5 * HOUR))
    assert [(type(fact), fact.elapsed_seconds) for fact in said if isinstance(fact, ClockWarned | ClockBreached)] == [
        (ClockWarned, 1800),
        (ClockWarned, 2700),
        (ClockBreached, 3600),
    ]
    assert only(ClockMet, world.answers()[:1]).elapsed_seconds == 5 * 3600


def test_an_answer_counts_when_the_channel_accepts_it() -> None:
    """Approval alone meets nothing; the acceptance does, at its own moment."""
    world = waiting()
    world.pass_time(10 * MINUTE)
    send = world.requested()
    world.pass_time(MINUTE)
    met = only(ClockMet, world.accepted(send, ago=30 * SECOND))
    assert met.elapsed_seconds == 630
    assert of_clocks(world.pass_time(DAY)) == []


def test_a_withheld_answer_keeps_no_promise() -> None:
    """The customer has got nothing, so the clock runs on."""
    world = waiting()
    world.updated(opted_out=["all"])
    world.withheld()
    assert names(of_clocks(world.pass_time(HOUR)))[-1] == "clock.breached"


def test_a_template_in_the_answers_place_keeps_the_promise() -> None:
    """The window was closed, the customer was asked to come back: that is an answer."""
    world = waiting({**ONE_HOUR, "first_response": {"target_minutes": 3000}})
    world.pass_time(25 * HOUR)
    assert isinstance(of_clocks(world.answers())[0], ClockMet)


def test_a_reaction_of_ours_is_no_answer() -> None:
    """A thumb keeps no promise."""
    world = waiting()
    send = world.requested(content=Reaction(message_id="m1", emoji="👍"))
    assert world.accepted(send) == []


def test_a_bots_answer_lets_a_persons_promise_rest() -> None:
    """While the bot owns the conversation and has answered, nobody waits for a person; the next message takes the clock up again."""
    world = waiting()
    world.owned_by("bot", before="queue")
    world.pass_time(10 * MINUTE)
    assert only(ClockPaused, world.answers("r1", by=AuthorKind.BOT)).elapsed_seconds == 600
    assert of_clocks(world.pass_time(5 * HOUR)) == []
    (resumed,) = of_clocks(world.customer_writes())
    assert isinstance(resumed, ClockResumed)
    assert resumed.due_at == world.now + 50 * MINUTE


def test_handing_over_takes_a_resting_clock_up_again() -> None:
    """From the hand-over on the customer waits for a person."""
    world = waiting()
    world.owned_by("bot", before="queue")
    world.answers("r1", by=AuthorKind.BOT)
    world.pass_time(HOUR)
    assert only(ClockResumed, world.owned_by("queue")).due_at == world.now + HOUR
    assert world.owned_by("queue") == []
    assert world.owned_by("agent:ieva", before="queue") == []


def test_a_bots_answer_to_an_older_message_lets_nothing_rest() -> None:
    """The customer has written again since: that message has no answer yet."""
    world = waiting()
    world.owned_by("bot", before="queue")
    send = world.requested(by=AuthorKind.BOT)
    world.customer_writes()
    assert of_clocks(world.accepted(send)) == []


def test_a_bots_answer_in_the_queue_keeps_no_persons_promise() -> None:
    """The away message is no answer to who waits for a person."""
    world = waiting()
    assert of_clocks(world.answers("r1", by=AuthorKind.BOT)) == []
    assert names(of_clocks(world.pass_time(HOUR)))[-1] == "clock.breached"


def test_anyones_answer_keeps_a_promise_that_says_so() -> None:
    """Some promises are kept by bots too; the next wait is then another promise."""
    world = waiting({**ONE_HOUR, "first_response": {"target_minutes": 60, "met_by": "anyone"}, "next_response": {"target_minutes": 30}})
    world.owned_by("bot", before="queue")
    assert isinstance(of_clocks(world.answers("r1", by=AuthorKind.BOT))[0], ClockMet)
    handed = only(ClockStarted, world.owned_by("queue"))
    assert (handed.clock, handed.target_seconds) == ("next_response", 1800)


def test_each_wait_after_an_answer_runs_against_the_next_response() -> None:
    """The first unanswered message counts; those that follow it change nothing."""
    world = waiting({**ONE_HOUR, **AGENT_NEXT})
    world.answers("r1")
    world.pass_time(HOUR)
    (clock,) = of_clocks(world.customer_writes())
    assert isinstance(clock, ClockStarted)
    assert clock.clock == "next_response"
    world.pass_time(MINUTE)
    assert of_clocks(world.customer_writes()) == []
    assert only(ClockMet, world.answers("r2")).elapsed_seconds == 60


def test_a_message_that_the_answer_did_not_see_begins_the_next_wait() -> None:
    """It was written between approval and acceptance: one promise is kept, another begins."""
    world = waiting({**ONE_HOUR, **AGENT_NEXT})
    send = world.requested()
    world.pass_time(MINUTE)
    world.customer_writes()
    met, started = world.accepted(send)
    assert isinstance(met, ClockMet)
    assert isinstance(started, ClockStarted)
    assert (started.clock, started.due_at) == ("next_response", world.now + HOUR)


def test_an_older_message_that_comes_late_moves_the_start() -> None:
    """The customer waits since the earlier one; the clock says its new due time."""
    world = waiting()
    world.pass_time(MINUTE)
    (clock,) = of_clocks(world.customer_writes(ago=6 * MINUTE))
    assert isinstance(clock, ClockStarted)
    assert clock.due_at == NOON + 55 * MINUTE


def test_an_older_message_does_not_move_a_clock_that_was_paused() -> None:
    """Its start is no longer where it counts from."""
    world = waiting()
    world.pass_time(MINUTE)
    world.updated(state="snoozed")
    world.updated(state="open")
    assert of_clocks(world.customer_writes(ago=HOUR)) == []
    bare = World(promising())
    bare.opens()
    bare.customer_writes()
    assert of_clocks(bare.customer_writes(ago=HOUR)) == []


def test_a_late_message_while_the_clock_rests_counts_no_time_twice() -> None:
    """The clock goes on from where it was paused, not from when the older message was sent."""
    world = waiting()
    world.owned_by("bot", before="queue")
    world.pass_time(10 * MINUTE)
    world.answers("r1", by=AuthorKind.BOT)
    world.pass_time(10 * MINUTE)
    (resumed,) = of_clocks(world.customer_writes(ago=15 * MINUTE))
    assert isinstance(resumed, ClockResumed)
    assert (resumed.due_at, resumed.elapsed_seconds) == (NOON + HOUR, 600)


def test_someone_elses_answer_on_the_phone_counts() -> None:
    """A message of ours that did not pass the gate has been sent already; one of unknown author is a person's."""
    for author in (AuthorKind.AGENT, None):
        world = waiting()
        assert isinstance(only(ClockMet, world.tell(outside_channel(by=author))), ClockMet)
    world = waiting()
    assert world.tell(outside_channel(by=AuthorKind.BOT)) == []
    assert world.tell(outside_channel(by=None).model_copy(update={"reply_id": "r1"})) == []


def test_a_snoozed_conversation_lets_its_promises_rest() -> None:
    """The time while it was put aside is not counted, and nothing warns meanwhile."""
    world = waiting({**ONE_HOUR, "resolution": {"target_minutes": 600}})
    world.pass_time(10 * MINUTE)
    assert names(world.updated(state="snoozed")) == ["clock.paused", "clock.paused"]
    assert world.updated(state="snoozed") == []
    assert of_clocks(world.pass_time(5 * HOUR)) == []
    response, resolution = world.updated(state="open")
    assert isinstance(response, ClockResumed)
    assert isinstance(resolution, ClockResumed)
    assert (response.due_at, resolution.due_at) == (world.now + 50 * MINUTE, world.now + 590 * MINUTE)


def test_who_writes_to_a_snoozed_conversation_waits_once_it_is_taken_up() -> None:
    """The clock starts at rest; a bot's answer meanwhile, and the next message, only change why it rests."""
    world = World(promising(ONE_HOUR))
    world.opens()
    world.owned_by("bot", before="queue")
    world.updated(state="snoozed")
    assert names(of_clocks(world.customer_writes())) == ["clock.started", "clock.paused"]
    assert of_clocks(world.answers("r1", by=AuthorKind.BOT)) == []
    assert of_clocks(world.customer_writes()) == []
    world.answers("r2", by=AuthorKind.BOT)
    assert world.updated(state="open") == []
    assert names(world.owned_by("queue")) == ["clock.resumed"]


def test_the_close_meets_the_resolution_and_cancels_the_wait() -> None:
    """Whoever was not answered is not counted as answered."""
    world = waiting({**ONE_HOUR, "resolution": {"target_minutes": 600}})
    world.pass_time(MINUTE)
    cancelled, met = world.closes()
    assert isinstance(cancelled, ClockCancelled)
    assert isinstance(met, ClockMet)
    assert (cancelled.clock, met.clock, met.elapsed_seconds) == ("first_response", "resolution", 60)
    assert of_clocks(world.pass_time(DAY)) == []
    assert world.closes() == []
    assert of_clocks(world.customer_writes()) == []


def test_an_unresolved_close_cancels_the_resolution() -> None:
    """It was given up, not resolved; a close of another conversation changes nothing."""
    world = waiting({**ONE_HOUR, "resolution": {"target_minutes": 600}})
    assert world.closes(conversation="other") == []
    assert names(world.closes(resolved=False)) == ["clock.cancelled", "clock.cancelled"]


def test_a_conversation_that_goes_on_has_had_its_first_response() -> None:
    """Reopened, the next message runs against the next response, and a new resolution clock counts."""
    world = waiting({**ONE_HOUR, **AGENT_NEXT, "resolution": {"target_minutes": 600}})
    world.answers()
    world.closes()
    world.pass_time(HOUR)
    assert only(ClockStarted, world.reopens()).clock == "resolution"
    assert [fact.clock for fact in of_kind(ClockStarted, world.customer_writes())] == ["next_response"]


def test_a_new_conversation_begins_with_the_first_response_again() -> None:
    """One whose close we were never told of is given up first; told twice, it begins once."""
    world = waiting({**ONE_HOUR, "resolution": {"target_minutes": 600}})
    world.answers()
    cancelled, started = world.opens(conversation_id="c2")
    assert isinstance(cancelled, ClockCancelled)
    assert isinstance(started, ClockStarted)
    assert world.opens(conversation_id="c2") == []
    assert [fact.clock for fact in of_kind(ClockStarted, world.customer_writes())] == ["first_response"]


def test_another_department_brings_another_promise_from_the_same_start() -> None:
    """The old clock is cancelled, the new one counts from when the customer wrote."""
    world = World()
    world.opens()
    world.customer_writes()
    world.pass_time(4 * MINUTE)
    cancelled, started, gone = world.updated(department="vip")
    assert isinstance(cancelled, ClockCancelled)
    assert isinstance(started, ClockStarted)
    assert (cancelled.policy, started.policy, started.due_at, started.elapsed_seconds) == ("hour", "vip", NOON + 10 * MINUTE, 240)
    assert isinstance(gone, ClockCancelled)
    assert gone.clock == "resolution"
    assert world.updated(department="vip", language="lv", tags=["x"]) == []


def test_another_promise_may_have_been_broken_long_ago() -> None:
    """The customer has waited longer than the new promise allows: that is said at once."""
    world = World()
    world.opens()
    world.customer_writes()
    world.pass_time(20 * MINUTE)
    world.updated(priority=9)
    assert [fact.policy for fact in of_kind(ClockBreached, world.wake())] == ["urgent"]


def test_a_promise_found_later_counts_from_the_start() -> None:
    """The department was not known when the customer wrote; where no promise is left, the clock is cancelled, and may come back."""
    world = World(promising({**ONE_HOUR, "departments": ["sales"], "resolution": {"target_minutes": 600}}))
    world.opens()
    assert of_clocks(world.customer_writes()) == []
    world.pass_time(10 * MINUTE)
    assert [(fact.clock, fact.elapsed_seconds) for fact in of_kind(ClockStarted, world.updated(department="sales"))] == [
        ("first_response", 600),
        ("resolution", 600),
    ]
    assert names(world.updated(department="press")) == ["clock.cancelled", "clock.cancelled"]


def test_another_promise_while_the_clock_rests_keeps_what_was_counted() -> None:
    """Ten minutes are used; on the new promise fifty are left from the hand-over on."""
    slow = {"name": "slow", "calendar": "always", "first_response": {"target_minutes": 120}}
    world = waiting({**slow, "departments": ["slow"]}, ONE_HOUR, department="slow")
    world.owned_by("bot", before="queue")
    world.pass_time(10 * MINUTE)
    world.answers(by=AuthorKind.BOT)
    world.pass_time(HOUR)
    assert only(ClockStarted, world.updated(department=None)[1:]).elapsed_seconds == 600
    assert only(ClockResumed, world.owned_by("queue")).due_at == world.now + 50 * MINUTE


def test_without_a_promise_nobody_is_told_of_a_wait() -> None:
    """Who waits is remembered all the same, and a bot's or a person's answer ends it."""
    for author in (AuthorKind.BOT, AuthorKind.AGENT):
        world = waiting({**ONE_HOUR, "departments": ["sales"]})
        world.owned_by("bot", before="queue")
        assert of_clocks(world.answers(by=author)) == []
        assert world.updated(department="sales") == []
        assert world.state is not None
        assert world.state.waiting_since is None
        assert of_clocks(world.answers("r2", by=author)) == []


def test_the_first_promise_that_matches_counts_even_where_it_is_silent() -> None:
    """A department without a promised first response does not inherit another's."""
    world = World()
    world.opens(department="silent")
    assert of_clocks(world.customer_writes()) == []


def test_business_time_is_the_calendars() -> None:
    """Written on Friday ten minutes before the end of the day: due on Monday, the warnings in business time too."""
    friday = datetime(2026, 11, 27, 16, 50, tzinfo=UTC)
    world = World(now=friday)
    world.opens()
    world.customer_writes()
    monday = datetime(2026, 11, 30, 9, tzinfo=UTC)
    world.pass_time(3 * DAY)
    warned = [fact for fact in world.published if isinstance(fact, ClockWarned) and fact.clock == "first_response"]
    assert [fact.due_at for fact in warned] == [monday + 50 * MINUTE] * 2
    assert [fact.elapsed_seconds for fact in warned] == [1800, 2700]


@pytest.mark.parametrize(
    ("saturday", "due"),
    [
        (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)),
        (datetime(2026, 10, 24, 21, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ],
    ids=["spring", "autumn"],
)
def test_summer_time_begins_and_ends_without_a_promise_growing(saturday: datetime, due: datetime) -> None:
    """Four hours over the change are four hours, whatever the wall clock shows."""
    everyday = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "until": "00:00"}
    calendars = {"night": {"time_zone": "Europe/Riga", "hours": [everyday]}}
    promise = {"name": "night", "calendar": "night", "first_response": {"target_minutes": 240}}
    world = World(build_reducer(contact_centre(calendars=calendars, promises=[promise]), POLICIES), now=saturday)
    world.opens()
    assert of_kind(ClockStarted, world.customer_writes())[0].due_at == due
    said = world.pass_time(5 * HOUR)
    assert of_kind(ClockBreached, said)[0].elapsed_seconds == 4 * 3600


def test_office_hours_follow_the_wall_clock_over_the_change() -> None:
    """Nine o'clock in Riga is an hour later in UTC once winter time has begun."""
    world = World(promising({**ONE_HOUR, "calendar": "riga"}), now=datetime(2026, 10, 23, 13, 30, tzinfo=UTC))
    world.opens()
    started = of_kind(ClockStarted, world.customer_writes())[0]
    assert started.due_at == datetime(2026, 10, 26, 7, 30, tzinfo=UTC)


def test_after_an_outage_each_warning_is_said_once_and_in_order() -> None:
    """Two marks passed meanwhile: two warnings, and none again."""
    world = waiting()
    said = world.sleep(50 * MINUTE)
    assert names(said) == ["clock.warned", "clock.warned"]
    assert world.wake() == []


def test_after_a_long_outage_only_the_breach_is_said() -> None:
    """Warnings of what is broken already help nobody; the breach says how late it is."""
    world = waiting()
    assert only(ClockBreached, world.sleep(3 * HOUR)).elapsed_seconds == 3 * 3600
    assert world.wake() == []


def test_what_is_overdue_is_said_oldest_first() -> None:
    """A breach of the morning comes before the window's end of the day after."""
    world = waiting()
    assert names(world.sleep(2 * DAY)) == ["clock.breached", "window.closed"]


def test_a_breach_that_the_timer_missed_is_said_before_what_ends_the_clock() -> None:
    """Answered, closed or snoozed after the due time: the breach comes first, and only once."""
    for end in ("answer", "close", "snooze"):
        world = waiting()
        world.now += 2 * HOUR
        facts = world.answers() if end == "answer" else world.closes() if end == "close" else world.updated(state="snoozed")
        assert names(of_clocks(facts))[0] == "clock.breached"
        assert of_kind(ClockBreached, world.updated(state="open") + world.sleep(HOUR)) == []


def test_an_answer_in_time_that_we_hear_of_late_breaks_nothing() -> None:
    """The acceptance names its own moment."""
    world = waiting()
    send = world.requested()
    world.now += 2 * HOUR
    met = only(ClockMet, world.accepted(send, ago=90 * MINUTE))
    assert met.elapsed_seconds == 1800


def test_a_calendar_that_never_opens_breaks_no_promise_soon() -> None:
    """Nothing is counted and nothing is due for over a year."""
    world = waiting({**ONE_HOUR, "calendar": "never"})
    assert of_clocks(world.pass_time(300 * DAY)) == []


def test_a_promise_that_left_the_configuration_is_kept_as_it_was_given() -> None:
    """A clock that runs when promises change runs to its end."""
    world = waiting()
    world.reducer = promising()
    world.pass_time(2 * HOUR)
    assert names(of_clocks(world.published))[-1] == "clock.breached"
    assert names(of_clocks(world.answers())) == ["clock.met"]


def test_promises_are_matched_by_channel_and_priority() -> None:
    """One for another channel, or for more urgent conversations, does not count."""
    world = World(thread="web:desk:anna")
    world.opens()
    assert of_clocks(world.customer_writes()) == []
    world = World(build_reducer(contact_centre(promises=PROMISES), POLICIES))
    (resolution,) = world.opens(priority=5)
    assert isinstance(resolution, ClockStarted)
    assert resolution.policy == "urgent"


def test_a_thread_that_is_older_than_our_knowledge_is_taken_up() -> None:
    """A message without the opening before it counts as one of a conversation that is open."""
    world = World(promising(ONE_HOUR))
    (clock,) = of_clocks(world.customer_writes())
    assert isinstance(clock, ClockStarted)
    assert clock.conversation_id == "c1"


def test_a_repeated_message_begins_no_second_wait() -> None:
    """Its place in the thread tells that it was counted."""
    world = waiting({**ONE_HOUR, **AGENT_NEXT})
    world.answers()
    assert of_clocks(world.customer_writes(position=1)) == []


def test_a_hand_over_by_the_close_begins_no_wait() -> None:
    """From the bot to nobody, and in a closed conversation, nobody waits for a person."""
    world = World(promising(ONE_HOUR))
    world.opens()
    world.owned_by("bot", before="queue")
    assert world.owned_by("nobody") == []
    world.owned_by("bot", before="nobody")
    world.closes()
    assert world.owned_by("queue") == []


def test_handing_over_while_the_customer_waits_changes_nothing() -> None:
    """The clock runs already."""
    world = waiting()
    world.owned_by("bot", before="queue")
    assert world.owned_by("queue") == []


def test_facts_of_a_closed_conversation_stay_current_without_clocks() -> None:
    """A new department or state of what is closed starts nothing."""
    world = waiting()
    world.closes()
    assert world.updated(department="vip", state="snoozed", priority=None) == []
    assert world.state is not None
    assert (world.state.department, world.state.priority, world.state.snoozed) == ("vip", 0, False)


def test_a_target_has_whole_seconds_and_sensible_warnings() -> None:
    """A warning before the clock began is left out."""
    world = waiting({**ONE_HOUR, "first_response": {"target_minutes": 0.001, "warn_before_minutes": [5, 0]}})
    assert names(of_clocks(world.pass_time(timedelta(seconds=2)))) == ["clock.breached"]
