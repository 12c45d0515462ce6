"""Replies: who may answer, what can be sent, and what a repeated or late one does."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.core.replies import REPLY_IDS_MAX
from shared.events.commands import Assign, Close, HandOff, Reply, SendTemplate
from shared.events.conversations import MessageAppended, ReplyApproved, ReplyRejected
from shared.events.inbound import CustomerLeft
from shared.events.shapes import Author, AuthorKind, Choice, Content, Location, Media, Menu, MenuOption, Template, Text, Unsupported
from shared.ids import count_digests
from tests.services.router.router_kit import ANA, BEN, BOT, CRM, NOON, THREAD, message, names, only, thread

CONVERSATION = f"{THREAD}/1"


def reply(author: Author, epoch: int | None = None, *, reply_id: str = "r1", content: Content | None = None, **more: Any) -> Reply:
    """Return a reply."""
    return Reply(author=author, epoch=epoch, reply_id=reply_id, content=content or Text(text="Hello"), **more)


def rejected(published: list[Any]) -> ReplyRejected:
    """Return the rejection, which is all that was published."""
    assert len(published) == 1
    assert isinstance(published[0], ReplyRejected)
    assert published[0].explanation.endswith(".")
    return published[0]


def test_approved_reply_takes_the_next_position() -> None:
    """The reply stands in the thread and goes on to sla, in this order."""
    one = thread()
    one.take(message())
    appended, approved = one.take(reply(BOT, 1))
    assert appended == MessageAppended(
        conversation_id=CONVERSATION,
        position=2,
        direction="out",
        reply_id="r1",
        author=BOT,
        content=Text(text="Hello"),
        sent_at=NOON,
    )
    assert approved == ReplyApproved(
        conversation_id=CONVERSATION, reply_id="r1", author=BOT, content=Text(text="Hello"), language="en", epoch=1
    )
    assert only(one.take(reply(BOT, 1, reply_id="r2", language="pt")), ReplyApproved).language == "pt"


def test_reply_in_an_unknown_thread_is_rejected() -> None:
    """Nobody wrote: there is no conversation, and no state is made for it."""
    one = thread()
    assert rejected(one.take(reply(CRM))).reason == "no_conversation"
    assert rejected(one.take(SendTemplate(author=CRM, reply_id="r2", name="welcome_back"))).conversation_id is None
    assert one.saved is None


@pytest.mark.parametrize(
    ("author", "epoch", "reason"),
    [
        (BOT, 1, "stale_epoch"),
        (BOT, 2, "not_owner"),
        (BOT, None, "not_owner"),
        (ANA, 1, "stale_epoch"),
        (ANA, 2, None),
        (ANA, None, None),
        (BEN, 2, "not_owner"),
        (BEN, None, "not_owner"),
        (CRM, 1, "stale_epoch"),
        (CRM, 2, None),
        (CRM, None, None),
        (Author(kind=AuthorKind.SYSTEM, id="survey"), None, None),
    ],
)
def test_only_the_owner_and_machines_with_a_current_epoch_answer(author: Author, epoch: int | None, reason: str | None) -> None:
    """After an agent took over (epoch 2), an old epoch is rejected whoever wrote, and bot and colleagues are silent."""
    one = thread()
    one.take(message())
    one.take(Assign(author=ANA, agent="ana"))
    published = one.take(reply(author, epoch))
    if reason is None:
        assert names(published) == ["message.appended", "reply.approved"]
    else:
        assert rejected(published).reason == reason


def test_bot_must_say_which_epoch_it_saw() -> None:
    """A bot without an epoch could talk over anybody."""
    one = thread()
    one.take(message())
    assert rejected(one.take(reply(BOT))).reason == "stale_epoch"


@pytest.mark.parametrize(("command", "owner"), [(HandOff(author=BOT), "the queue"), (Assign(author=BEN, agent="ben"), "agent ben")])
def test_explanation_names_the_owner(command: Any, owner: str) -> None:
    """A bot's reply after a hand-off is told who has the conversation now; so is a colleague."""
    one = thread()
    one.take(message())
    one.take(command)
    assert owner in rejected(one.take(reply(BOT, 1))).explanation
    assert owner in rejected(one.take(reply(ANA, reply_id="r2"))).explanation.lower()


def test_agent_is_told_to_take_over_from_the_bot() -> None:
    """Who owns it stands at the beginning, what to do at the end."""
    one = thread()
    one.take(message())
    assert rejected(one.take(reply(ANA))).explanation == "The bot has this conversation. Assign it to yourself to answer it."


def test_closed_conversation_takes_no_reply_unless_asked_to() -> None:
    """A last word may follow a close, of anyone who knows the epoch; it opens nothing."""
    one = thread()
    one.take(message())
    one.take(Close(author=BOT))
    assert rejected(one.take(reply(BOT, 2, reply_id="a"))).reason == "closed"
    stale = rejected(one.take(reply(BOT, 1, reply_id="b", keep_if_closed=True)))
    assert (stale.reason, "nobody" in stale.explanation) == ("stale_epoch", True)
    assert names(one.take(reply(BOT, 2, reply_id="c", keep_if_closed=True))) == ["message.appended", "reply.approved"]
    assert not one.state.is_open


def test_customer_who_left_gets_nothing() -> None:
    """Nobody can answer until they write again."""
    one = thread()
    one.take(message(number=1))
    one.take(CustomerLeft(sent_at=NOON))
    assert rejected(one.take(reply(BOT, 1, reply_id="a"))).reason == "left"
    one.take(message(number=2))
    assert names(one.take(reply(BOT, 1, reply_id="b"))) == ["message.appended", "reply.approved"]


def test_first_verdict_on_a_reply_stands() -> None:
    """A command repeated under another event id does nothing, whether it was approved or rejected."""
    one = thread()
    one.take(message())
    one.take(reply(BOT, 1))
    assert one.take(reply(BOT, 1)) == []
    one.take(reply(ANA, reply_id="r2"))
    one.take(Assign(author=ANA, agent="ana"))
    assert one.take(reply(ANA, reply_id="r2")) == []
    assert one.take(SendTemplate(author=ANA, reply_id="r2", name="welcome_back")) == []


def test_memory_of_verdicts_is_bounded() -> None:
    """The oldest verdicts are forgotten."""
    one = thread()
    one.take(message())
    for number in range(REPLY_IDS_MAX + 5):
        one.take(reply(BOT, 1, reply_id=f"r{number}"))
    assert count_digests(one.state.reply_ids) == REPLY_IDS_MAX


@pytest.mark.parametrize(
    ("content", "accepted"),
    [
        (Text(text=" \n"), False),
        (Menu(text="", options=(MenuOption(choice_id="1", title="One"),)), False),
        (Menu(text="Which?", options=(MenuOption(choice_id="1", title="One"),)), True),
        (Media(media_kind="image"), False),
        (Media(media_kind="image", media_id="17"), True),
        (Media(media_kind="image", url="https://example.org/a.png"), True),
        (Location(latitude=1, longitude=2), True),
        (Choice(choice_id="1", via="button"), False),
        (Unsupported(raw_kind="poll"), False),
    ],
)
def test_only_what_can_be_sent_is_approved(content: Content, *, accepted: bool) -> None:
    """What no channel could send is refused here, with the reason."""
    one = thread()
    one.take(message())
    published = one.take(reply(BOT, 1, content=content))
    assert accepted or rejected(published).reason == "invalid"
    assert accepted is (names(published) == ["message.appended", "reply.approved"])


def template(**asked: Any) -> SendTemplate:
    """Return a command to send a template."""
    return SendTemplate(author=CRM, reply_id="t1", **asked)


@pytest.mark.parametrize(
    ("account", "asked", "expected"),
    [
        ("1", {"name": "welcome_back"}, Template(name="welcome_back", language="en")),
        ("1", {"purpose": "come_back", "language": "lv"}, Template(name="welcome_back", language="lv")),
        ("1", {"purpose": "come_back", "language": "zh"}, Template(name="welcome_back", language="en")),
        ("2", {"purpose": "come_back"}, Template(name="welcome_back", language="en")),
        ("2", {"purpose": "invoice", "parameters": ("17",)}, Template(name="invoice_ready", language="pt", parameters=("17",))),
        ("2", {"name": "invoice_ready", "language": "pt-BR", "parameters": ("17",)}, None),
    ],
)
def test_template_is_found_by_name_or_purpose(account: str, asked: dict[str, Any], expected: Template | None) -> None:
    """In the language asked for, else the conversation's, else the fall-back; the approved tag is what is sent."""
    one = thread(key=f"chat:{account}:customer")
    one.take(message(account=account))
    approved = only(one.take(template(**asked)), ReplyApproved)
    assert approved.content == (expected or Template(name="invoice_ready", language="pt", parameters=("17",)))
    assert approved.language == approved.content.language


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "its name, or what it is for"),
        ({"name": "welcome_back", "parameters": ("x",)}, "takes 0 parameters; 1 were given"),
        ({"purpose": "invoice", "language": "pt"}, "for invoice is approved for this account in pt or en"),
        (
            {"name": "welcome_back", "buttons": ({"index": 0, "kind": "url", "value": "x"},)},
            "has 0 buttons; there is none with the index 0",
        ),
        ({"name": "unheard_of"}, "called unheard_of is approved for this account in en"),
    ],
)
def test_template_that_cannot_be_sent_is_explained(asked: dict[str, Any], words: str) -> None:
    """What was looked for, and where, stands in the explanation."""
    one = thread()
    one.take(message())
    refusal = rejected(one.take(template(**asked)))
    assert refusal.reason == "invalid"
    assert words in refusal.explanation


def test_template_obeys_ownership_like_a_reply() -> None:
    """A stale epoch is a stale epoch."""
    one = thread()
    one.take(message())
    one.take(HandOff(author=BOT))
    assert rejected(one.take(SendTemplate(author=BOT, epoch=1, reply_id="t", name="welcome_back"))).reason == "stale_epoch"
