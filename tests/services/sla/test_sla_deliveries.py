"""What sla learns from the channel's answers."""

from __future__ import annotations

import pytest

from services.sla.app import build_reducer
from services.sla.core.thread import SlaReducer
from services.sla.state import PENDING_CONTENT_BYTES_MAX, PENDING_MAX, REPLIES_REMEMBERED_MAX
from shared.events.deliveries import MessageDelivered, MessageRead, SendUnknown
from shared.events.sends import Permission, SendRequested, SendWithheld
from shared.events.shapes import AuthorKind, FailureClass, Reaction, Template, Text
from shared.events.sla import ClockBreached, ClockMet, ClockResumed, ClockStarted, WindowClosed, WindowOpened
from shared.ids import count_digests
from tests.services.sla.sla_world import DAY, HOUR, MINUTE, NOON, POLICIES, SECOND, World, contact_centre, names, of_kind, only

NEEDED = FailureClass.TEMPLATE_NEEDED
ONE_HOUR = {"name": "one_hour", "calendar": "always", "first_response": {"target_minutes": 60}}


def one_hour() -> SlaReducer:
    """Return the reducer of a contact centre that promises an answer within the hour."""
    return build_reducer(contact_centre(promises=[ONE_HOUR]), POLICIES)


def answering(thread: str = "chat:desk:anna") -> World:
    """Return a world in which a customer has written and waits for an answer within the hour."""
    world = World(one_hour(), thread=thread)
    world.opens()
    world.customer_writes()
    world.pass_time(MINUTE)
    return world


def test_a_refused_window_is_closed_and_the_reply_goes_out_as_the_template() -> None:
    """The channel's clock decides: its refusal closes the window here, and the next form is tried at once."""
    world = answering()
    first = world.requested()
    closed, second = world.refused(first, NEEDED)
    assert closed == WindowClosed(permission="free_form", ended_at=world.now, reason="refused_by_channel")
    assert isinstance(second, SendRequested)
    assert (second.permission, second.reply_id) == (Permission.TEMPLATE, "r1")
    assert second.send_id != first.send_id
    assert isinstance(world.accepted(second)[0], ClockMet)


def test_a_refused_window_stays_closed_until_the_customer_acts_again() -> None:
    """The same message told again does not open it, a younger one does."""
    world = answering()
    world.refused(world.requested(), NEEDED)
    assert of_kind(WindowOpened, world.customer_writes(position=1, ago=MINUTE)) == []
    assert world.withheld("r2").reason == "come_back_awaited"
    assert of_kind(WindowClosed, world.pass_time(2 * DAY)) == []
    assert len(of_kind(WindowOpened, world.customer_writes())) == 1
    assert world.requested("r3").permission is Permission.FREE_FORM


def test_a_template_that_did_not_reach_the_customer_asked_nobody() -> None:
    """The next answer asks again."""
    world = World()
    world.opens()
    world.refused(world.requested("r1"), FailureClass.DEAD_LETTER)
    assert world.requested("r2").permission is Permission.TEMPLATE
    assert world.withheld("r3").reason == "come_back_awaited"


def test_two_refused_answers_ask_the_customer_once() -> None:
    """Both were under way when the channel said that its window is closed."""
    world = answering()
    first, second = world.requested("r1"), world.requested("r2")
    assert [type(fact) for fact in world.refused(first, NEEDED)] == [WindowClosed, SendRequested]
    assert of_kind(SendWithheld, world.refused(second, NEEDED))[0].reason == "come_back_awaited"


def test_without_a_template_the_refused_reply_is_withheld() -> None:
    """Its author is told that the channel holds the window for closed."""
    world = answering("chat:press:anna")
    _, withheld = world.refused(world.requested(), NEEDED)
    assert isinstance(withheld, SendWithheld)
    assert "The channel has refused an answer" in withheld.explanation


def test_a_refusal_after_the_customer_wrote_again_does_not_close_the_new_window() -> None:
    """What was refused was asked for before that message: the reply goes out free form once more, and not a third time."""
    world = answering()
    first = world.requested()
    world.pass_time(MINUTE)
    world.customer_writes()
    second = only(SendRequested, world.refused(first, NEEDED))
    assert second.permission is Permission.FREE_FORM
    assert names(world.refused(second, NEEDED)) == ["window.closed"]


def test_a_refusal_told_twice_does_not_close_the_window_that_the_customer_opened_since() -> None:
    """The conclusion was drawn the first time."""
    world = answering()
    first = world.requested()
    world.pass_time(MINUTE)
    world.customer_writes()
    world.refused(first, NEEDED)
    assert world.refused(first, NEEDED) == []
    assert world.requested("r2").permission is Permission.FREE_FORM


def test_an_agents_reply_falls_back_to_what_is_for_people() -> None:
    """Free form was refused, the permission for people is open still."""
    world = answering("page:desk:anna")
    _, second = world.refused(world.requested(), NEEDED)
    assert isinstance(second, SendRequested)
    assert (second.permission, second.content) == (Permission.HUMAN_AGENT, Text(text="answer"))


def test_a_failure_after_the_acceptance_is_as_good_as_a_refusal() -> None:
    """The channel accepted, then gave the message up: the window closes and the template goes out."""
    for with_send_id in (True, False):
        world = answering()
        send = world.requested()
        world.accepted(send)
        facts = world.failed(send, NEEDED, with_send_id=with_send_id)
        assert names(facts) == ["window.closed", "send.requested"]
        assert world.failed(send, NEEDED, with_send_id=with_send_id) == []


def test_an_answer_that_the_channel_gave_back_keeps_no_promise() -> None:
    """Nothing reached the customer: the clock that it stopped runs again as if it had not been stopped."""
    world = answering()
    send = world.requested()
    assert names(world.accepted(send)) == ["clock.met"]
    world.pass_time(MINUTE)
    resumed = only(ClockResumed, world.failed(send, FailureClass.OTHER_CHANNEL))
    assert (resumed.due_at, resumed.elapsed_seconds) == (NOON + HOUR, 120)
    assert [fact.elapsed_seconds for fact in of_kind(ClockBreached, world.pass_time(HOUR))] == [3600]
    assert names(world.answers("r2")[-1:]) == ["clock.met"]


def test_a_first_response_given_back_has_not_been_given() -> None:
    """Closed and reopened, the customer still waits for the first one."""
    world = answering()
    send = world.requested()
    world.accepted(send)
    world.failed(send, FailureClass.OTHER_CHANNEL)
    world.closes()
    world.reopens()
    assert [fact.clock for fact in of_kind(ClockStarted, world.customer_writes())] == ["first_response"]


def test_a_promise_broken_before_the_answer_is_not_broken_again_when_it_comes_back() -> None:
    """The breach was said when the late answer was accepted."""
    world = answering()
    world.now += 2 * HOUR
    send = world.requested()
    assert names(world.accepted(send)) == ["clock.breached", "clock.met"]
    assert names(world.failed(send, FailureClass.DEAD_LETTER)) == ["clock.resumed"]
    assert of_kind(ClockBreached, world.pass_time(HOUR)) == []


def test_an_answer_given_back_in_a_snoozed_conversation_waits_until_it_is_taken_up() -> None:
    """The clock is there again, at rest."""
    world = answering()
    send = world.requested()
    world.accepted(send)
    world.updated(state="snoozed")
    assert names(world.failed(send, FailureClass.OTHER_CHANNEL)) == ["clock.resumed", "clock.paused"]
    assert names(world.updated(state="open")) == ["clock.resumed"]


def test_an_answer_given_back_after_the_bot_had_answered_makes_the_customer_wait() -> None:
    """The clock rested when the person answered; now somebody waits again."""
    world = answering()
    world.owned_by("bot", before="queue")
    world.answers("r1", by=AuthorKind.BOT)
    send = world.requested("r2")
    world.accepted(send)
    assert names(world.failed(send, FailureClass.OTHER_CHANNEL)) == ["clock.resumed"]


@pytest.mark.parametrize("meanwhile", ["closed", "another conversation", "waits again"])
def test_an_answer_given_back_too_late_changes_no_clock(meanwhile: str) -> None:
    """The conversation is over, or the customer waits on another clock already."""
    promise = {**ONE_HOUR, "next_response": {"target_minutes": 60}}
    world = World(build_reducer(contact_centre(promises=[promise]), POLICIES))
    world.opens()
    world.customer_writes()
    send = world.requested()
    world.accepted(send)
    if meanwhile == "waits again":
        world.customer_writes()
    else:
        world.closes()
    if meanwhile == "another conversation":
        world.opens(conversation_id="c2")
    assert world.failed(send, FailureClass.OTHER_CHANNEL) == []


def test_an_acceptance_for_a_conversation_that_is_over_meets_nothing_in_the_next() -> None:
    """The answer was to the customer's question of before."""
    world = answering()
    send = world.requested()
    world.closes()
    world.opens(conversation_id="c2")
    assert world.accepted(send) == []


def test_a_template_carries_the_kept_promise_on() -> None:
    """Accepted, failed, sent as a template, failed again: in the end nobody has answered."""
    world = answering()
    first = world.requested()
    world.accepted(first)
    _, second = world.failed(first, NEEDED)
    assert isinstance(second, SendRequested)
    assert world.accepted(second) == []
    assert names(world.failed(second, FailureClass.DEAD_LETTER)) == ["clock.resumed"]


def test_a_refused_template_is_not_tried_again_as_a_template() -> None:
    """There is no other form left."""
    world = World(one_hour())
    world.opens()
    send = world.requested()
    assert send.permission is Permission.TEMPLATE
    assert world.refused(send, NEEDED) == []


def test_a_refusal_of_a_send_that_we_do_not_know_closes_what_was_open_then() -> None:
    """The window of a message before the refusal is closed, that of a later one is not."""
    stranger = World().requested("stranger")
    world = answering()
    assert names(world.refused(stranger, NEEDED)) == ["window.closed"]
    assert world.refused(stranger, NEEDED) == []


def test_a_refusal_that_outbound_retries_changes_nothing() -> None:
    """The send is still on its way."""
    world = answering()
    send = world.requested()
    assert world.refused(send, FailureClass.RETRY, final=False) == []
    assert names(world.accepted(send)) == ["clock.met"]


def test_a_customer_who_blocks_us_gets_nothing_until_they_write() -> None:
    """The refusal of an answer says that nothing is wanted from us."""
    world = answering()
    world.refused(world.requested("r1"), FailureClass.SUPPRESS)
    assert world.withheld("r2").reason == "blocked"
    world.pass_time(SECOND)
    world.customer_writes()
    assert world.requested("r3").permission is Permission.FREE_FORM


def test_a_refused_marketing_template_opts_out_of_marketing_only() -> None:
    """Answers are still welcome."""
    world = answering()
    offer = Template(name="offer", language="en")
    world.refused(world.requested("r1", content=offer), FailureClass.SUPPRESS)
    assert world.withheld("r2", content=offer).reason == "opted_out"
    assert world.requested("r3").permission is Permission.FREE_FORM


def test_a_refusal_to_a_send_that_we_do_not_know_suppresses_nobody() -> None:
    """Whether marketing or everything was meant cannot be told."""
    world = answering()
    world.refused(World().requested("stranger"), FailureClass.SUPPRESS)
    assert world.requested().permission is Permission.FREE_FORM


def test_an_unknown_send_counts_once_a_status_proves_it() -> None:
    """Its answer was lost: nothing is known until the channel reports the message."""
    world = answering()
    send = world.requested()
    assert world.tell(SendUnknown(send_id=send.send_id, at=world.now, explanation="lost")) == []
    assert names(world.sent(send)) == ["clock.met"]
    assert world.sent(send) == []
    assert world.accepted(send) == []


def test_what_was_sent_on_is_forgotten() -> None:
    """Delivered and read say nothing more, whichever id they carry."""
    world = answering()
    send = world.requested()
    world.accepted(send)
    assert world.sent(send, with_send_id=False) == []
    assert world.tell(MessageDelivered(message_id="strange", at=world.now)) == []
    assert world.tell(MessageRead(message_id=f"n-{send.send_id}", send_id=send.send_id, at=world.now)) == []
    assert world.state is not None
    assert world.state.pending == ()


def test_an_acceptance_told_twice_counts_once() -> None:
    """The second finds the send accepted, and does not answer what the customer has written since."""
    world = World(build_reducer(contact_centre(promises=[{**ONE_HOUR, "next_response": {"target_minutes": 60}}]), POLICIES))
    world.opens()
    world.customer_writes()
    send = world.requested()
    assert names(world.accepted(send)) == ["clock.met"]
    world.customer_writes()
    assert world.accepted(send) == []


def test_a_status_of_a_thread_that_we_know_nothing_of_is_not_remembered() -> None:
    """Nothing begins with what became of a send."""
    world = World()
    assert world.tell(MessageDelivered(message_id="strange", at=world.now)) == []
    assert world.state is None


def test_a_reaction_that_failed_changes_no_clock() -> None:
    """It was no answer in the first place."""
    world = answering()
    send = world.requested(content=Reaction(message_id="m1", emoji="👍"))
    world.accepted(send)
    assert world.failed(send, FailureClass.OTHER_CHANNEL) == []


def test_a_content_too_large_to_keep_is_not_tried_in_another_form() -> None:
    """The window is closed; the author learns of the refusal from outbound."""
    world = answering()
    send = world.requested(content=Text(text="x" * PENDING_CONTENT_BYTES_MAX))
    assert names(world.refused(send, NEEDED)) == ["window.closed"]


def test_what_is_remembered_of_sends_and_replies_is_bounded() -> None:
    """The oldest are forgotten."""
    world = answering()
    sends = [world.requested(f"r{number}") for number in range(REPLIES_REMEMBERED_MAX + 1)]
    assert world.state is not None
    assert len(world.state.pending) == PENDING_MAX
    assert count_digests(world.state.replies) == REPLIES_REMEMBERED_MAX
    assert world.accepted(sends[0]) == []
