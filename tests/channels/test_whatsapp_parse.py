"""The parser in bad weather: whatever is posted, nothing raises, no item is lost, and no neighbour suffers."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared import ids
from shared.channels.contract import UNKNOWN_ACCOUNT, ItemEvent, ItemIgnored, ItemRejected
from shared.channels.whatsapp import channel, parse_messages
from shared.channels.whatsapp.identity import to_e164
from shared.channels.whatsapp.parse import ITEMS_MAX, UNREAD_ITEMS_MAX
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.events.inbound import CustomerIdentified, MessageReceived
from shared.topics import INBOUND
from tests.channels.fixture_cases import RECEIVED_AT, FixtureCase, describe, fixture_cases

CHANNEL = channel(WhatsAppSettings())
CASES = [case for case in fixture_cases() if case.channel == "whatsapp"]
ACCOUNT = "209900000000001"
STATUS = {"id": "wamid.S", "status": "read", "timestamp": "1763800000", "recipient_id": "351912000001"}


def message(**changes: Any) -> dict[str, Any]:
    """Return a text message, with `changes`; a field set to `...` is left out."""
    fields = {"from": "351912000001", "id": "wamid.T", "timestamp": "1763800000", "type": "text", "text": {"body": "x"}, **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def webhook(*messages: Any, contacts: Any = None, account: Any = ACCOUNT) -> bytes:
    """Return a webhook of `messages`."""
    value = {"metadata": {"phone_number_id": account}, "contacts": contacts, "messages": list(messages)}
    return json.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": "3088", "changes": [{"field": "messages", "value": value}]}]}
    ).encode()


def only(body: bytes) -> Any:
    """Return the one item of `body`."""
    (item,) = CHANNEL.parse(body, RECEIVED_AT)
    return item


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"[" * 3000)
@example(b"9" * 5000)
def test_no_bytes_raise(body: bytes) -> None:
    """What is no webhook is one rejection that keeps the whole body."""
    (item,) = CHANNEL.parse(body, RECEIVED_AT, account="7")
    assert isinstance(item, ItemRejected)
    assert (item.account, item.raw) == ("7", body)


@given(JSON)
def test_no_json_raises(document: Any) -> None:
    """Any JSON is rejected, and filed under an account that says that there is none."""
    item = only(json.dumps(document).encode())
    assert isinstance(item, ItemRejected)
    assert item.account == UNKNOWN_ACCOUNT


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for name, child in inner for deeper in paths(child, (*path, name)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of `document` with `value` at `path`; `...` takes it out."""
    if not path:
        return None if value is ... else value
    changed = copy.deepcopy(document)
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    1e300,
    "",
    "x",
    "٣",
    "-1",
    "9" * 40,
    "a:b",
    "x" * 600,
    "\ud800",
    [],
    {},
    [[]],
    [{}],
    [None],
    {"a": 1},
    ...,
]


@settings(max_examples=300)
@given(st.sampled_from(CASES), st.data())
def test_a_fixture_with_any_value_replaced_is_read_or_rejected(case: FixtureCase, data: st.DataObject) -> None:
    """Wrong types, odd values and missing fields anywhere: no reader fails, every id can be a key, every event can be written."""
    document = json.loads(case.body)
    path = data.draw(st.sampled_from(paths(document)))
    body = json.dumps(replaced(document, path, data.draw(st.sampled_from(ODD) | JSON))).encode()
    for item in CHANNEL.parse(body, RECEIVED_AT):
        assert item.account
        if isinstance(item, ItemRejected):
            assert "report this" not in item.explanation
        if isinstance(item, ItemEvent):
            assert ids.split_thread(item.thread).account == item.account
            assert len(item.thread) <= ids.ID_LENGTH_MAX
            assert item.data.model_dump_json()


@given(st.lists(JSON | st.just(message()), max_size=6), st.integers(0, 6))
def test_a_spoilt_item_loses_none_of_its_neighbours(others: list[Any], position: int) -> None:
    """A good message among anything at all is found, where it stands, and every item yields something."""
    good = message(id="wamid.GOOD")
    items = [*others[:position], good, *others[position:]]
    found = CHANNEL.parse(webhook(*items), RECEIVED_AT)
    assert len(found) == len(items)
    assert isinstance(found[items.index(good)], ItemEvent)


@pytest.mark.parametrize(
    "timestamp",
    [
        ...,
        None,
        "",
        "-62135596800",
        "0",
        1_230_767_999,
        4_102_444_800,
        "253402300800000",
        "3093527980799",
        99999999999999999999,
        "1763800000.5",
        "1e9",
        True,
        [],
        "١٧٦٣٨٠٠٠٠٠",
        1763800000123,
    ],
)
def test_an_absurd_time_is_rejected(timestamp: Any) -> None:
    """The year 1, the year 99999, milliseconds and other writing systems are no times of this vendor."""
    item = only(webhook(message(timestamp=timestamp)))
    assert isinstance(item, ItemRejected)
    assert "timestamp" in item.explanation


@given(st.integers(1_230_768_000, 4_102_444_799))
def test_a_time_in_seconds_is_read_as_text_or_integer(seconds: int) -> None:
    """Both forms occur, and both are UTC."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    assert [only(webhook(message(timestamp=form))).occurred_at for form in (seconds, str(seconds))] == [moment, moment]


def test_the_same_item_has_the_same_id_however_it_is_packed() -> None:
    """A redelivery may batch it otherwise: the event id follows from account, kind and the vendor's id alone."""
    alone = only(webhook(message()))
    packed: Any = CHANNEL.parse(webhook(message(id="wamid.OTHER"), message(), contacts=[{"wa_id": "351912000001"}]), RECEIVED_AT)[1]
    assert alone.event_id == packed.event_id
    assert only(webhook(message(), account="2")).event_id != alone.event_id


def test_a_message_and_its_statuses_share_an_id_and_not_an_event_id() -> None:
    """The vendor's id names the message; the kind tells what happened to it."""
    case = next(case for case in CASES if case.name == "statuses_of_our_send")
    document = json.loads(case.body)
    for status in document["entry"][0]["changes"][0]["value"]["statuses"]:
        status["id"] = "wamid.T"
    found = CHANNEL.parse(json.dumps(document).encode(), RECEIVED_AT)
    identifiers = {item.event_id for item in found if isinstance(item, ItemEvent)} | {only(webhook(message())).event_id}
    assert len(identifiers) == 5


@pytest.mark.parametrize(
    ("changes", "contacts", "customer"),
    [
        ({}, [], "351912000001"),
        ({}, [{"wa_id": "351912000001", "user_id": "PT.1"}], "PT.1"),
        ({}, [{"wa_id": "351912000009", "user_id": "PT.1"}], "351912000001"),
        ({"from_user_id": "PT.2"}, [{"wa_id": "351912000001", "user_id": "PT.1"}], "PT.2"),
        ({"from": ..., "from_user_id": "PT.2"}, [{"user_id": "PT.2", "wa_id": "351912000001"}], "PT.2"),
        ({"from": ...}, [{"user_id": "PT.3"}], "PT.3"),
        ({"from": "PT.4"}, [], "PT.4"),
        ({"from": "PT.4"}, [{"wa_id": "PT.4", "user_id": "PT.4"}], "PT.4"),
        ({}, [None, 3, {"wa_id": "351912000001", "user_id": "PT.1"}], "PT.1"),
        ({}, "no list", "351912000001"),
    ],
)
def test_a_thread_is_called_by_the_most_stable_id(changes: dict[str, Any], contacts: Any, customer: str) -> None:
    """The business-scoped id where it is known, in the message or its own profile; else the phone; never somebody else's profile."""
    item = only(webhook(message(**changes), contacts=contacts))
    assert item.thread == f"whatsapp:{ACCOUNT}:{customer}"
    assert item.data.customer.id == customer


def test_a_message_that_names_nobody_beside_two_profiles_is_rejected() -> None:
    """Guessing between two customers would give one the other's words."""
    item = only(webhook(message(**{"from": ...}), contacts=[{"user_id": "PT.1"}, {"user_id": "PT.2"}]))
    assert isinstance(item, ItemRejected)
    assert "which customer" in item.explanation


@pytest.mark.parametrize(
    ("changes", "account"), [({"from": "x" * 201}, ACCOUNT), ({}, "1:2"), ({}, "1" * 101), ({}, None), ({}, ""), ({}, {})]
)
def test_ids_that_cannot_name_a_thread_are_rejected(changes: dict[str, Any], account: Any) -> None:
    """Too long, empty, or with a colon where the thread id is split."""
    item = only(webhook(message(**changes), account=account))
    assert isinstance(item, ItemRejected)
    assert item.account in {ACCOUNT, "3088"}


@pytest.mark.parametrize(
    ("written", "phone"),
    [("351912000001", "+351912000001"), ("+351912000001", "+351912000001"), ("0351", None), ("", None), (None, None), ("1" * 16, None)],
)
def test_digits_become_a_phone_number_with_a_plus(written: str | None, phone: str | None) -> None:
    """E.164, or nothing: an id that is no number is not shown as one."""
    assert to_e164(written) == phone


@pytest.mark.parametrize(
    ("origin", "cards", "shared"),
    [
        ("contact_request", [{"phones": [{"phone": "+351 (912) 000-777"}]}], "+351912000777"),
        ("contact_request", [{"phones": [], "vcard": "BEGIN:VCARD\nitem1.TEL:351912000777\nEND:VCARD"}], "+351912000777"),
        ("contact_request", [{"vcard": "BEGIN:VCARD\nFN:HOTEL:351912000777\nTEL:\nEND:VCARD"}], None),
        ("contact_request", [{"phones": [{"phone": "none"}]}], None),
        ("contact_request", [{"phones": [{"phone": "351912000777"}]}, {"phones": [{"phone": "351912000778"}]}], None),
        ("other", [{"phones": [{"phone": "351912000777"}]}], None),
        (..., [{"phones": [{"phone": "351912000777"}]}], None),
    ],
)
def test_only_the_number_that_we_asked_for_becomes_the_customers(origin: Any, cards: Any, shared: str | None) -> None:
    """A card of somebody else, or one of several, is content and nothing more."""
    found = CHANNEL.parse(webhook(message(type="contacts", contacts=cards, origin=origin, text=...)), RECEIVED_AT)
    phones = [item.data.aliases.phone for item in found if isinstance(item, ItemEvent) and isinstance(item.data, CustomerIdentified)]
    assert phones == ([shared] if shared else [])
    assert isinstance(found[0].data, MessageReceived) if isinstance(found[0], ItemEvent) else False


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "hologram"}, "unknown_kind"),
        ({"type": "interactive", "interactive": {"type": "wink"}}, "unknown_kind"),
        ({"type": "system", "system": {"type": "user_became_a_bird"}}, "unknown_kind"),
        ({"type": "system", "system": {"type": "user_changed_number"}}, "unparseable"),
        ({"type": ...}, "unparseable"),
        ({"text": ...}, "unparseable"),
        ({"text": {}}, "unparseable"),
        ({"text": {"body": ["x"]}}, "unparseable"),
        ({"id": ...}, "unparseable"),
        ({"type": "contacts", "contacts": []}, "unparseable"),
        ({"type": "location", "location": {"latitude": 91, "longitude": 0}}, "unparseable"),
        ({"type": "location", "location": {"latitude": "1e999", "longitude": 0}}, "unparseable"),
        ({"type": "location", "location": {"latitude": True, "longitude": 0}}, "unparseable"),
        ({"type": "button", "button": {}}, "unparseable"),
        ({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {"response_json": "[]"}}}, "unparseable"),
        ({"context": "x"}, "unparseable"),
    ],
)
def test_what_cannot_be_understood_is_kept_for_people(changes: dict[str, Any], reason: str) -> None:
    """A kind of tomorrow and a broken item are told apart, and both keep their JSON."""
    item = only(webhook(message(**changes)))
    assert isinstance(item, ItemRejected)
    assert (item.reason, item.account) == (reason, ACCOUNT)
    assert json.loads(item.raw)["entry"][0]["changes"][0]["value"]["messages"]


@pytest.mark.parametrize(
    ("context", "reply_to"),
    [({"id": "wamid.Q"}, "wamid.Q"), ({"id": "M0"}, None), ({"forwarded": True}, None), ({"id": ""}, None), (None, None)],
)
def test_only_a_context_with_the_id_of_a_message_makes_a_reply(context: Any, reply_to: str | None) -> None:
    """Forwarding has a context without an id, and edits one with an id that names nothing."""
    assert only(webhook(message(context=context))).data.reply_to == reply_to


def test_a_request_for_a_welcome_is_known_and_ignored() -> None:
    """The vendor has withdrawn it; old numbers may still send it."""
    assert only(webhook(message(type="request_welcome", text=...))) == ItemIgnored(ACCOUNT, "request_welcome")


@pytest.mark.parametrize(
    ("preference", "reason"),
    [
        ({"category": "newsletters", "value": "stop"}, "unknown_kind"),
        ({"category": "marketing_messages", "value": "maybe"}, "unknown_kind"),
    ],
)
def test_an_unknown_preference_is_no_consent(preference: dict[str, str], reason: str) -> None:
    """What is neither stop nor resume of marketing changes nothing and is looked at."""
    value = {"metadata": {"phone_number_id": "1"}, "user_preferences": [{"wa_id": "351912000001", "timestamp": 1763800000, **preference}]}
    change = {"field": "user_preferences", "value": value}
    item = only(json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode())
    assert isinstance(item, ItemRejected)
    assert item.reason == reason


def test_a_change_without_items_is_a_known_nothing() -> None:
    """Only a number and contacts: counted, not rejected."""
    body = json.loads(webhook())
    del body["entry"][0]["changes"][0]["value"]["messages"]
    assert only(json.dumps(body).encode()) == ItemIgnored(ACCOUNT, "no_items")


def test_a_list_that_is_none_rejects_its_change_and_keeps_it() -> None:
    """The change is kept whole, with what stands beside the list."""
    body = json.loads(webhook())
    body["entry"][0]["changes"][0]["value"]["messages"] = {"0": message()}
    item = only(json.dumps(body).encode())
    assert isinstance(item, ItemRejected)
    assert json.loads(item.raw) == body


def test_an_odd_field_name_does_not_reach_the_operators_line() -> None:
    """Only what looks like a name is repeated."""
    body = json.loads(webhook())
    body["entry"][0]["changes"][0]["field"] = "call +351912000001 <now>"
    item = only(json.dumps(body).encode())
    assert (item.kind, item.notice) == ("unknown_field", "a field that is not known")


def test_ten_thousand_items_are_read_in_part_and_none_is_lost() -> None:
    """What is beyond the bound is put aside in portions, each of which a replay reads; a flood cannot fill the memory."""
    names = [f"wamid.{number:05}" for number in range(10_000)]
    found = CHANNEL.parse(webhook(*(message(id=name) for name in names)), RECEIVED_AT)
    read = [item.data.message_id for item in found if isinstance(item, ItemEvent) and isinstance(item.data, MessageReceived)]
    portions = [item for item in found if isinstance(item, ItemRejected)]
    replayed = [item.data.message_id for one in portions for item in CHANNEL.parse(one.raw, RECEIVED_AT)]  # type: ignore[union-attr] # all are events
    assert len(read) <= ITEMS_MAX
    assert len(portions) <= 10_000 // UNREAD_ITEMS_MAX
    assert read + replayed == names


@pytest.mark.parametrize("name", ["entry", "changes"])
def test_entries_and_changes_without_end_are_put_aside_likewise(name: str) -> None:
    """Whatever there is too much of: no more than the bound is looked into."""
    body = json.loads(webhook(message()))
    parent = body if name == "entry" else body["entry"][0]
    parent[name] = [*([{}] * 9_000), *parent[name]]
    found = CHANNEL.parse(json.dumps(body).encode(), RECEIVED_AT)
    assert len(found) < ITEMS_MAX + 100
    (last,) = (item for item in CHANNEL.parse(found[-1].raw, RECEIVED_AT) if isinstance(item, ItemEvent))  # type: ignore[union-attr, arg-type] # the last one is a rejection
    assert isinstance(last.data, MessageReceived)


@pytest.mark.parametrize("body", [{"entry": []}, {"entry": [{"id": "1", "changes": []}]}, json.loads(webhook())])
def test_a_webhook_without_items_is_ignored_and_counted(body: dict[str, Any]) -> None:
    """Nothing passes without a trace."""
    assert only(json.dumps({"object": "whatsapp_business_account", **body}).encode()).kind == "no_items"


def test_a_list_that_is_none_does_not_hold_its_sisters_back() -> None:
    """Messages that cannot be read, and the status beside them that can."""
    body = json.loads(webhook())
    body["entry"][0]["changes"][0]["value"] |= {"messages": "none", "statuses": [STATUS]}
    rejected, event = CHANNEL.parse(json.dumps(body).encode(), RECEIVED_AT)
    assert isinstance(rejected, ItemRejected)
    assert isinstance(event, ItemEvent)


def test_a_large_body_of_nothing_but_brackets_is_not_read_at_all() -> None:
    """Two bytes of an empty object are a hundred in memory: such a body is put aside as it is."""
    body = b'{"object":"whatsapp_business_account","entry":[' + b"{}," * 200_000 + b"{}]}"
    item = only(body)
    assert isinstance(item, ItemRejected)
    assert "more than" in item.explanation
    assert item.raw == body


@pytest.mark.parametrize(
    "spoilt",
    [
        b"NaN", b"-Infinity", b"1e999", b"9" * 5_000, b'"\\ud83d"', b'"a\x00b"', b'"\xff\xc0\x80"', b"[" * 2_000 + b"]" * 2_000,
        b'"\\x"', b'{"a":1,"a":2}',
    ],
)  # fmt: skip
def test_a_value_that_no_reader_takes_does_not_lose_the_neighbours(spoilt: bytes) -> None:
    """One spoilt value, a good message before it and one behind it."""
    body = webhook(message(id="wamid.A"), message(id="wamid.B", text={"body": "@spoilt@"}), message(id="wamid.C"))
    found = CHANNEL.parse(body.replace(b'"@spoilt@"', spoilt), RECEIVED_AT)
    read = [item.data.message_id for item in found if isinstance(item, ItemEvent) and isinstance(item.data, MessageReceived)]
    assert {"wamid.A", "wamid.C"} <= set(read)


def test_an_item_nested_too_deep_to_be_written_keeps_the_whole_body() -> None:
    """What can be read but not written again is kept as it came."""
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]
    body = webhook(message(type="hologram", hologram=deep))
    assert only(body).raw == body


def test_a_fault_of_a_reader_is_one_rejected_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours is reported with the item, and the others pass."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(parse_messages._READERS, "text", fail)
    found = CHANNEL.parse(webhook(message(), message(type="request_welcome")), RECEIVED_AT)
    assert isinstance(found[0], ItemRejected)
    assert "ZeroDivisionError: report this" in found[0].explanation
    assert isinstance(found[1], ItemIgnored)


def test_an_explanation_repeats_nothing_of_the_item() -> None:
    """Explanations are shown to operators; a customer's words and numbers are not for them."""
    secret = "my PIN is 4711"
    for changes in ({"type": secret}, {"timestamp": secret}, {"text": {"body": {secret: 1}}}, {"context": secret}, {"text": secret}):
        item = only(webhook(message(**changes)))
        assert isinstance(item, ItemRejected)
        assert secret not in describe(item)["explanation"]


def test_a_customers_message_goes_to_inbound_with_the_time_it_came() -> None:
    """Both times are kept: the provider's decides windows, ours tells delays."""
    item = only(webhook(message()))
    assert item.topic is INBOUND
    assert (item.data.sent_at, item.data.received_at) == (datetime.fromtimestamp(1763800000, tz=UTC), RECEIVED_AT)
