"""`parley trace`: the story of a thread."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.tracing.fates import fates
from cli.tracing.find import Found
from cli.tracing.order import in_order
from cli.tracing.redact import HIDDEN, Redactor
from cli.tracing.story import Teller
from shared.engine.records import Record
from shared.events.commands import AddNote, Assign, HandOff, Reply, SendTemplate, SetAttribute, Transfer
from shared.events.conversations import ConversationUpdated, MessageAppended, ReplyApproved, ReplyRejected
from shared.events.deliveries import MessageDelivered, MessageFailed, MessageRead, MessageSent, SendAccepted, SendRefused, SendUnknown
from shared.events.envelope import Event, EventData, new_event
from shared.events.inbound import CustomerLeft, CustomerOptedOut, MessageEdited, MessageReceived, ReactionChanged
from shared.events.sends import Lane, Permission, SendRequested, SendWithheld
from shared.events.shapes import Customer, Failure, FailureClass, Template, Text
from shared.events.work import AgentSeen, WorkAccepted, WorkOffered, WorkWithdrawn
from shared.topics import AGENTS, COMMANDS, CONVERSATIONS, DELIVERIES, INBOUND, SENDS, TOPICS, WORK, Topic, dead_letters_of
from tests.cli.cli_world import AUTHOR, NOON, READER, Installation, installation, parley

PHONE = "351912000001"
THREAD = f"paper:sales:{PHONE}"
OTHER = "paper:sales:351912000002"
WORDS = "Bom dia, onde está o meu pedido?"
CUSTOMER = Customer(id=PHONE, phone=f"+{PHONE}", display_name="Somebody")
REPLY = "desk/1"


def received() -> MessageReceived:
    """Return a customer's message."""
    return MessageReceived(
        channel="paper", account="sales", message_id="m1", customer=CUSTOMER, content=Text(text=WORDS), sent_at=NOON, received_at=NOON
    )


def requested(permission: Permission = Permission.FREE_FORM) -> SendRequested:
    """Return the send of the reply."""
    return SendRequested(
        send_id="s1",
        reply_id=REPLY,
        channel="paper",
        account="sales",
        to=CUSTOMER,
        permission=permission,
        content=Text(text="x"),
        lane=Lane.ANSWER,
    )


def approved() -> ReplyApproved:
    """Return the approval of the reply."""
    return ReplyApproved(conversation_id="c1", reply_id=REPLY, author=AUTHOR, content=Text(text="x"), epoch=1)


def event(data: EventData, name: str = "e", cause: str | None = None) -> Event[Any]:
    """Return `data` in an envelope of the thread."""
    return new_event(data, event_id=name, source="parley/test", subject=THREAD, time=NOON, causationid=cause)


def found(data: EventData, name: str, *, offset: int, written: int, cause: str | None = None) -> Found:
    """Return an event on its topic, written so many milliseconds after noon."""
    topic: Topic = next(topic for topic in TOPICS if type(data) in topic.models)
    one = event(data, name, cause)
    return Found(Record(topic, 0, offset, THREAD.encode(), one.to_json(), written), one)


# --- order ----------------------------------------------------------------------------------------------------------------


def test_causes_stand_before_effects_whatever_the_clocks_say() -> None:
    """The machine that wrote the effect was behind."""
    effect = found(approved(), "effect", offset=0, written=1, cause="cause")
    cause = found(Reply(author=AUTHOR, reply_id=REPLY, content=Text(text="x")), "cause", offset=0, written=5)
    assert in_order([effect, cause]) == [cause, effect]


def test_what_does_not_depend_on_each_other_goes_by_time() -> None:
    """Topics are merged by when their records were written."""
    first = found(received(), "a", offset=0, written=1)
    second = found(AddNote(author=AUTHOR, text="x"), "b", offset=0, written=2)
    assert in_order([second, first]) == [first, second]


@given(st.lists(st.tuples(st.sampled_from([INBOUND, COMMANDS, DELIVERIES]), st.integers(0, 5), st.integers(0, 12)), max_size=12))
def test_nothing_is_lost_and_every_partition_keeps_its_order(rows: list[tuple[Topic, int, int]]) -> None:
    """Whatever names whatever as its cause, circles included."""
    samples: dict[Topic, EventData] = {
        INBOUND: received(),
        COMMANDS: AddNote(author=AUTHOR, text="x"),
        DELIVERIES: MessageSent(message_id="m", at=NOON),
    }
    given_rows = [
        found(samples[topic], f"e{number}", offset=number, written=written, cause=f"e{cause}")
        for number, (topic, written, cause) in enumerate(rows)
    ]
    ordered = in_order(given_rows)
    assert sorted(one.record.offset for one in ordered) == list(range(len(rows)))
    circular = any(cause >= number for number, (_, _, cause) in enumerate(rows))
    for topic in samples:
        offsets = [one.record.offset for one in ordered if one.record.topic is topic]
        assert circular or offsets == sorted(offsets)


# --- fates ----------------------------------------------------------------------------------------------------------------

FAILURE = Failure(code="131000", class_=FailureClass.RETRY, explanation="busy")
ACCEPTED = SendAccepted(send_id="s1", message_id="m", at=NOON)
UNKNOWN = SendUnknown(send_id="s1", at=NOON, explanation="x")


@pytest.mark.parametrize(
    ("story", "state", "why"),
    [
        ([approved()], "approved", ""),
        ([ReplyRejected(reply_id=REPLY, author=AUTHOR, reason="stale_epoch", explanation="late")], "rejected", "stale_epoch"),
        ([approved(), SendWithheld(reply_id=REPLY, reason="opted_out", explanation="x")], "withheld", "opted_out"),
        ([requested()], "requested", ""),
        ([requested(), ACCEPTED], "accepted", ""),
        ([requested(), SendRefused(send_id="s1", failure=FAILURE, at=NOON, final=False)], "refused", "131000 retry, is tried again"),
        ([requested(), UNKNOWN], "unknown", "until the channel tells"),
        ([requested(), UNKNOWN, MessageSent(message_id="m", send_id="s1", at=NOON)], "sent", ""),
        ([requested(), ACCEPTED, MessageDelivered(message_id="m", at=NOON)], "delivered", ""),
        ([requested(), MessageRead(message_id="m", send_id="s1", at=NOON), ACCEPTED], "read", ""),
        ([requested(), ACCEPTED, MessageFailed(message_id="m", failure=FAILURE, at=NOON)], "failed", "131000 retry"),
        ([requested(), SendRefused(send_id="s1", failure=FAILURE, at=NOON, final=True), requested(Permission.TEMPLATE)], "requested", ""),
    ],
)
def test_an_answers_state_is_the_furthest_it_has_come(story: list[EventData], state: str, why: str) -> None:
    """Statuses that overtake each other change nothing; a second send of the same answer begins anew."""
    (fate,) = fates(event(data) for data in story)
    assert (fate.state, fate.why) == (state, why)


def test_statuses_of_others_are_no_answers() -> None:
    """A status of a message that nobody here sent tells nothing."""
    assert fates([event(MessageRead(message_id="of another app", at=NOON))]) == []


# --- what is shown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "who", "what"),
    [
        (ReactionChanged(message_id="m1", emoji=None, sent_at=NOON), "customer ***01", "to m1: taken back"),
        (MessageEdited(message_id="m1", content=Text(text="ab"), sent_at=NOON), "customer ***01", "m1: text, 2 characters"),
        (CustomerOptedOut(scope="marketing", sent_at=NOON), "customer ***01", "marketing"),
        (CustomerLeft(sent_at=NOON), "customer ***01", ""),
        (Transfer(author=AUTHOR, department="billing"), "agent:agent.one", "to billing"),
        (Assign(author=AUTHOR, agent="agent.two"), "agent:agent.one", "to agent.two"),
        (HandOff(author=AUTHOR, department="sales", language="pt"), "agent:agent.one", "department sales, language pt"),
        (SendTemplate(author=AUTHOR, reply_id=REPLY, purpose="come_back"), "agent:agent.one", "desk/1: come_back (any language)"),
        (SetAttribute(author=AUTHOR, name="order", value="77"), "agent:agent.one", "order = 2 characters"),
        (SetAttribute(author=AUTHOR, name="order"), "agent:agent.one", "order = nothing"),
        (MessageFailed(message_id="m9", failure=FAILURE, at=NOON), "channel", "m9: 131000 retry (busy)"),
        (MessageRead(message_id="m9", at=NOON), "customer", "m9"),
        (WorkWithdrawn(conversation_id="c1", thread=THREAD), "test", ""),
    ],
    ids=lambda value: type(value).NAME if isinstance(value, EventData) else None,
)
def test_events_are_told_in_words(data: EventData, who: str, what: str) -> None:
    """Who did what, without what was written."""
    assert (Teller().who(event(data)), Teller().what(event(data))) == (who, what)


def test_a_replay_is_told_as_one() -> None:
    """Whoever reads the story sees that an operator replayed the record."""
    assert Teller().what(event(AddNote(author=AUTHOR, text="x")).but(replayof="dead/1")).endswith("(a replay)")


def test_words_are_counted_unless_they_are_asked_for() -> None:
    """A terminal may be logged."""
    assert Teller().what(event(received())) == f"text, {len(WORDS)} characters on paper:sales"
    assert f"“{WORDS}”" in Teller(show_text=True).what(event(received()))
    secret = ConversationUpdated(conversation_id="c1", changes={"language": (None, "pt"), "attributes": ({}, {"order": "77"})})
    assert Teller().what(event(secret)) == "language none → pt, attributes changed"


def test_a_documents_texts_and_persons_are_hidden() -> None:
    """The JSON form shows no more than the lines do; names of agents and templates stay."""
    document = json.loads(event(received()).to_json())
    shown = json.dumps(Redactor(PHONE, texts=True, persons=True).of(document), ensure_ascii=False)
    assert PHONE not in shown
    assert WORDS not in shown
    assert "Somebody" not in shown
    assert HIDDEN in shown
    template = {"content": {"kind": "template", "name": "come_back"}, "author": {"kind": "agent", "id": "a", "name": "Desk"}}
    assert Redactor(PHONE, texts=True, persons=True).of(template) == template
    assert Redactor(PHONE, texts=False, persons=False).of(document) == document


def test_a_templates_name_is_told() -> None:
    """What was sent outside the window is named."""
    data = requested(Permission.TEMPLATE).but(content=Template(name="come_back", language="pt"))
    assert "template come_back (pt)" in Teller().what(event(data))


# --- on the broker --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def there(kafka_bootstrap: str) -> AsyncIterator[Installation]:
    """An installation with two threads on it."""
    async with installation(kafka_bootstrap) as made:
        await story(made)
        yield made


async def story(there: Installation) -> None:
    """Publish a thread's story, with noise around it."""
    old = received().but(sent_at=NOON - timedelta(hours=23))
    await there.publish(INBOUND, THREAD, old)
    other = Customer(id="351912000002", phone="+351912000002")
    await there.publish(INBOUND, OTHER, received().but(customer=other))
    appended = MessageAppended(conversation_id="c1", position=1, direction="in", message_id="m1", content=Text(text=WORDS), sent_at=NOON)
    await there.publish(CONVERSATIONS, THREAD, appended)
    await there.publish(WORK, "customers", WorkOffered(conversation_id="c1", thread=THREAD, language="pt"))
    await there.publish(WORK, "customers", WorkOffered(conversation_id="c2", thread=OTHER, language="is"))
    await there.publish(AGENTS, "customers", AgentSeen(agent="agent.one"), WorkAccepted(agent="agent.one", conversation_id="c1"))
    await there.publish(COMMANDS, THREAD, Reply(author=AUTHOR, reply_id=REPLY, content=Text(text="x")))
    await there.publish(CONVERSATIONS, THREAD, approved())
    await there.publish(SENDS, THREAD, requested())
    await there.publish(DELIVERIES, THREAD, SendAccepted(send_id="s1", message_id="m9", at=NOON))


def test_an_answer_under_no_epoch_names_none() -> None:
    """An integrator need not say under which ownership it answers."""
    for epoch, told in ((None, "r1: text, 1 characters"), (3, "r1 (epoch 3): text, 1 characters")):
        reply = Reply(author=AUTHOR, reply_id="r1", content=Text(text="x"), epoch=epoch)
        event = new_event(reply, event_id="1", source="https://crm.example", subject=THREAD, time=NOON)
        assert Teller().what(event) == told


@pytest.mark.broker
async def test_a_thread_is_told_whole_and_alone(there: Installation) -> None:
    """Its events of all topics are there, the agents' work for it too, and nothing of others."""
    ran = await there.parley("trace", THREAD)
    assert ran.code == 0, ran.err
    told = [line.split()[2:4] for line in ran.out.splitlines()[2:10]]
    assert told == [
        ["inbound", "message.received"],
        ["conversations", "message.appended"],
        ["work", "work.offered"],
        ["agents", "work.accepted"],
        ["commands", "reply"],
        ["conversations", "reply.approved"],
        ["sends", "send.requested"],
        ["deliveries", "send.accepted"],
    ]
    assert "language is" not in ran.out
    assert "agent.seen" not in ran.out
    assert ["desk/1", "agent:agent.one", "free_form", "accepted"] in [line.split() for line in ran.out.splitlines()]


@pytest.mark.broker
async def test_neither_words_nor_phone_numbers_are_shown_unasked(there: Installation) -> None:
    """Both forms, lines and JSON, show them only with the option."""
    for form in ((), ("--json",)):
        plain = await there.parley("trace", THREAD, *form)
        assert PHONE not in plain.out
        assert WORDS not in plain.out
        full = await there.parley("trace", THREAD, "--show-text", "--show-phones", *form)
        assert PHONE in full.out
        assert WORDS in full.out


@pytest.mark.broker
async def test_a_part_that_only_one_thread_has_is_enough(there: Installation) -> None:
    """The last digits of a number find its thread; a part of several is refused with the choice, masked."""
    ran = await there.parley("trace", "12000001", "--json", "--show-phones")
    assert json.loads(ran.out)["thread"] == THREAD
    several = await there.parley("trace", "35191200000")
    assert several.code == 1
    assert "2 threads have that in their ids (paper:sales:***01, paper:sales:***02): write more of it" in several.err
    nothing = await there.parley("trace", "999999")
    assert nothing.code == 1
    assert "no thread" in nothing.err
    unknown = await there.parley("trace", "paper:sales:4")
    assert unknown.code == 1
    assert "nothing is on the topics about paper:sales:4" in unknown.err


@pytest.mark.broker
async def test_a_customer_is_found_by_the_phone_number_though_the_thread_goes_by_another_id(there: Installation) -> None:
    """People know the number; the channel's most stable id is what the thread has. What somebody wrote finds nobody."""
    customer = Customer(id="PT.782745", phone="+351933333333", business_scoped_id="PT.782745", username="somebody.pt")
    thread = "paper:sales:PT.782745"
    message = received().but(customer=customer, message_id="m7", content=Text(text="my number is 351944444444"))
    await there.publish(INBOUND, thread, message)
    for known in ("+351933333333", "33333333", "somebody.pt"):
        ran = await there.parley("trace", known, "--json", "--show-phones")
        assert json.loads(ran.out)["thread"] == thread
    assert (await there.parley("trace", "351944444444")).code == 1


@pytest.mark.broker
async def test_a_threads_dead_letters_belong_to_its_story(there: Installation) -> None:
    """The letter stands behind its record, and says what failed."""
    there.recorder.poison = {"two"}
    async with there.recording():
        await there.note("paper:sales:77", "one", "two")
        await there.until_count(dead_letters_of(READER), 1)
    ran = await there.parley("trace", "paper:sales:77")
    lines = [line.split()[2:4] for line in ran.out.splitlines()[2:]]
    assert lines.index(["dead.recorder", "dead_letter"]) > lines.index(["commands", "add_note"])
    assert "ZeroDivisionError" in ran.out
    assert "1 dead letters" in ran.err


@pytest.mark.broker
def test_a_prefix_without_topics_is_told(kafka_bootstrap: str) -> None:
    """A wrong prefix is not taken for an empty story."""
    ran = parley("trace", "1", "--bootstrap", kafka_bootstrap, "--prefix", "nobody.")
    assert ran.code == 1
    assert "is --prefix right" in ran.err
