"""What the bot answers, message by message."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from services.bot.core.ports import Shift
from services.bot.core.turn import ATTRIBUTE_CHARACTERS_MAX, ATTRIBUTES_MAX, STEPS_PER_TURN_MAX, SUMMARY_CHARACTERS_MAX
from shared.contact_centre.models import ContactCentre
from shared.events.commands import Reply, SetAttribute, Tag
from shared.events.shapes import Contacts, Content, Form, Location, Media, Order, Unsupported
from tests.services.bot.bot_driver import NOON, Driver, close_in, hand_off_in, kinds, options, said
from tests.services.bot.bot_house import CENTRE, HOUSE

STICKER = Media(media_kind="sticker", media_id="s")
PICTURE = Media(media_kind="image", media_id="i")


def at_the_menu() -> Driver:
    """Return a conversation in which the bot has greeted and offered its menu."""
    driver = Driver(CENTRE).begins()
    driver.writes("hello")
    return driver


def test_the_first_message_is_greeted_in_one_reply() -> None:
    """The channel charges per message: greeting, disclosure and menu are one reply, with the options to tap."""
    commands = Driver(CENTRE).begins().writes("hello")
    assert kinds(commands) == ["reply"]
    assert said(commands) == "Hello.\n\nI am a bot.\n\nChoose."
    assert options(commands) == ["Order", "Ask", "Leave", "Human", "News"]


def test_a_question_as_first_message_is_answered_at_once() -> None:
    """Greeting, disclosure and the answer are one reply; the menu comes when something is not understood."""
    driver = Driver(CENTRE).begins()
    assert said(driver.writes("when open")) == "Hello.\n\nI am a bot.\n\nAt nine."
    assert said(driver.writes("when open")) == "At nine."
    assert said(driver.writes("hm")) == "Choose."


def test_the_bot_speaks_the_conversations_language() -> None:
    """As the router says it, changed on the way, with or without a region; a missing text falls back."""
    driver = Driver(CENTRE).begins(language="pt-BR")
    assert said(driver.writes("oi")) == "Olá.\n\nSou um robô.\n\nEscolha."
    driver.changes(language="pt")
    assert said(driver.writes("quando")) == "Às nove."
    assert said(driver.taps("menu/listen")) == "Ask me."


@pytest.mark.parametrize(("account", "greeting"), [("portuguese", "Olá."), ("main", "Hello.")])
def test_an_unknown_language_is_the_accounts_or_the_fallback(account: str, greeting: str) -> None:
    """Until the router knows the language, the account's counts, then the house's."""
    commands = Driver(CENTRE).begins(language=None, account=account).writes("hello")
    assert said(commands).startswith(greeting)


@pytest.mark.parametrize("written", ["1", "Order"])
def test_an_option_can_be_written(written: str) -> None:
    """Its number or its title do the same as a tap."""
    assert said(at_the_menu().writes(written)) == "Number?"


def test_an_option_of_an_older_menu_can_be_tapped() -> None:
    """Menus stay on the customer's screen: a tap counts wherever the flow is."""
    driver = at_the_menu()
    driver.taps("menu/order")
    assert said(driver.taps("menu/listen")) == "Ask me."


def test_a_tap_on_something_unknown_counts_as_its_title() -> None:
    """A button of a template that the flow does not know is read like words."""
    assert said(at_the_menu().taps("template/7", "when open")) == "At nine."


def test_an_answer_fills_the_attribute_and_the_flow_goes_on() -> None:
    """The order number is kept, the conversation is marked, and the condition chooses; marks come before the reply."""
    driver = at_the_menu()
    driver.taps("menu/order")
    commands = driver.writes("1")
    assert kinds(commands) == ["set_attribute", "tag", "set_attribute", "reply"]
    number, tag, topic, _ = commands
    assert isinstance(number, SetAttribute)
    assert isinstance(tag, Tag)
    assert isinstance(topic, SetAttribute)
    assert (number.name, number.value, tag.tag, topic.name, topic.value) == ("number", "1", "order", "topic", "order")
    assert said(commands) == "The first."
    assert driver.known.step is None


def test_a_condition_that_does_not_hold_leads_elsewhere() -> None:
    """Another number goes to support, with what the customer said in the summary."""
    driver = at_the_menu()
    driver.taps("menu/order")
    commands = driver.writes("42")
    assert said(commands) == "Connecting."
    hand_off = hand_off_in(commands)
    assert (hand_off.department, hand_off.language) == ("support", "en")
    assert hand_off.summary == "The customer came to the end of the flow.\nnumber: 42\ntopic: order\nLast message: 42"


def test_an_answer_may_be_said_on_the_way() -> None:
    """A text and the menu it leads to are one reply."""
    assert said(at_the_menu().taps("menu/news")) == "No news.\n\nChoose."


def test_goodbye_is_answered_and_closes() -> None:
    """The closing and the command, under the same epoch."""
    commands = at_the_menu().writes("bye")
    assert said(commands) == "Goodbye."
    assert (close_in(commands).reason, close_in(commands).epoch) == ("goodbye", 1)


def test_goodbye_is_an_answer_where_the_bot_asked() -> None:
    """A question takes what is said."""
    driver = at_the_menu()
    driver.taps("menu/order")
    assert "set_attribute" in kinds(driver.writes("bye"))


def test_a_flow_can_close() -> None:
    """With the flow's closing, or with words of its own."""
    commands = at_the_menu().taps("menu/leave")
    assert said(commands) == "Goodbye."
    assert close_in(commands).reason == "end of the flow"
    assert said(Driver(CENTRE, shift=Shift(staffed=False)).begins(account="bare").writes("x")) == "Not now."


def test_who_asks_for_a_person_is_handed_over() -> None:
    """At any step, in the first message too: a reply that says so, then the hand-off, under one epoch."""
    for driver in (Driver(CENTRE).begins(), at_the_menu()):
        commands = driver.writes("a person please")
        assert kinds(commands) == ["reply", "hand_off"]
        assert said(commands).endswith("Connecting.")
        hand_off = hand_off_in(commands)
        assert (hand_off.department, hand_off.epoch) == ("sales", 1)
        assert hand_off.summary == "The customer asked for a person.\nLast message: a person please"
        assert driver.staff.asked == [("sales", "en")]


@pytest.mark.parametrize(
    ("language", "back", "expected"),
    [
        ("pt", NOON + timedelta(days=1), "De volta na terça 14:00 Riga."),
        ("pt-BR", NOON + timedelta(days=5, hours=23), "De volta no domingo 13:00 Riga."),
        ("pt", NOON + timedelta(days=6), "De volta 2026-11-29 14:00 Riga."),
        ("en", NOON + timedelta(days=1), "Back 2026-11-24 14:00 Riga."),
        ("en", None, "Nobody here."),
    ],
)
def test_when_nobody_is_there_the_customer_hears_when(language: str, back: datetime | None, expected: str) -> None:
    """The weekday while it is unmistakable, else the date, in the time of the place; the conversation waits in the queue."""
    place = timezone(timedelta(hours=2))
    shift = Shift(staffed=False, back=back.astimezone(place) if back else None, place="Riga" if back else "")
    commands = Driver(CENTRE, shift=shift).begins(language=language).writes("a person")
    assert said(commands).endswith(expected)
    assert kinds(commands) == ["reply", "hand_off"]


def test_a_house_without_away_texts_hands_over_in_silence() -> None:
    """Nothing to say is no reply, and the customer still gets into the queue."""
    driver = Driver(CENTRE, shift=Shift(staffed=False, back=NOON)).begins(account="bare")
    assert kinds(driver.writes("a person")) == ["hand_off"]


def test_a_hand_off_can_have_its_own_words() -> None:
    """They are said whoever is there."""
    assert said(at_the_menu().taps("menu/person")) == "My own words."


def test_after_two_misses_people_take_over() -> None:
    """The first is admitted, with the menu again; the second hands over, with the number in the summary."""
    driver = at_the_menu()
    first = driver.writes("hm")
    assert said(first) == "Pardon?\n\nChoose."
    second = driver.writes("hm?")
    assert said(second) == "Connecting."
    assert (hand_off_in(second).summary or "").startswith("The bot did not understand the customer (2 times).")


def test_something_understood_begins_the_count_anew() -> None:
    """A question between two misses shows that the bot is of use."""
    driver = at_the_menu()
    driver.writes("hm")
    driver.writes("when open")
    assert said(driver.writes("hm")) == "Pardon?\n\nChoose."


def test_misses_may_lead_to_a_step() -> None:
    """Where the step says `otherwise`, that is where the last miss leads; the first is only admitted."""
    driver = at_the_menu()
    driver.taps("menu/listen")
    assert said(driver.writes("hm")) == "Pardon?"
    assert "close" in kinds(driver.writes("hm"))


def test_after_the_end_of_a_flow_the_bot_listens() -> None:
    """A question is answered; what is not understood counts, and brings the menu."""
    driver = at_the_menu()
    driver.taps("menu/order")
    driver.writes("1")
    assert said(driver.writes("when open")) == "At nine."
    assert said(driver.writes("hm")) == "Pardon?\n\nChoose."


@pytest.mark.parametrize(
    "content",
    [
        PICTURE,
        Media(media_kind="voice", media_id="v"),
        Media(media_kind="document", media_id="d", caption="my invoice"),
        Location(latitude=56.9, longitude=24.1),
        Contacts(contacts=()),
        Form(values={}),
        Order(catalog_id="c", items=(), text="bye"),
    ],
)
def test_what_only_a_person_can_read_goes_to_people(content: Content) -> None:
    """Pictures, voices, places, cards, forms and orders: at once, whatever words come with them."""
    commands = at_the_menu().writes(content)
    assert said(commands) == "Connecting."
    assert f"({content.kind})" in (hand_off_in(commands).summary or "")


def test_a_picture_with_a_question_is_answered() -> None:
    """The caption is read where the FAQ has the answer."""
    assert said(at_the_menu().writes(Media(media_kind="image", media_id="i", caption="when open"))) == "At nine."


def test_a_sticker_is_no_question() -> None:
    """It is greeted like any first message, and costs no reply later."""
    driver = Driver(CENTRE).begins()
    assert said(driver.writes(STICKER)).endswith("Choose.")
    assert driver.writes(STICKER) == []
    assert driver.known.misses == 0


def test_what_the_channel_does_not_hand_on_is_a_miss() -> None:
    """The bot says that it did not understand."""
    assert said(at_the_menu().writes(Unsupported(raw_kind="poll"))) == "Pardon?\n\nChoose."


def test_a_flow_that_spins_ends_with_people() -> None:
    """The loader refuses such a flow; the bot ends it all the same, after a bounded number of steps: three conditions and the rest."""
    driver = Driver(CENTRE).begins(account="bare", language="pt")
    commands = driver.writes("hello")
    assert said(commands).count("Round") == STEPS_PER_TURN_MAX - 3
    assert (hand_off_in(commands).summary or "").startswith("The flow came to no end.")


def test_conditions_see_shift_department_language_and_attributes() -> None:
    """Somebody is there, the department is another: an attribute that an integrator set decides."""
    driver = Driver(CENTRE).begins(account="bare", department="support")
    driver.changes(attributes={"vip": "yes", "count": 3})
    assert driver.writes("hello") == []
    assert (driver.known.step, driver.known.attributes) == ("listen", {"vip": "yes"})


def test_a_condition_can_ask_for_the_language() -> None:
    """English speakers of the right department without the attribute leave by the other way."""
    assert said(Driver(CENTRE).begins(account="bare").writes("hello")) == "Not now."


def test_a_step_that_the_configuration_lost_is_no_trap() -> None:
    """After a change of the flow the bot listens again."""
    driver = at_the_menu()
    driver.state = driver.known.model_copy(update={"step": "gone"})
    assert said(driver.writes("hm")) == "Pardon?\n\nChoose."


def test_a_step_may_lead_nowhere() -> None:
    """A reference to a step that does not exist ends the walk; the loader would have refused it."""
    flow = {**HOUSE["flows"]["main"], "start": "gone", "faq": []}
    centre = ContactCentre.model_validate({**HOUSE, "flows": {**HOUSE["flows"], "main": flow}})
    assert Driver(centre).begins().writes("hello") == []


def test_what_is_remembered_is_bounded() -> None:
    """Long answers are cut, old attributes give way, summaries end."""
    driver = Driver(CENTRE).begins()
    driver.changes(attributes={f"a{number}": "x" * 400 for number in range(ATTRIBUTES_MAX)})
    driver.taps("menu/order")
    commands = driver.writes("9" * 2000)
    assert len(driver.known.attributes["number"]) == ATTRIBUTE_CHARACTERS_MAX
    assert len(driver.known.attributes) == ATTRIBUTES_MAX
    assert len(hand_off_in(commands).summary or "") == SUMMARY_CHARACTERS_MAX


def test_a_reply_says_who_wrote_it_under_which_epoch_and_in_which_language() -> None:
    """And its id follows from the conversation and the message, so that the same decision has the same id."""
    driver = Driver(CENTRE)
    driver.opens(language="pt")
    driver.owned_by(epoch=7)
    (reply,) = driver.writes("hello")
    assert isinstance(reply, Reply)
    assert (reply.author.kind, reply.author.id, reply.author.name) == ("bot", "bot", "House")
    assert (reply.epoch, reply.language, reply.reply_id) == (7, "pt", "bot/c1/1/1")
    assert reply.content.kind == "menu"
