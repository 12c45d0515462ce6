"""What people and machines say about a conversation: notes, attributes, tags, language, priority."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.core.facts import ATTRIBUTES_MAX, TAGS_MAX
from services.router.state import ConversationState
from shared.events.commands import (
    AddNote,
    AskCsat,
    Close,
    Command,
    HandOff,
    PrivateReply,
    SetAttribute,
    SetLanguage,
    SetPriority,
    Tag,
    Untag,
)
from shared.events.conversations import CommandRejected, ConversationUpdated, NoteAdded
from shared.events.shapes import Text
from shared.events.work import WorkOffered
from tests.services.router.router_kit import ANA, BOT, CRM, THREAD, Driver, message, names, only, thread


@pytest.fixture
def one() -> Driver[ConversationState]:
    """Return a thread whose bot has its first conversation."""
    opened = thread()
    opened.take(message())
    return opened


def changes(published: list[Any]) -> dict[str, Any]:
    """Return the changes, which are all that was published."""
    assert names(published) == ["conversation.updated"]
    found: dict[str, Any] = published[0].changes
    return found


@pytest.mark.parametrize(
    "command",
    [
        AddNote(author=ANA, text="x"),
        SetAttribute(author=ANA, name="a", value="1"),
        Tag(author=ANA, tag="t"),
        Untag(author=ANA, tag="t"),
    ],
    ids=lambda command: command.NAME,
)
def test_nothing_can_be_said_about_no_conversation(command: Command) -> None:
    """The author is told so, and no state is made."""
    empty = thread()
    assert only(empty.take(command), CommandRejected).reason == "no_conversation"
    assert empty.saved is None


def test_note_is_added_to_an_open_and_to_a_closed_conversation(one: Driver[ConversationState]) -> None:
    """Colleagues write down what happened afterwards, too."""
    expected = NoteAdded(conversation_id=f"{THREAD}/1", author=ANA, text="Called back")
    assert one.take(AddNote(author=ANA, text="Called back")) == [expected]
    one.take(Close(author=BOT))
    assert one.take(AddNote(author=ANA, text="Called back")) == [expected]


def test_attribute_is_set_changed_and_forgotten(one: Driver[ConversationState]) -> None:
    """Only a real change is published; the next conversation begins without."""
    assert changes(one.take(SetAttribute(author=BOT, name="order", value="1"))) == {"attributes": ({}, {"order": "1"})}
    assert one.take(SetAttribute(author=BOT, name="order", value="1")) == []
    assert changes(one.take(SetAttribute(author=BOT, name="order"))) == {"attributes": ({"order": "1"}, {})}
    assert one.take(SetAttribute(author=BOT, name="order")) == []
    one.take(SetAttribute(author=BOT, name="order", value="2"))
    one.take(Close(author=BOT))
    one.take(message(number=2))
    assert one.state.attributes == {}


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("n" * 65, "x"), ("n", "v" * 1001)])
def test_attribute_that_is_too_long_is_refused(one: Driver[ConversationState], name: str, value: str) -> None:
    """A state stays small."""
    assert only(one.take(SetAttribute(author=BOT, name=name, value=value)), CommandRejected).reason == "invalid"


def test_attributes_and_tags_are_bounded(one: Driver[ConversationState]) -> None:
    """One more than allowed is refused; changing one that is there is not."""
    for number in range(ATTRIBUTES_MAX):
        one.take(SetAttribute(author=BOT, name=f"a{number}", value="1"))
    for number in range(TAGS_MAX):
        one.take(Tag(author=BOT, tag=f"t{number}"))
    assert "at most 64" in only(one.take(SetAttribute(author=BOT, name="b", value="1")), CommandRejected).explanation
    assert names(one.take(SetAttribute(author=BOT, name="a0", value="2"))) == ["conversation.updated"]
    assert "at most 32" in only(one.take(Tag(author=BOT, tag="u")), CommandRejected).explanation
    assert one.take(Tag(author=BOT, tag="t0")) == []


def test_tags_come_and_go(one: Driver[ConversationState]) -> None:
    """Each real change is published with the tags before and after."""
    assert changes(one.take(Tag(author=ANA, tag="vip"))) == {"tags": ([], ["vip"])}
    assert changes(one.take(Untag(author=ANA, tag="vip"))) == {"tags": (["vip"], [])}
    assert one.take(Untag(author=ANA, tag="vip")) == []
    assert only(one.take(Tag(author=ANA, tag="")), CommandRejected).reason == "invalid"


def test_language_set_by_somebody_is_settled() -> None:
    """What the customer writes afterwards is not guessed at any more; a region means its language."""
    one = thread(detect=lambda _text: ("lv", 0.6))
    one.take(message(number=1))
    assert changes(one.take(SetLanguage(author=ANA, language="pt-BR"))) == {"language": ("lv", "pt")}
    assert names(one.take(message(number=2))) == ["message.appended"]
    assert one.take(SetLanguage(author=ANA, language="pt")) == []


def test_language_set_while_waiting_is_a_new_offer(one: Driver[ConversationState]) -> None:
    """Dispatch looks for somebody who speaks it."""
    one.take(HandOff(author=BOT))
    assert only(one.take(SetLanguage(author=CRM, language="lv")), WorkOffered).language == "lv"


def test_language_that_nobody_configured_is_refused(one: Driver[ConversationState]) -> None:
    """The explanation names those that there are."""
    assert "en, pt, zh, lv" in only(one.take(SetLanguage(author=ANA, language="de")), CommandRejected).explanation


def test_priority_is_bounded(one: Driver[ConversationState]) -> None:
    """Setting what it is already publishes nothing."""
    assert only(one.take(SetPriority(author=ANA, priority=-1)), CommandRejected).reason == "invalid"
    assert one.take(SetPriority(author=ANA, priority=1)) == []
    assert only(one.take(SetPriority(author=ANA, priority=10)), ConversationUpdated).changes == {"priority": (1, 10)}


@pytest.mark.parametrize("command", [PrivateReply(author=ANA, comment_id="c", content=Text(text="x")), AskCsat(author=BOT)])
def test_what_the_channel_does_not_offer_is_said_so(one: Driver[ConversationState], command: Command) -> None:
    """The command is refused in words."""
    refusal = only(one.take(command), CommandRejected)
    assert refusal.reason == "not_available"
    assert "not available on this channel" in refusal.explanation
