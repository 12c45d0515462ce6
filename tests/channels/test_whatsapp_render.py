"""What is sent: one table of contents and the bodies they become, and what is refused with words for its author."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.channels.contract import Unrenderable
from shared.channels.whatsapp import channel, opaque
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.events.sends import Lane, Permission, SendRequested
from shared.events.shapes import (
    Choice,
    ContactCard,
    Contacts,
    Content,
    Customer,
    Location,
    Media,
    Menu,
    MenuOption,
    Reaction,
    Template,
    Text,
    Unsupported,
)

CHANNEL = channel(WhatsAppSettings(access_token=SecretStr("token-for-all"), access_tokens={"2": SecretStr("token-of-2")}))
KNOWN = Customer(id="PT.9001", phone="+351912000001", business_scoped_id="PT.9001")
UNKNOWN_PHONE = Customer(id="PT.9001", business_scoped_id="PT.9001")


def send(content: Content, to: Customer = KNOWN, **more: Any) -> SendRequested:
    """Return a send of `content`."""
    fields: dict[str, Any] = {"account": "1", "permission": Permission.FREE_FORM, "lane": Lane.ANSWER, **more}
    return SendRequested(send_id="sla/thread/4", reply_id="r", channel="whatsapp", to=to, content=content, **fields)


def body_of(request: SendRequested) -> dict[str, Any]:
    """Return the JSON that would be posted."""
    posted: dict[str, Any] = json.loads(CHANNEL.render(request).body)
    return posted


def menu(count: int = 2, *, title: str = "Option", text: str = "Choose", style: str = "buttons", description: str | None = None) -> Menu:
    """Return a menu of `count` options."""
    options = tuple(MenuOption(choice_id=f"o{number}", title=f"{title} {number}", description=description) for number in range(count))
    return Menu.model_validate({"text": text, "options": options, "style": style})


def test_a_text_is_posted_to_its_number_with_our_opaque_data() -> None:
    """The whole request, once: address, token, envelope."""
    request = CHANNEL.render(send(Text(text="Bom dia")))
    assert (request.method, request.url) == ("POST", "https://graph.facebook.com/v24.0/1/messages")
    assert request.headers == {"authorization": "Bearer token-for-all", "content-type": "application/json"}
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+351912000001",
        "type": "text",
        "text": {"body": "Bom dia"},
        "biz_opaque_callback_data": "parley|PT.9001|sla/thread/4",
    }


def test_a_number_sends_with_its_own_token() -> None:
    """Tokens are per number where they are given so."""
    assert CHANNEL.render(send(Text(text="x"), account="2")).headers["authorization"] == "Bearer token-of-2"


def test_the_address_is_configurable_and_an_account_cannot_leave_its_place_in_it() -> None:
    """The vendor changes versions and hosts; an odd account stays one part of the path."""
    other = channel(WhatsAppSettings(api_base_url="http://127.0.0.1:9/", api_version="v25.0"))
    assert other.render(send(Text(text="x"), account="../me")).url == "http://127.0.0.1:9/v25.0/..%2Fme/messages"


@pytest.mark.parametrize(
    ("to", "address"),
    [
        (KNOWN, {"to": "+351912000001"}),
        (Customer(id="351912000001"), {"to": "+351912000001"}),
        (Customer(id="x", phone="351912000001"), {"to": "+351912000001"}),
        (UNKNOWN_PHONE, {"recipient": "PT.9001"}),
        (Customer(id="PT.9001"), {"recipient": "PT.9001"}),
        (Customer(id="x", business_scoped_id="a form of tomorrow"), {"recipient": "a form of tomorrow"}),
    ],
)
def test_a_phone_goes_before_the_scoped_id_and_never_both(to: Customer, address: dict[str, str]) -> None:
    """A phone carries its plus; a scoped id is never put where it would be mangled to digits."""
    posted = body_of(send(Text(text="x"), to))
    assert {name: posted[name] for name in ("to", "recipient") if name in posted} == address


def test_a_customer_without_an_address_is_not_sent_to() -> None:
    """The author is told."""
    with pytest.raises(Unrenderable, match="neither a phone number nor"):
        CHANNEL.render(send(Text(text="x"), Customer(id="group of friends")))


CASES: list[tuple[Content, dict[str, Any]]] = [
    (Media(media_kind="image", media_id="7", url="https://x", caption="c"), {"type": "image", "image": {"id": "7", "caption": "c"}}),
    (Media(media_kind="video", url="https://x/v"), {"type": "video", "video": {"link": "https://x/v"}}),
    (Media(media_kind="document", media_id="7", filename="a.pdf"), {"type": "document", "document": {"id": "7", "filename": "a.pdf"}}),
    (Media(media_kind="image", media_id="7", filename="a.png"), {"type": "image", "image": {"id": "7"}}),
    (Media(media_kind="voice", media_id="7"), {"type": "audio", "audio": {"id": "7"}}),
    (Media(media_kind="sticker", media_id="7"), {"type": "sticker", "sticker": {"id": "7"}}),
    (Template(name="come_back", language="lv"), {"type": "template", "template": {"name": "come_back", "language": {"code": "lv"}}}),
    (
        Template(name="come_back", language="pt-BR", parameters=("A", "B")),
        {
            "type": "template",
            "template": {
                "name": "come_back",
                "language": {"code": "pt_BR"},
                "components": [{"type": "body", "parameters": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}],
            },
        },
    ),
    (Reaction(message_id="wamid.A", emoji="👍"), {"type": "reaction", "reaction": {"message_id": "wamid.A", "emoji": "👍"}}),
    (Location(latitude=56.9, longitude=24.1), {"type": "location", "location": {"latitude": 56.9, "longitude": 24.1}}),
    (
        Location(latitude=56.9, longitude=24.1, name="Depot", address="Street 4", url="https://x"),
        {"type": "location", "location": {"latitude": 56.9, "longitude": 24.1, "name": "Depot", "address": "Street 4"}},
    ),
    (
        Contacts(contacts=(ContactCard(name="Desk", phones=("+1",), emails=("a@example.com",)), ContactCard(name="Door"))),
        {
            "type": "contacts",
            "contacts": [
                {
                    "name": {"formatted_name": "Desk", "first_name": "Desk"},
                    "phones": [{"phone": "+1"}],
                    "emails": [{"email": "a@example.com"}],
                },
                {"name": {"formatted_name": "Door", "first_name": "Door"}},
            ],
        },
    ),
    (
        menu(2),
        {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "body": {"text": "Choose"},
                "action": {
                    "buttons": [
                        {"type": "reply", "reply": {"id": "o0", "title": "Option 0"}},
                        {"type": "reply", "reply": {"id": "o1", "title": "Option 1"}},
                    ]
                },
            },
        },
    ),
    (
        menu(1, style="list", description="d"),
        {
            "type": "interactive",
            "interactive": {
                "type": "list",
                "body": {"text": "Choose"},
                "action": {"button": "☰", "sections": [{"rows": [{"id": "o0", "title": "Option 0", "description": "d"}]}]},
            },
        },
    ),
]


@pytest.mark.parametrize(("content", "expected"), CASES, ids=lambda value: value.kind if hasattr(value, "kind") else "")
def test_each_content_has_its_form(content: Content, expected: dict[str, Any]) -> None:
    """The vendor's type and object for each of our kinds."""
    posted = body_of(send(content))
    assert {name: posted[name] for name in posted if name in {"type", posted["type"]}} == expected


@pytest.mark.parametrize(
    ("given_menu", "form"),
    [
        (menu(3), "button"),
        (menu(3, style="quick_replies"), "button"),
        (menu(4), "list"),
        (menu(10), "list"),
        (menu(2, title="A title of 22 letter"), "list"),
        (menu(2, description="with words"), "list"),
        (menu(2, text="x" * 1025), "list"),
        (Menu(text="?", options=(MenuOption(choice_id="a", title="Same"), MenuOption(choice_id="b", title="Same"))), "list"),
        (menu(1, style="list"), "list"),
    ],
)
def test_a_menu_is_buttons_where_it_fits_and_a_list_where_not(given_menu: Menu, form: str) -> None:
    """Three short buttons; more, longer or described options make a list."""
    assert body_of(send(given_menu))["interactive"]["type"] == form


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Text(text=" \n"), "empty"),
        (Text(text="x" * 4097), "4097 characters"),
        (Media(media_kind="image"), "neither an id nor a web address"),
        (Media(media_kind="image", url="file:///etc/passwd"), "neither an id nor a web address"),
        (Media(media_kind="voice", media_id="7", caption="c"), "no caption"),
        (Media(media_kind="image", media_id="7", caption="c" * 1025), "1025 characters"),
        (menu(11), "11 options"),
        (menu(2, title="x" * 30), "longer than the 24 characters"),
        (menu(2, description="x" * 73), "longer than 72"),
        (menu(2, text="x" * 4097), "4097 characters"),
        (menu(2, text=" "), "needs a text"),
        (Menu(text="?", options=(MenuOption(choice_id="a", title="A"), MenuOption(choice_id="a", title="B"))), "same id"),
        (Menu(text="?", options=(MenuOption(choice_id="a" * 257, title="A"),)), "id of “A”"),
        (Contacts(contacts=()), "1 to 257 contacts"),
        (Contacts(contacts=(ContactCard(phones=("+1",)),)), "needs a name"),
        (Choice(choice_id="a", via="button"), "kind choice"),
        (Unsupported(raw_kind="poll"), "kind unsupported"),
    ],
)
def test_what_the_vendor_would_refuse_is_refused_with_words(content: Content, words: str) -> None:
    """The author learns what does not fit, and by how much."""
    with pytest.raises(Unrenderable, match=words):
        CHANNEL.render(send(content))


def test_the_bounds_themselves_fit() -> None:
    """What is exactly as long as allowed goes out."""
    assert body_of(send(Text(text="x" * 4096)))["type"] == "text"
    assert body_of(send(menu(3, title="x" * 18)))["interactive"]["type"] == "button"
    assert body_of(send(menu(10, title="x" * 22, description="y" * 72, text="z" * 4096)))["interactive"]["type"] == "list"


def test_a_reply_names_what_it_answers_and_a_reaction_does_not() -> None:
    """A reaction names its message itself."""
    assert body_of(send(Text(text="x"), reply_to="wamid.Q"))["context"] == {"message_id": "wamid.Q"}
    assert "context" not in body_of(send(Reaction(message_id="wamid.Q"), reply_to="wamid.Q"))


def test_outside_the_window_only_a_template_goes_out() -> None:
    """The permission and the content must fit, whoever made the send."""
    assert body_of(send(Template(name="t", language="en"), permission=Permission.TEMPLATE))["type"] == "template"
    with pytest.raises(Unrenderable, match="only an approved template"):
        CHANNEL.render(send(Text(text="x"), permission=Permission.TEMPLATE))


@pytest.mark.parametrize("permission", [Permission.HUMAN_AGENT, Permission.PRIVATE_REPLY])
def test_a_permission_of_other_channels_is_refused(permission: Permission) -> None:
    """WhatsApp has no tag for people and no private reply."""
    with pytest.raises(Unrenderable, match="no such permission"):
        CHANNEL.render(send(Text(text="x"), permission=permission))


def test_ids_that_do_not_fit_into_the_opaque_data_are_refused() -> None:
    """Cut ids would never find their thread again."""
    with pytest.raises(Unrenderable, match="512"):
        CHANNEL.render(send(Text(text="x")).model_copy(update={"send_id": "s" * 512}))


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_opaque_data_comes_back_as_it_went(customer: str, send_id: str) -> None:
    """Separators inside the ids do no harm."""
    data = opaque.OpaqueData(customer, send_id)
    assert opaque.decode(opaque.encode(data)) == data


@pytest.mark.parametrize(
    "foreign", [None, 7, "", "campaign 12", "parley", "parley|", "parley||x", "parley|x|", "other|a|b", ["parley|a|b"]]
)
def test_opaque_data_of_others_is_not_ours(foreign: object) -> None:
    """Whatever another sender wrote, it is tolerated."""
    assert opaque.decode(foreign) is None


@given(st.text(max_size=5000))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    """There is no third way."""
    try:
        posted = body_of(send(Text(text=text)))
    except Unrenderable:
        assert len(text) > 4096 or not text.strip()
    else:
        assert posted["text"]["body"] == text
