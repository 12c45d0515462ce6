"""When the bot may speak: as owner, under the epoch it was given, once per message, whatever the order of events."""

from __future__ import annotations

from typing import Any

import pytest

from shared.events.commands import HandOff, Reply
from shared.events.conversations import MessageAppended, MessageChanged, NoteAdded, ReplyApproved
from shared.events.shapes import Location, Text
from tests.services.bot.bot_driver import AGENT, BOT, NOON, Driver, hand_off_in, kinds, said
from tests.services.bot.bot_house import CENTRE


@pytest.mark.parametrize("owner", ["queue", "agent:desk", "nobody"])
def test_the_bot_is_silent_while_others_answer(owner: str) -> None:
    """A message that came meanwhile is not answered later either."""
    driver = Driver(CENTRE)
    driver.opens()
    driver.owned_by(owner)
    assert driver.writes("a person") == []
    assert driver.owned_by("bot", epoch=2) == []
    assert said(driver.writes("hello")) == "Hello.\n\nI am a bot.\n\nChoose."


def test_after_asking_for_people_the_bot_is_silent() -> None:
    """Between its hand-off and the router's answer it says nothing; given back, it answers under the new epoch."""
    driver = Driver(CENTRE).begins()
    driver.writes("a person")
    assert driver.writes("when open") == []
    driver.owned_by("queue", epoch=2)
    driver.owned_by("bot", epoch=3)
    (reply,) = driver.writes("when open")
    assert isinstance(reply, Reply)
    assert reply.epoch == 3
    assert said([reply]) == "At nine."


def test_what_was_refused_is_counted_and_not_repeated() -> None:
    """A refused hand-off lets the bot go on; a refused reply of its own is counted; those of others are not its business."""
    driver = Driver(CENTRE).begins()
    driver.writes("a person")
    assert driver.refuses_command("close") == []
    assert driver.writes("when open") == []
    assert driver.refuses_command("hand_off") == []
    assert driver.refuses_reply() == []
    assert said(driver.writes("when open")) == "At nine."
    driver.refuses_command("hand_off", AGENT)
    driver.refuses_reply(AGENT)
    assert (driver.known.rejected_commands, driver.known.rejected_replies) == (2, 1)


def test_a_message_that_came_before_its_owner_is_answered_then() -> None:
    """The router's events about one message may come in another order: the answer waits for the epoch."""
    driver = Driver(CENTRE)
    driver.opens()
    assert driver.writes("when open") == []
    (reply,) = driver.owned_by(epoch=5)
    assert isinstance(reply, Reply)
    assert reply.epoch == 5
    assert driver.owned_by("bot", epoch=6) == []


def test_an_old_change_of_owner_changes_nothing() -> None:
    """An epoch at or below the known one is history."""
    driver = Driver(CENTRE)
    driver.opens()
    driver.owned_by("agent:desk", epoch=2)
    driver.owned_by("bot", epoch=1)
    assert driver.writes("when open") == []


def test_a_repeated_change_of_owner_does_not_begin_anew() -> None:
    """The same epoch again leaves the flow, and a hand-off that is under way, as they are."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello")
    driver.taps("menu/listen")
    driver.owned_by()
    assert driver.known.step == "listen"
    driver.writes("a person")
    driver.owned_by()
    assert driver.writes("when open") == []


def test_a_message_is_answered_once() -> None:
    """A repeated or older position is settled."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello", position=3)
    assert driver.writes("when open", position=3) == []
    assert driver.writes("when open", position=2) == []


def test_a_message_that_was_overtaken_is_not_answered() -> None:
    """Its younger one was: the talk has gone on. A wish for a person counts all the same."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello")
    assert driver.writes("when open", late=True, minutes_ago=5) == []
    assert driver.writes(Location(latitude=1, longitude=1), late=True, minutes_ago=5) == []
    assert kinds(driver.writes("a person", late=True, minutes_ago=5)) == ["reply", "hand_off"]


def test_a_late_message_is_answered_where_nothing_was() -> None:
    """Late compared with the last conversation, but the first of this one."""
    assert said(Driver(CENTRE).begins().writes("when open", late=True, minutes_ago=5)).endswith("At nine.")


def test_an_account_without_a_flow_goes_to_people_at_once() -> None:
    """Also one that is not configured: nobody is left without an answer."""
    for account in ("silent", "unheard_of"):
        driver = Driver(CENTRE).begins(account=account)
        commands = driver.writes("hello")
        assert kinds(commands) == ["hand_off"]
        assert (hand_off_in(commands).department, hand_off_in(commands).epoch) == ("sales", 1)
        assert driver.writes("hello?") == []


def test_without_a_flow_nothing_late_is_answered() -> None:
    """There is no telling what it asks for."""
    driver = Driver(CENTRE).begins(account="silent")
    driver.writes("hello")
    driver.owned_by("bot", epoch=2)
    driver.state = driver.known.model_copy(update={"answered_sent_at": NOON})
    assert driver.writes("a person", late=True) == []


def test_a_conversation_that_closed_begins_anew() -> None:
    """Greeted again, no attribute left; what was settled stays settled."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello")
    driver.taps("menu/order")
    driver.closes()
    assert driver.known.model_dump(exclude_defaults=True) == {"settled_position": 2}
    driver.opens(again=True)
    driver.owned_by(epoch=2)
    assert driver.writes("hello", position=2) == []
    assert said(driver.writes("hello", position=3)) == "Hello.\n\nI am a bot.\n\nChoose."


def test_a_conversation_that_is_open_does_not_begin_again() -> None:
    """A repeated opening leaves the flow where it is."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello")
    driver.taps("menu/listen")
    driver.opens()
    assert driver.known.step == "listen"


def test_another_conversation_of_the_thread_is_not_this_one() -> None:
    """Events of a closed or unknown conversation leave the state as it is, also where there is none."""
    driver = Driver(CENTRE)
    for known in (False, True):
        if known:
            driver.begins()
        before = driver.state
        event = MessageAppended(conversation_id="c9", position=1, direction="in", content=Text(text="hello"), sent_at=NOON)
        assert driver.play(event) == []
        assert driver.state == before


def test_what_does_not_concern_the_bot_changes_nothing() -> None:
    """Its own and others' replies, notes, edits: the bot acts on customers' messages alone."""
    driver = Driver(CENTRE).begins()
    before = driver.state
    text = Text(text="a person")
    assert driver.play(NoteAdded(conversation_id="c1", author=AGENT, text="x")) == []
    assert driver.play(MessageChanged(conversation_id="c1", message_id="m", change="edited", content=text, sent_at=NOON)) == []
    assert driver.play(ReplyApproved(conversation_id="c1", reply_id="r", author=BOT, content=text, epoch=1)) == []
    out = MessageAppended(conversation_id="c1", position=1, direction="out", content=text, sent_at=NOON, reply_id="r", author=AGENT)
    assert driver.play(out) == []
    assert driver.state == before


@pytest.mark.parametrize(
    ("changes", "language", "department"),
    [
        ({"language": "pt", "department": "support"}, "pt", "support"),
        ({"language": None, "tags": ["a"], "attributes": None}, "en", "sales"),
    ],
)
def test_changed_facts_are_learnt(changes: dict[str, Any], language: str, department: str) -> None:
    """Language and department count from then on; anything else is left alone."""
    driver = Driver(CENTRE).begins()
    driver.changes(**changes)
    (_, hand_off) = driver.writes("a person")
    assert isinstance(hand_off, HandOff)
    assert (hand_off.language, hand_off.department) == (language, department)


def test_the_bot_waits_for_no_timer() -> None:
    """It acts on events alone."""
    driver = Driver(CENTRE).begins()
    assert driver.bot.due(driver.known) is None
    assert (driver.bot.name, driver.bot.source) == ("bot", "parley/bot/bot")
    assert [topic.name for topic in driver.bot.inputs] == ["conversations"]
