"""The gate, as those who answer rely on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.sla.app import build_reducer
from shared.events.conversations import MessageChanged
from shared.events.sends import Lane, Permission, SendRequested
from shared.events.shapes import AuthorKind, Media, Reaction, Template, Text
from tests.services.sla.sla_world import DAY, FREE, HOUR, HUMAN, NOON, POLICIES, SECOND, TEMPLATES, World, contact_centre

WEEK = 7 * DAY
MARGIN = 120 * SECOND


@pytest.mark.parametrize(
    ("thread", "author", "after", "expected"),
    [
        ("chat:desk:anna", AuthorKind.BOT, DAY - MARGIN - SECOND, Permission.FREE_FORM),
        ("chat:desk:anna", AuthorKind.AGENT, DAY - MARGIN, Permission.TEMPLATE),
        ("page:desk:anna", AuthorKind.AGENT, DAY, Permission.HUMAN_AGENT),
        ("page:desk:anna", AuthorKind.AGENT, WEEK - MARGIN - SECOND, Permission.HUMAN_AGENT),
        ("page:desk:anna", AuthorKind.AGENT, WEEK - MARGIN, None),
        ("page:desk:anna", AuthorKind.BOT, DAY, None),
        ("web:desk:anna", AuthorKind.BOT, WEEK, Permission.FREE_FORM),
    ],
)
def test_a_reply_takes_the_freest_form_that_is_allowed(thread: str, author: AuthorKind, after: object, expected: Permission | None) -> None:
    """Free form with the safety margin to spare, then what is for people only, then the template, then nothing."""
    world = World(thread=thread)
    world.opens()
    world.customer_writes()
    world.now = NOON + after  # type: ignore[operator] # a timedelta, told apart by the table
    if expected is None:
        assert world.withheld(by=author).reason == "window_closed"
    else:
        assert world.requested(by=author).permission is expected


def test_a_send_says_exactly_what_goes_where_and_until_when() -> None:
    """Content, customer, account, the end of the window and the message it refers to are in the order."""
    world = World()
    world.opens()
    world.customer_writes()
    (send,) = world.replies("r1", reply_to="m1")
    assert isinstance(send, SendRequested)
    assert (send.channel, send.account, send.to.phone, send.reply_to) == ("chat", "desk", "+37120000000", "m1")
    assert (send.content, send.not_after, send.lane) == (Text(text="answer"), NOON + DAY, Lane.ANSWER)


def test_the_send_id_is_short_and_its_own_for_each_thread() -> None:
    """The same reply has the same id whenever it is computed; another thread's reply of the same name has another."""
    ids = set()
    for thread in ("chat:desk:anna", "chat:desk:bo", "chat:desk:anna"):
        world = World(thread=thread)
        world.customer_writes()
        ids.add(world.requested("reply-" + "x" * 400).send_id)
    assert len(ids) == 2
    assert all(len(send_id) <= 64 for send_id in ids)


@pytest.mark.parametrize(("language", "expected"), [("lv", "lv"), ("pt", "pt-BR"), ("pt-PT", "pt-BR"), ("is", "en"), (None, "en")], ids=str)
def test_the_template_speaks_the_conversations_language(language: str | None, expected: str) -> None:
    """The very language, else one of its family, else the fall-back of the contact centre."""
    world = World()
    world.opens(language=language)
    assert world.requested().content == Template(name="come_back", language=expected)


def test_the_template_goes_out_as_the_channel_knows_it() -> None:
    """Under the channel's own name and code, with the header on file, and it is still known as what it is."""
    on_file = {"body": "b", "code": "pt-BR", "name": "come_back_br", "header": {"kind": "image", "media_id": "7"}}
    templates = [TEMPLATES[0] | {"category": "marketing", "languages": {"lv": on_file}}]
    world = World(build_reducer(contact_centre(templates=templates), POLICIES))
    world.opens(language="lv")
    sent = world.requested()
    assert sent.content == Template(name="come_back_br", language="pt-BR", header=Media(media_kind="image", media_id="7"))
    assert isinstance(sent.content, Template)
    assert world.reducer.rules.is_marketing("chat", sent.content) is True


def test_late_answers_ask_the_customer_once_until_the_customer_writes() -> None:
    """The second is withheld with the reason; another approved template may still go out."""
    world = World(thread="chat:desk:anna")
    world.opens()
    world.customer_writes()
    world.pass_time(30 * DAY)
    assert world.requested("r1").permission is Permission.TEMPLATE
    world.pass_time(HOUR)
    withheld = world.withheld("r2")
    assert withheld.reason == "come_back_awaited"
    assert "The customer was asked at" in withheld.explanation
    assert [allowed.permission for allowed in withheld.allowed] == [Permission.TEMPLATE]
    assert world.requested("r3", content=Template(name="receipt", language="en")).permission is Permission.TEMPLATE
    world.customer_writes()
    assert world.requested("r4").permission is Permission.FREE_FORM
    world.pass_time(30 * DAY)
    assert world.requested("r5").permission is Permission.TEMPLATE


def test_an_act_that_opens_a_window_is_an_answer_to_the_question_too() -> None:
    """Where a reaction counts, the customer came back with it."""
    policy = replace(POLICIES["chat"], windows=(replace(FREE, opened_by=("message", "reaction")),))
    world = World(build_reducer(contact_centre(), {**POLICIES, "chat": policy}), thread="chat:desk:anna")
    world.opens()
    assert world.requested("r1").permission is Permission.TEMPLATE
    world.pass_time(HOUR)
    world.tell(MessageChanged(conversation_id="c1", message_id="m1", change="reaction", emoji="👍", sent_at=world.now))
    world.pass_time(30 * DAY)
    assert world.requested("r2").permission is Permission.TEMPLATE


def test_the_replys_language_counts_where_the_conversation_has_none() -> None:
    """What the author wrote in is the best guess then."""
    world = World()
    (send,) = world.replies(language="lv")
    assert isinstance(send, SendRequested)
    assert send.content == Template(name="come_back", language="lv")


def test_without_a_template_the_author_is_told_why_and_what_would_be_allowed() -> None:
    """The account has none: the explanation names the moment and the languages, the list what can still be done."""
    world = World(thread="chat:press:anna")
    world.opens(language="is")
    world.customer_writes()
    world.pass_time(DAY)
    withheld = world.withheld()
    assert withheld.reason == "window_closed_no_template"
    assert "closed at 2026-11-24 12:00 UTC" in withheld.explanation
    assert "is or en" in withheld.explanation
    assert [(allowed.permission, allowed.until) for allowed in withheld.allowed] == [(Permission.TEMPLATE, None)]


def test_a_bot_is_told_that_a_person_could_answer() -> None:
    """What is allowed for others is in the list, with its end."""
    world = World(thread="page:desk:anna")
    world.customer_writes()
    world.pass_time(DAY)
    withheld = world.withheld(by=AuthorKind.BOT)
    assert [(allowed.permission, allowed.until) for allowed in withheld.allowed] == [(Permission.HUMAN_AGENT, NOON + WEEK)]


def test_the_words_fit_the_reason() -> None:
    """Never written, about to close, and closed by the channel's word are told apart."""
    world = World(thread="page:desk:anna")
    assert "has not written yet" in world.withheld("r1").explanation
    world.customer_writes()
    world.now += DAY - SECOND
    assert "closes at 2026-11-24 12:00 UTC, too soon" in world.withheld("r2", by=AuthorKind.BOT).explanation


def test_an_abolished_permission_is_of_no_use_though_open() -> None:
    """A vendor ends a tag on a day: from then on it is not used, whatever it promised before."""
    until = replace(HUMAN, valid_until=NOON + 2 * DAY)
    policies = {**POLICIES, "page": replace(POLICIES["page"], windows=(FREE, until))}
    world = World(build_reducer(contact_centre(), policies), thread="page:desk:anna")
    world.customer_writes()
    world.pass_time(DAY)
    assert world.requested("r1").permission is Permission.HUMAN_AGENT
    world.pass_time(DAY)
    assert world.withheld("r2").reason == "window_closed"


def test_a_permission_for_people_is_refused_to_bots_even_where_the_policy_forgets_to() -> None:
    """A row without authors does not open it to machines."""
    policies = {"page": replace(POLICIES["page"], windows=(replace(HUMAN, authors=("agent", "bot")),))}
    world = World(build_reducer(contact_centre(), policies), thread="page:desk:anna")
    world.customer_writes()
    assert world.withheld(by=AuthorKind.BOT).reason == "window_closed"


@pytest.mark.parametrize(
    ("template", "author", "lane"),
    [
        ("offer", AuthorKind.AGENT, Lane.BULK),
        ("receipt", AuthorKind.AGENT, Lane.ANSWER),
        ("receipt", AuthorKind.INTEGRATION, Lane.AUTOMATIC),
        ("strange", AuthorKind.SYSTEM, Lane.AUTOMATIC),
    ],
)
def test_a_template_goes_out_at_any_time_in_its_lane(template: str, author: AuthorKind, lane: Lane) -> None:
    """It needs no window; marketing waits behind everything else."""
    world = World()
    send = world.requested(by=author, content=Template(name=template, language="en"))
    assert (send.permission, send.lane, send.not_after) == (Permission.TEMPLATE, lane, None)


def test_a_template_on_a_channel_without_templates_is_withheld() -> None:
    """The author is told to write a text, and that this is allowed."""
    world = World(thread="web:desk:anna")
    withheld = world.withheld(content=Template(name="receipt", language="en"))
    assert withheld.reason == "templates_unknown"
    assert [allowed.permission for allowed in withheld.allowed] == [Permission.FREE_FORM]


def test_a_reaction_has_no_stand_in() -> None:
    """Outside the window it is withheld; a template in its place would be absurd."""
    world = World()
    assert world.withheld(content=Reaction(message_id="m1", emoji="👍")).reason == "window_closed"


def test_who_opted_out_of_everything_gets_nothing() -> None:
    """Not even a template, and nothing is said to be allowed, until the customer takes it back."""
    world = World()
    world.opens()
    world.customer_writes()
    world.updated(opted_out=["all"])
    withheld = world.withheld("r1")
    assert (withheld.reason, withheld.allowed) == ("opted_out", ())
    world.updated(opted_out=[])
    assert world.requested("r2").permission is Permission.FREE_FORM


def test_who_opted_out_of_marketing_still_gets_answers() -> None:
    """Marketing and templates of unknown category are withheld; answers and utility templates pass."""
    world = World()
    world.opens()
    world.customer_writes()
    world.updated(opted_out="marketing")
    assert world.withheld("r1", content=Template(name="offer", language="en")).reason == "opted_out"
    assert world.withheld("r2", content=Template(name="strange", language="en")).reason == "opted_out"
    assert world.requested("r3", content=Template(name="receipt", language="en")).permission is Permission.TEMPLATE
    assert world.requested("r4").permission is Permission.FREE_FORM


def test_a_come_back_template_of_category_marketing_obeys_the_opt_out() -> None:
    """It goes out in the bulk lane, and not at all to those who want no marketing."""
    templates = [TEMPLATES[0] | {"category": "marketing", "accounts": []}]
    world = World(build_reducer(contact_centre(templates=templates), POLICIES))
    world.opens()
    assert world.requested("r1").lane is Lane.BULK
    world.updated(opted_out=["marketing"])
    assert world.withheld("r2").reason == "window_closed_no_template"


def test_who_left_gets_nothing_until_they_write_again() -> None:
    """Leaving, or blocking us, ends with the customer's next message, not with an older one that comes late."""
    world = World()
    world.opens()
    world.updated(left=True)
    world.updated(left=True)
    assert world.withheld("r1").reason == "blocked"
    world.pass_time(SECOND)
    world.customer_writes(ago=HOUR)
    assert world.withheld("r2").reason == "blocked"
    world.customer_writes()
    assert world.requested("r3").permission is Permission.FREE_FORM
    world.updated(left=True)
    world.updated(left=False)
    assert world.requested("r4").permission is Permission.FREE_FORM


def test_a_channel_that_is_not_installed_sends_nothing() -> None:
    """The author is told which one is missing."""
    world = World(thread="fax:desk:anna")
    withheld = world.withheld()
    assert withheld.reason == "channel_unknown"
    assert "fax" in withheld.explanation


def test_a_reply_is_decided_on_once() -> None:
    """The same approval told again says nothing."""
    world = World()
    world.customer_writes()
    world.requested("r1")
    assert world.replies("r1") == []


def test_a_closed_windows_answer_does_not_name_one_as_open() -> None:
    """Inside the safety margin free form is not listed as allowed either."""
    world = World(thread="page:desk:anna")
    world.customer_writes()
    world.now += DAY - SECOND
    withheld = world.withheld(by=AuthorKind.BOT)
    assert Permission.FREE_FORM not in {allowed.permission for allowed in withheld.allowed}
    assert world.requested("r2").permission is Permission.HUMAN_AGENT
