"""What becomes of the items of a webhook."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.core import (
    ACCOUNT_CHARACTERS_MAX,
    EVENT_BYTES_MAX,
    REJECTED_BODY_BYTES_MAX,
    Intake,
    Notice,
    Webhook,
    accept,
)
from shared.channels.contract import Item, ItemEvent, ItemIgnored, ItemRejected
from shared.events.inbound import MessageReceived
from shared.events.rejected import WebhookRejected
from shared.events.shapes import Content, Customer, Form, Text
from shared.topics import INBOUND, RECORD_BYTES_MAX, REJECTED
from tests.services.ingest.ingest_world import ACCOUNT, ACCOUNTS, NOW

RAW = b'{"as": "it came"}'
WEBHOOK = Webhook("whatsapp", NOW, headers={"content-type": "application/json", "authorization": "Bearer x", "x-hub-signature-256": "s"})


def event(event_id: str = "e1", *, account: str = ACCOUNT, thread: str | None = None, content: Content | None = None) -> ItemEvent:
    """Return a customer's message as an item."""
    data = MessageReceived(
        channel="whatsapp",
        account=account,
        message_id="m",
        customer=Customer(id="1"),
        content=content or Text(text="x"),
        sent_at=NOW,
        received_at=NOW,
    )
    return ItemEvent(INBOUND, thread or f"whatsapp:{account}:1", event_id, account, data, NOW, raw=lambda: RAW)


def taken(*items: Item, webhook: Webhook = WEBHOOK) -> Intake:
    """Return what becomes of `items`."""
    return accept(items, webhook, ACCOUNTS)


def rejected(intake: Intake) -> WebhookRejected:
    """Return the one rejection, which has a record on `rejected` under its account."""
    (record,) = intake.records
    data = record.event.data
    assert isinstance(data, WebhookRejected)
    assert (record.topic, record.key) == (REJECTED, data.account)
    assert REJECTED.decode(record.value).data == data
    assert len(record.value) < RECORD_BYTES_MAX
    return data


def test_an_event_of_an_account_of_ours_goes_to_its_topic() -> None:
    """Key, envelope and value: what a reader of the topic gets."""
    (record,) = taken(event(), webhook=Webhook("whatsapp", NOW, traceparent="00-a-b-01")).records
    assert (record.topic, record.key) == (INBOUND, f"whatsapp:{ACCOUNT}:1")
    document = json.loads(record.value)
    assert {name: document[name] for name in ("id", "source", "subject", "time", "type", "traceparent")} == {
        "id": "e1",
        "source": "parley/ingest",
        "subject": f"whatsapp:{ACCOUNT}:1",
        "time": "2026-11-22T12:00:00.000Z",
        "type": "parley.message.received.v1",
        "traceparent": "00-a-b-01",
    }
    assert "seq" not in document
    assert INBOUND.decode(record.value) == record.event


def test_an_item_that_stands_twice_in_one_webhook_is_published_once() -> None:
    """The second one is counted as a duplicate, whether it is an event or a rejection."""
    spoilt = ItemRejected(ACCOUNT, "unparseable", "broken", RAW)
    intake = taken(event(), spoilt, event(), event("e2"), spoilt)
    assert [record.event.id for record in intake.records][::2] == ["e1", "e2"]
    assert (len(intake.records), intake.counts.duplicates) == (3, 2)
    assert dict(intake.counts.accepted) == {"message.received": 2}


def test_an_unknown_account_is_kept_with_the_item_as_it_came() -> None:
    """The provider can do nothing about it; an operator can, and replays it."""
    data = rejected(taken(event(account="999")))
    assert (data.reason, data.account, data.channel, data.received_at) == ("unknown_account", "999", "whatsapp", NOW)
    assert base64.b64decode(data.body) == RAW
    assert "whatsapp:999" in data.explanation


def test_a_rejection_keeps_no_header_that_could_hold_a_secret() -> None:
    """Only headers from a short list are kept, and cut."""
    assert rejected(taken(event(account="999"))).headers == {"content-type": "application/json"}
    long = Webhook("whatsapp", NOW, headers={"user-agent": "x" * 9000})
    assert len(rejected(taken(event(account="999"), webhook=long)).headers["user-agent"]) == 500


def test_a_redelivered_rejection_has_the_same_id() -> None:
    """Its id follows from what it holds; another body or account is another rejection."""
    item = ItemRejected(ACCOUNT, "unparseable", "broken", RAW)
    first, again = taken(item).records[0], taken(item, webhook=Webhook("whatsapp", NOW)).records[0]
    other = taken(ItemRejected(ACCOUNT, "unparseable", "broken", RAW + b" ")).records[0]
    assert first.event.id == again.event.id != other.event.id


@pytest.mark.parametrize(
    ("item_account", "address_account", "filed_under"), [("1", "2", "1"), ("", "2", "2"), ("", None, "unknown"), ("", "", "unknown")]
)
def test_a_rejection_is_filed_under_the_best_account_there_is(item_account: str, address_account: str | None, filed_under: str) -> None:
    """The item's own, else the address's, else the one that says that there is none."""
    item = ItemRejected(item_account, "unparseable", "broken", RAW)
    assert rejected(taken(item, webhook=Webhook("whatsapp", NOW, address_account))).account == filed_under


def test_an_account_from_an_address_is_bounded() -> None:
    """An address may hold anything; the key of a record may not."""
    data = rejected(taken(ItemRejected("", "unparseable", "broken", RAW), webhook=Webhook("whatsapp", NOW, "a" * 5000)))
    assert len(data.account) == ACCOUNT_CHARACTERS_MAX


def test_known_items_without_use_are_counted_and_news_are_handed_on() -> None:
    """Both are successes; only news have a line for operators."""
    intake = taken(
        ItemIgnored(ACCOUNT, "history"),
        ItemIgnored("3088", "account_update", notice="account_update DISABLED"),
        ItemIgnored(ACCOUNT, "history"),
    )
    assert intake.records == ()
    assert dict(intake.counts.ignored) == {"history": 2, "account_update": 1}
    assert intake.notices == (Notice("3088", "account_update DISABLED"),)


def test_an_event_that_would_not_fit_further_on_is_kept_apart() -> None:
    """It is rejected instead of making the broker refuse the webhook for ever."""
    data = rejected(taken(event(content=Text(text="x" * EVENT_BYTES_MAX))))
    assert data.reason == "unparseable"
    assert "larger than" in data.explanation


def test_what_is_kept_of_an_item_is_bounded_and_says_so() -> None:
    """A body of 3 MB fits no record: its beginning is kept, and the explanation tells how much there was."""
    data = rejected(taken(ItemRejected(ACCOUNT, "unparseable", "broken", b"x" * 3_000_000)))
    assert len(base64.b64decode(data.body)) == REJECTED_BODY_BYTES_MAX
    assert data.explanation == f"broken (the first {REJECTED_BODY_BYTES_MAX} of 3000000 bytes are kept)"


def nested(depth: int) -> dict[str, Any]:
    """Return an object `depth` levels deep."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"in": value}
    return value


@pytest.mark.parametrize("item", [event(thread="whatsapp:1:" + "x" * 600), event("i" * 600), event(content=Form(values=nested(400)))])
def test_an_item_that_cannot_be_written_as_an_event_is_rejected_alone(item: ItemEvent) -> None:
    """Ids too long for the envelope, and values nested too deep to be written: its neighbours pass."""
    intake = taken(event("before"), item, event("after"))
    assert [record.topic for record in intake.records] == [INBOUND, REJECTED, INBOUND]
    assert dict(intake.counts.rejected) == {"unparseable": 1}


ITEMS = st.one_of(
    st.builds(event, st.sampled_from(["a", "b", "c"]), account=st.sampled_from([ACCOUNT, "999"])),
    st.builds(ItemIgnored, st.just(ACCOUNT), st.sampled_from(["history", "standby"])),
    st.builds(
        ItemRejected,
        st.sampled_from([ACCOUNT, ""]),
        st.sampled_from(["unparseable", "unknown_kind"]),
        st.text(max_size=20),
        st.binary(max_size=20),
    ),
)


@given(st.lists(ITEMS, max_size=12))
def test_every_item_is_counted_once_and_every_record_has_an_id_of_its_own(items: list[Item]) -> None:
    """In = accepted + ignored + rejected + duplicates, and records = accepted + rejected."""
    intake = taken(*items)
    counts = intake.counts
    assert len(items) == counts.accepted.total() + counts.ignored.total() + counts.rejected.total() + counts.duplicates
    assert len(intake.records) == counts.accepted.total() + counts.rejected.total()
    assert len({record.event.id for record in intake.records}) == len(intake.records)
