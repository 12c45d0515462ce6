"""What dispatch, sla and the channels tell a conversation: assignments, deadlines, statuses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.router.core.deadlines import WINDOWS_MAX
from services.router.core.deliveries import DELIVERIES_MAX
from services.router.core.ownership import OFFER_AGAIN_SECONDS
from services.router.state import ConversationState
from shared.events import deliveries, sla
from shared.events.commands import Assign, Close, HandOff, Reply, Snooze, Transfer
from shared.events.conversations import OwnerChanged
from shared.events.shapes import Failure, FailureClass, Text
from shared.events.work import (
    AssignmentLapsed,
    AssignmentMade,
    QueuePositionChanged,
    WorkAccepted,
    WorkFinished,
    WorkOffered,
    WorkTaken,
    WorkUrgencyChanged,
    WorkWithdrawn,
)
from tests.services.router.router_kit import ANA, BOT, CRM, NOON, POOL, THREAD, Driver, message, names, only, thread

CONVERSATION = f"{THREAD}/1"
LATER = NOON + timedelta(minutes=1)


def made(agent: str = "ana", *, conversation: str = CONVERSATION, accept_by: datetime | None = None) -> AssignmentMade:
    """Return an assignment."""
    return AssignmentMade(conversation_id=conversation, agent=agent, accept_by=accept_by, explanation="free")


def lapsed(agent: str = "ana", *, conversation: str = CONVERSATION) -> AssignmentLapsed:
    """Return a lapse."""
    return AssignmentLapsed(conversation_id=conversation, agent=agent, reason="not_accepted")


@pytest.fixture
def one() -> Driver[ConversationState]:
    """Return a thread whose conversation waits in the queue."""
    waiting = thread()
    waiting.take(message())
    waiting.take(HandOff(author=BOT))
    return waiting


def test_assignment_makes_the_agent_the_owner(one: Driver[ConversationState]) -> None:
    """What waits gets its agent; the same assignment again changes nothing."""
    assert one.take(made(), emitter=POOL) == [
        OwnerChanged(conversation_id=CONVERSATION, from_="queue", to="agent:ana", epoch=3, reason="assignment")
    ]
    assert one.take(made(), emitter=POOL) == []
    assert one.reducer.due(one.state) is None


@pytest.mark.parametrize(
    "before",
    [Assign(author=CRM, agent="mia"), Close(author=CRM), Snooze(author=CRM, until_reply=True), Transfer(author=CRM, pool="money")],
    ids=["assigned elsewhere", "closed", "snoozed", "elsewhere"],
)
def test_assignment_of_what_does_not_wait_there_any_more_is_withdrawn(one: Driver[ConversationState], before: Any) -> None:
    """The owner stays as it is, and dispatch frees the slot."""
    one.take(before)
    owner = one.state.owner
    assert one.take(made(), emitter=POOL) == [
        WorkWithdrawn(conversation_id=CONVERSATION, thread=THREAD, reason="the conversation does not wait any more")
    ]
    assert one.routed() == [("work", POOL)]
    assert one.state.owner == owner


@pytest.mark.parametrize("who", ["ana", "ben"])
def test_assignment_that_crossed_with_an_order_is_answered_with_who_has_it(one: Driver[ConversationState], who: str) -> None:
    """A withdrawal would free the slot that the order took: dispatch hears of the order once more."""
    one.take(Assign(author=CRM, agent=who))
    assert one.take(made("ana"), emitter=POOL) == [WorkTaken(conversation_id=CONVERSATION, thread=THREAD, agent=who)]
    assert one.routed() == [("work", POOL)]
    assert one.state.owner == f"agent:{who}"


def test_assignment_of_the_last_conversation_does_not_touch_the_running_one(one: Driver[ConversationState]) -> None:
    """Neither does its lapse."""
    one.take(Close(author=CRM))
    one.take(message(number=2))
    one.take(HandOff(author=BOT))
    assert only(one.take(made(), emitter=POOL), WorkWithdrawn).conversation_id == CONVERSATION
    one.take(made(conversation=f"{THREAD}/2"), emitter=POOL)
    assert one.take(lapsed(), emitter=POOL) == []
    assert one.state.owner == "agent:ana"


def test_assignment_for_a_thread_that_nobody_knows_is_withdrawn_where_the_pool_is_known() -> None:
    """Without an emitting pool there is nobody to tell."""
    empty = thread()
    assert names(empty.take(made(), emitter=POOL)) == ["work.withdrawn"]
    assert empty.take(made()) == []
    assert empty.saved is None


def test_newer_assignment_of_the_same_pool_replaces_the_older(one: Driver[ConversationState]) -> None:
    """What dispatch said last counts: it holds the slot of the second agent."""
    one.take(made("ana"), emitter=POOL)
    assert only(one.take(made("ben"), emitter=POOL), OwnerChanged).from_ == "agent:ana"


def test_lapse_puts_the_conversation_back_into_the_queue(one: Driver[ConversationState]) -> None:
    """Dispatch knows that it waits: nothing is offered at once, only after a while."""
    one.take(made(accept_by=LATER), emitter=POOL)
    published = one.take(lapsed(), emitter=POOL)
    assert names(published) == ["conversation.owner_changed"]
    assert (published[0].to, published[0].reason) == ("queue", "assignment lapsed: not_accepted")
    assert names(one.passes(seconds=OFFER_AGAIN_SECONDS)) == ["work.offered"]


def test_lapse_of_a_sleeping_conversation_withdraws_it_until_it_wakes(one: Driver[ConversationState]) -> None:
    """Nobody is woken for what was put away."""
    one.take(made(accept_by=LATER), emitter=POOL)
    one.take(Snooze(author=ANA, until=NOON + timedelta(hours=5)))
    assert names(one.take(lapsed(), emitter=POOL)) == ["conversation.owner_changed", "work.withdrawn"]
    assert names(one.passes(hours=5)) == ["conversation.updated", "work.offered"]


def test_lapse_of_what_the_agent_does_not_have_from_dispatch_changes_nothing(one: Driver[ConversationState]) -> None:
    """Somebody gave it to them, or they have it no more."""
    assert one.take(lapsed(), emitter=POOL) == []
    one.take(Assign(author=ANA, agent="ana"))
    assert one.take(lapsed(), emitter=POOL) == []
    assert one.state.owner == "agent:ana"


def test_an_order_to_the_agent_who_has_the_offer_accepts_it(one: Driver[ConversationState]) -> None:
    """Dispatch hears that it is taken, once; a lapse that was on its way takes it back no more."""
    one.take(made(accept_by=LATER), emitter=POOL)
    published = one.take(Assign(author=CRM, agent="ana"))
    assert only(published, WorkTaken).agent == "ana"
    assert one.routed()[-1] == ("work", POOL)
    assert one.take(lapsed(), emitter=POOL) == []
    assert one.take(Assign(author=CRM, agent="ana")) == []
    assert one.state.owner == "agent:ana"


def test_agent_who_answers_has_accepted(one: Driver[ConversationState]) -> None:
    """The first answer of the agent tells dispatch, once; an integration's answer does not."""
    one.take(made(accept_by=LATER), emitter=POOL)
    assert len(one.take(Reply(author=CRM, reply_id="r0", content=Text(text="x")))) == 2
    published = one.take(Reply(author=ANA, reply_id="r1", content=Text(text="x")))
    assert only(published, WorkAccepted) == WorkAccepted(agent="ana", conversation_id=CONVERSATION)
    assert one.routed()[-1] == ("agents", POOL)
    assert len(one.take(Reply(author=ANA, reply_id="r2", content=Text(text="x")))) == 2


def test_transfer_of_an_assigned_conversation_finishes_the_work(one: Driver[ConversationState]) -> None:
    """Before it is offered again, so that dispatch frees the slot first."""
    one.take(made(), emitter=POOL)
    published = one.take(Transfer(author=ANA, department="sales"))
    assert [type(data) for data in published if data.NAME.startswith("work")] == [WorkFinished, WorkOffered]


def test_place_in_the_queue_ends_an_assignment_that_dispatch_knows_nothing_of(one: Driver[ConversationState]) -> None:
    """Dispatch had the last word: it waits. Where the conversation waits anyway, or somebody was ordered to it, nothing happens."""
    place = QueuePositionChanged(conversation_id=CONVERSATION, position=1)
    assert one.take(place, emitter=POOL) == []
    one.take(made(), emitter=POOL)
    assert one.take(place, emitter="money") == []
    assert only(one.take(place, emitter=POOL), OwnerChanged).to == "queue"
    one.take(Assign(author=ANA, agent="ana"))
    assert one.take(place, emitter=POOL) == []


def clock(kind: type[Any], minutes: int, *, conversation: str = CONVERSATION, name: str = "first_response") -> Any:
    """Return an event of a clock that is due so many minutes after NOON."""
    due_at = NOON + timedelta(minutes=minutes)
    return kind(conversation_id=conversation, clock=name, policy="p", due_at=due_at, elapsed_seconds=0, target_seconds=3600)


def window(kind: type[Any], minutes: int, permission: str = "free_form") -> Any:
    """Return an event of a window that ends so many minutes after NOON."""
    end = NOON + timedelta(minutes=minutes)
    extra = {"ends_at": end, "ended_at": end, "opened_by": "message", "remaining_seconds": 60, "mark": "1m"}
    return kind(permission=permission, **extra)


def due_minutes(published: list[Any]) -> float | None:
    """Return the deadline that dispatch was told, in minutes after NOON."""
    due_at = only(published, WorkUrgencyChanged).due_at
    return None if due_at is None else (due_at - NOON).total_seconds() / 60


def test_nearest_deadline_makes_the_wait_urgent(one: Driver[ConversationState]) -> None:
    """Promises and windows count alike; only a change of the nearest one is told."""
    assert due_minutes(one.take(window(sla.WindowOpened, 60))) == 60
    assert due_minutes(one.take(clock(sla.ClockStarted, 30))) == 30
    assert one.take(clock(sla.ClockStarted, 30)) == []
    assert one.take(clock(sla.ClockStarted, 50, name="resolution")) == []
    assert one.take(clock(sla.ClockWarned, 30)) == []
    assert one.take(window(sla.WindowClosing, 60)) == []
    assert one.take(clock(sla.ClockCancelled, 50, name="resolution")) == []
    assert due_minutes(one.take(clock(sla.ClockPaused, 30))) == 60
    assert due_minutes(one.take(clock(sla.ClockResumed, 40))) == 40
    assert one.take(clock(sla.ClockBreached, 40)) == []
    assert one.take(window(sla.WindowOpened, 70)) == []
    assert one.take(window(sla.WindowClosed, 70)) == []
    assert due_minutes(one.take(clock(sla.ClockMet, 40))) is None


def test_deadline_of_a_window_that_ends_is_told(one: Driver[ConversationState]) -> None:
    """Its end counts no more; the end of a window that nobody knows says nothing."""
    one.take(window(sla.WindowOpened, 60))
    assert due_minutes(one.take(window(sla.WindowClosed, 60))) is None
    assert one.take(window(sla.WindowClosed, 60)) == []


def test_clocks_of_another_conversation_say_nothing(one: Driver[ConversationState]) -> None:
    """Each conversation has its own promises; a closed one has none."""
    other = f"{THREAD}/7"
    assert one.take(clock(sla.ClockStarted, 5, conversation=other)) == []
    assert one.take(clock(sla.ClockMet, 5, conversation=other)) == []
    assert one.take(clock(sla.ClockMet, 5)) == []
    one.take(Close(author=CRM))
    assert one.take(clock(sla.ClockStarted, 5)) == []
    assert one.state.clocks == {}


def test_deadline_stands_in_the_offer() -> None:
    """What was known before the hand-off is told with it."""
    one = thread()
    one.take(message())
    assert one.take(clock(sla.ClockStarted, 30)) == []
    assert only(one.take(HandOff(author=BOT)), WorkOffered).due_at == NOON + timedelta(minutes=30)


def test_windows_are_bounded(one: Driver[ConversationState]) -> None:
    """The permission that was heard of longest ago is forgotten."""
    for number in range(WINDOWS_MAX + 2):
        one.take(window(sla.WindowOpened, 60, permission=f"p{number}"))
    assert len(one.state.windows) == WINDOWS_MAX


FAILURE = Failure.model_validate({"code": "1", "class": FailureClass.RETRY, "explanation": "x"})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((deliveries.MessageSent, deliveries.MessageRead, deliveries.MessageDelivered), "message.read"),
        ((deliveries.MessageSent, deliveries.MessageFailed), "message.failed"),
        ((deliveries.MessageDelivered, deliveries.MessageFailed), "message.delivered"),
        ((deliveries.MessageRead, deliveries.MessagePlayed), "message.played"),
    ],
)
def test_status_only_goes_forward(one: Driver[ConversationState], kinds: tuple[type[Any], ...], expected: str) -> None:
    """Statuses come late and in any order: the furthest is remembered, and nothing is published."""
    for kind in kinds:
        assert one.take(kind(message_id="m", at=NOON, failure=FAILURE)) == []
    assert one.state.deliveries == {"m": expected}


def test_statuses_are_bounded_and_belong_to_a_conversation(one: Driver[ConversationState]) -> None:
    """Old messages are forgotten; a thread that nobody knows gets no state."""
    for number in range(DELIVERIES_MAX + 4):
        one.take(deliveries.MessageSent(message_id=f"m{number}", at=NOON))
    assert len(one.state.deliveries) == DELIVERIES_MAX
    empty = thread()
    empty.take(deliveries.MessageSent(message_id="m", at=NOON))
    assert empty.saved is None
