"""A thread under random sequences of events: what holds whatever happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.core.deliveries import DELIVERIES_MAX
from services.router.core.messages import MESSAGE_IDS_MAX
from services.router.core.replies import REPLY_IDS_MAX
from services.router.state import NOBODY, ConversationState
from shared.events import commands
from shared.events.conversations import MessageAppended, OwnerChanged, ReplyApproved, ReplyRejected
from shared.events.deliveries import MessageDelivered
from shared.events.inbound import CustomerLeft, CustomerOptedOut, MessageDeleted
from shared.events.shapes import Author, AuthorKind, Text
from shared.events.sla import WindowOpened
from shared.events.work import AssignmentLapsed, AssignmentMade
from shared.ids import count_digests
from tests.services.router.router_kit import ANA, BEN, BOT, CRM, NOON, POOL, THREAD, Driver, message, thread

AUTHORS = st.sampled_from([BOT, ANA, BEN, CRM])
EPOCHS = st.one_of(st.none(), st.integers(0, 12))
PEOPLE = st.sampled_from(["ana", "ben", "mia", "nobody"])
POOLS = st.sampled_from([POOL, "money", "nowhere"])
CONVERSATIONS = st.integers(1, 3).map(lambda number: f"{THREAD}/{number}")


def command(kind: type[commands.Command], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return commands of a kind, by anybody, under any epoch."""
    return st.builds(kind, author=AUTHORS, epoch=EPOCHS, **fields)


REPLIES = command(commands.Reply, reply_id=st.integers(0, 60).map(str), content=st.builds(Text, text=st.sampled_from(["Hello", " "])))
EVENTS = st.one_of(
    st.builds(
        lambda number, minute, words: message(words, number=number, minute=minute),
        st.integers(0, 60),
        st.integers(0, 9),
        st.sampled_from(["Hello", "broken", "invoice", ""]),
    ),
    REPLIES,
    REPLIES,
    command(
        commands.HandOff, department=st.sampled_from([None, "support", "billing", "press"]), language=st.sampled_from([None, "lv", "de"])
    ),
    command(commands.Assign, agent=PEOPLE),
    command(commands.Transfer, agent=st.one_of(st.none(), PEOPLE), pool=st.one_of(st.none(), POOLS)),
    command(commands.Close),
    command(commands.Reopen),
    command(commands.Snooze, until=st.one_of(st.none(), st.just(NOON + timedelta(hours=1)))),
    command(commands.SetLanguage, language=st.sampled_from(["pt", "de"])),
    st.builds(AssignmentMade, conversation_id=CONVERSATIONS, agent=PEOPLE, explanation=st.just("free")),
    st.builds(AssignmentLapsed, conversation_id=CONVERSATIONS, agent=PEOPLE, reason=st.just("declined")),
    st.builds(MessageDelivered, message_id=st.integers(0, 40).map(str), at=st.just(NOON)),
    st.just(CustomerLeft(sent_at=NOON)),
    st.just(CustomerOptedOut(scope="all", sent_at=NOON)),
    st.just(MessageDeleted(message_id="m1", sent_at=NOON)),
    st.just(WindowOpened(permission="free_form", ends_at=NOON, opened_by="message")),
)


def may_answer(author: Author, owner: str) -> bool:
    """Return whether somebody may answer what `owner` has."""
    return {AuthorKind.AGENT: f"agent:{author.id}", AuthorKind.BOT: "bot"}.get(author.kind, owner) == owner


@given(events=st.lists(EVENTS, max_size=60), emitter=st.one_of(st.none(), POOLS))
@settings(max_examples=150, deadline=None)
def test_thread_keeps_its_promises_whatever_happens(events: list[Any], emitter: str | None) -> None:
    """Positions have no gap, owners follow each other under growing epochs, nobody talks over an owner, and every bound holds."""
    one = thread()
    position, owner, epoch = 0, NOBODY, 0
    for event in events:
        owner_before, closed_before = owner, one.saved is None or not one.state.is_open
        for data in one.take(event, emitter=emitter):
            if isinstance(data, MessageAppended):
                position += 1
                assert data.position == position
            if isinstance(data, OwnerChanged):
                assert (data.from_, data.epoch) == (owner, epoch + 1)
                assert data.to != owner
                owner, epoch = data.to, data.epoch
            if isinstance(data, ReplyApproved):
                assert not closed_before
                assert may_answer(data.author, owner_before)
                assert data.epoch == epoch
        check(one, position=position, owner=owner, epoch=epoch)


def check(one: Driver[ConversationState], *, position: int, owner: str, epoch: int) -> None:
    """Check what every state must satisfy, and that timers do not fire for ever."""
    if one.saved is None:
        return
    state = one.state
    assert (state.position, state.owner, state.epoch) == (position, owner, epoch)
    assert state.is_open is (state.owner != NOBODY)
    assert count_digests(state.message_ids) <= MESSAGE_IDS_MAX
    assert count_digests(state.reply_ids) <= REPLY_IDS_MAX
    assert len(state.deliveries) <= DELIVERIES_MAX
    due = one.reducer.due(state)
    assert due is None or due > one.now


@given(events=st.lists(EVENTS, max_size=30), last=EVENTS)
@settings(max_examples=80, deadline=None)
def test_event_repeated_appends_nothing_and_answers_nothing_twice(events: list[Any], last: Any) -> None:
    """The engine drops repeated events; even if one came through, no message and no verdict would come twice."""
    one = thread()
    for event in events:
        one.take(event)
    one.take(last)
    twice = one.take(last)
    assert not any(isinstance(data, MessageAppended) for data in twice)
    assert one.saved is None or not any(isinstance(data, ReplyApproved | ReplyRejected) for data in twice) or not one.state.number
