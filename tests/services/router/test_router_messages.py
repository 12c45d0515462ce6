"""Messages of customers: opening, appending, changing, and who the customer is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.router.core.messages import MESSAGE_IDS_MAX
from services.router.state import ConversationChanges, ConversationState
from shared.events.commands import Close, HandOff, Snooze
from shared.events.conversations import ConversationOpened, ConversationUpdated, MessageAppended, MessageChanged, OwnerChanged
from shared.events.inbound import (
    CommentReceived,
    CustomerIdentified,
    CustomerLeft,
    CustomerOptedIn,
    CustomerOptedOut,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    ThreadReferred,
)
from shared.events.shapes import Choice, Customer, Origin, Text
from shared.events.work import WorkOffered
from shared.ids import count_digests
from tests.services.router.router_kit import BOT, CRM, NOON, THREAD, message, names, only, thread

AD = Origin(kind="ad", id="17", title="Our best price")
LINK = Origin(kind="link", payload="billing")


def test_first_message_opens_a_conversation_that_the_bot_owns() -> None:
    """Opened, given to the bot under epoch 1, and appended at position 1, in this order and under the thread's key."""
    one = thread()
    opened, owner, appended = one.take(message())
    assert opened == ConversationOpened(
        conversation_id=f"{THREAD}/1",
        channel="chat",
        account="1",
        customer=Customer(id="customer"),
        language="en",
        department="sales",
        priority=1,
    )
    assert owner == OwnerChanged(conversation_id=f"{THREAD}/1", from_="nobody", to="bot", epoch=1, reason="opened")
    assert appended == MessageAppended(
        conversation_id=f"{THREAD}/1", position=1, direction="in", message_id="m1", content=Text(text="Hello"), sent_at=NOON
    )
    assert one.routed() == [("conversations", THREAD)] * 3


def test_positions_have_no_gap_over_all_conversations_of_a_thread() -> None:
    """A close does not start positions again, and the epoch goes on growing."""
    one = thread()
    one.take(message(number=1))
    one.take(message(number=2))
    one.take(Close(author=BOT))
    published = one.take(message(number=3))
    assert only(published, MessageAppended).position == 3
    assert only(published, ConversationOpened).conversation_id == f"{THREAD}/2"
    assert only(published, OwnerChanged).epoch == 3


def test_message_delivered_again_under_another_event_is_not_appended_twice() -> None:
    """The channel's message id counts, for the last messages of the thread."""
    one = thread()
    for number in range(MESSAGE_IDS_MAX + 1):
        one.take(message(number=number))
    before = one.state
    assert one.take(message(number=MESSAGE_IDS_MAX)) == []
    assert one.state == before
    assert count_digests(before.message_ids) == MESSAGE_IDS_MAX
    assert names(one.take(message(number=0))) == ["message.appended"]


def test_message_older_than_one_that_was_appended_is_late() -> None:
    """Provider time decides; a message of the same moment is not late."""
    one = thread()
    flags = [only(one.take(message(number=number, minute=minute)), MessageAppended).late for number, minute in enumerate((5, 5, 4, 5, 6))]
    assert flags == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (MessageEdited(message_id="m1", content=Text(text="Hi"), sent_at=NOON), {"change": "edited", "content": Text(text="Hi")}),
        (MessageDeleted(message_id="m1", sent_at=NOON), {"change": "deleted"}),
        (ReactionChanged(message_id="m1", emoji="👍", sent_at=NOON), {"change": "reaction", "emoji": "👍"}),
        (ReactionChanged(message_id="m1", emoji=None, sent_at=NOON), {"change": "reaction"}),
    ],
)
def test_changes_of_messages_take_no_position(data: Any, expected: dict[str, Any]) -> None:
    """Edits, deletions and reactions are published, and nothing else happens."""
    one = thread()
    one.take(message())
    before = one.state
    assert one.take(data) == [MessageChanged(conversation_id=f"{THREAD}/1", message_id="m1", sent_at=NOON, **expected)]
    assert one.state == before


def test_change_in_a_thread_without_messages_is_of_no_interest() -> None:
    """There is nothing that it could change, and no state is made for it."""
    one = thread()
    assert one.take(MessageDeleted(message_id="m1", sent_at=NOON)) == []
    assert one.saved is None


def test_events_without_a_rule_leave_the_thread_as_it_is() -> None:
    """A public comment opens nothing."""
    one = thread()
    comment = CommentReceived(comment_id="c", post_id="p", customer=Customer(id="customer"), sent_at=NOON)
    assert one.take(comment) == []
    assert one.saved is None


def test_unknown_account_opens_without_a_department() -> None:
    """An integration may write for an account that nobody configured: the bot answers in the fall-back language."""
    opened = only(thread().take(message(account="9")), ConversationOpened)
    assert (opened.department, opened.language, opened.priority) == (None, "en", 0)


def test_message_tells_more_about_the_customer() -> None:
    """What a message does not say stays known; what is new is published."""
    one = thread()
    one.take(message(number=1, phone="+37120000001", display_name="Old"))
    changes = only(one.take(message(number=2, display_name="New")), ConversationUpdated).changes
    assert changes == {
        "customer": (
            {"id": "customer", "phone": "+37120000001", "display_name": "Old"},
            {"id": "customer", "phone": "+37120000001", "display_name": "New"},
        )
    }
    assert names(one.take(message(number=3))) == ["message.appended"]


def test_customer_identified_takes_new_aliases_and_ends_old_ones() -> None:
    """A changed number replaces the old one, and what ended is forgotten."""
    one = thread()
    one.take(message(phone="+37120000001", username="old", email="kept@example.org"))
    identified = CustomerIdentified(
        channel="chat",
        account="1",
        aliases=Customer(id="customer", phone="+37120000002"),
        previous=Customer(id="customer", phone="+37120000001", username="old"),
        reason="number_changed",
        sent_at=NOON,
    )
    changes = only(one.take(identified), ConversationUpdated).changes
    assert changes["customer"][1] == {"id": "customer", "phone": "+37120000002", "email": "kept@example.org"}
    assert one.take(identified) == []


def test_customer_identified_before_the_first_message_is_remembered_silently() -> None:
    """There is no conversation yet in which it could be published."""
    one = thread()
    identified = CustomerIdentified(
        channel="chat", account="1", aliases=Customer(id="customer", email="a@example.org"), reason="signed_in", sent_at=NOON
    )
    assert one.take(identified) == []
    assert only(one.take(message()), ConversationOpened).customer == Customer(id="customer", email="a@example.org")
    later = identified.model_copy(update={"aliases": Customer(id="customer", username="a")})
    assert names(one.take(later)) == ["conversation.updated"]


def test_referral_before_the_first_message_is_the_origin_of_the_conversation() -> None:
    """Its title names the department; the conversation after the next close knows nothing of it."""
    one = thread()
    assert one.take(ThreadReferred(origin=LINK, customer=Customer(id="customer"), sent_at=NOON)) == []
    opened = only(one.take(message(number=1)), ConversationOpened)
    assert (opened.origin, opened.department) == (LINK, "billing")
    one.take(Close(author=CRM))
    opened = only(one.take(message(number=2)), ConversationOpened)
    assert (opened.origin, opened.department) == (None, "sales")


def test_origin_inside_a_conversation_is_published_once() -> None:
    """A click on an ad while a conversation runs updates its origin, with or without a message."""
    one = thread()
    one.take(message(number=1))
    changes = only(one.take(message(number=2, origin=AD)), ConversationUpdated).changes
    assert changes == {"origin": (None, {"kind": "ad", "id": "17", "title": "Our best price"})}
    assert names(one.take(message(number=3, origin=AD))) == ["message.appended"]
    referred = ThreadReferred(origin=LINK, customer=Customer(id="customer"), sent_at=NOON)
    assert only(one.take(referred), ConversationUpdated).changes["origin"][1] == {"kind": "link", "payload": "billing"}
    assert one.take(referred) == []


def test_customer_who_left_is_back_with_their_next_message() -> None:
    """Leaving is published once; writing again takes it back."""
    one = thread()
    one.take(message(number=1))
    left = CustomerLeft(sent_at=NOON)
    assert only(one.take(left), ConversationUpdated).changes == {"left": (False, True)}
    assert one.take(left) == []
    assert only(one.take(message(number=2)), ConversationUpdated).changes == {"left": (True, False)}
    one.take(left)
    one.take(Close(author=CRM))
    assert names(one.take(message(number=3)))[:2] == ["conversation.opened", "conversation.updated"]
    assert not one.state.left


def test_what_a_customer_does_not_want_outlives_the_conversation() -> None:
    """Opting out is published, repeated at the next opening, and taken back by opting in."""
    one = thread()
    assert one.take(CustomerOptedOut(scope="marketing", sent_at=NOON)) == []
    assert only(one.take(message(number=1)), ConversationUpdated).changes == {"opted_out": ([], ["marketing"])}
    assert only(one.take(CustomerOptedOut(scope="all", sent_at=NOON)), ConversationUpdated).changes == {
        "opted_out": (["marketing"], ["all", "marketing"])
    }
    assert one.take(CustomerOptedOut(scope="all", sent_at=NOON)) == []
    assert names(one.take(CustomerOptedIn(scope="marketing", sent_at=NOON))) == ["conversation.updated"]
    assert one.take(CustomerOptedIn(scope="marketing", sent_at=NOON)) == []
    assert only(one.take(CustomerOptedIn(scope="all", sent_at=NOON)), ConversationUpdated).changes == {"opted_out": (["all"], [])}


def test_message_ends_a_snooze_and_offers_what_waits_again() -> None:
    """A conversation that slept in the queue goes back to dispatch when the customer writes."""
    one = thread()
    one.take(message(number=1))
    one.take(HandOff(author=BOT))
    one.take(Snooze(author=CRM, until=NOON + timedelta(hours=1)))
    published = one.take(message(number=2))
    assert names(published) == ["conversation.updated", "work.offered", "message.appended"]
    assert only(published, ConversationUpdated).changes == {"state": ("snoozed", "open")}


def test_language_heard_in_the_queue_changes_the_offer() -> None:
    """Dispatch looks for an agent who speaks what the customer really writes."""
    one = thread(detect=lambda text: ("lv", 0.95) if "latviski" in text else None)
    one.take(message(number=1))
    one.take(HandOff(author=BOT))
    published = one.take(message("latviski", number=2))
    assert only(published, ConversationUpdated).changes == {"language": ("en", "lv")}
    assert only(published, WorkOffered).language == "lv"


def test_tapped_choice_tells_neither_language_nor_department() -> None:
    """The words of a choice are our own."""
    one = thread(detect=lambda _text: ("pt", 1.0))
    choice = Choice(choice_id="x", title="invoice", via="button")
    opened = only(one.take(message().model_copy(update={"content": choice})), ConversationOpened)
    assert (opened.language, opened.department) == ("en", "sales")


def test_words_of_the_first_messages_choose_the_department_once() -> None:
    """While the bot asks, the first word that names a department counts; later words and people's queues change nothing."""
    one = thread()
    one.take(message(number=1))
    published = one.take(message("My phone is broken", number=2))
    assert only(published, ConversationUpdated).changes == {"department": ("sales", "support")}
    assert names(one.take(message("the invoice", number=3))) == ["message.appended"]
    two = thread()
    two.take(message(number=1))
    assert names(two.take(message("what price", number=2))) == ["message.appended"]
    assert two.state.department_chosen
    three = thread()
    three.take(message(number=1))
    three.take(HandOff(author=BOT))
    assert names(three.take(message("the invoice", number=2))) == ["message.appended"]


def test_changes_of_a_state_name_all_its_fields() -> None:
    """The typed changes and the state cannot drift apart."""
    assert ConversationChanges.__annotations__.keys() == ConversationState.model_fields.keys()


def test_message_of_another_kind_than_text_is_appended_as_it_is() -> None:
    """Content without words opens a conversation like any other."""
    data = MessageReceived.model_validate(message().model_dump() | {"content": {"kind": "location", "latitude": 56.95, "longitude": 24.1}})
    assert only(thread().take(data), MessageAppended).content.kind == "location"
