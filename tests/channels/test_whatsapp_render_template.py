"""Templates as they are sent: every component, the bounds of each, and the refusals that name field and limit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.contract import Unrenderable
from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.events.sends import Lane, Permission, SendRequested
from shared.events.shapes import Customer, Location, Media, Template, TemplateButton, TemplateHeader, TemplateHeaderText

CHANNEL = channel(WhatsAppSettings())


def posted(**fields: Any) -> dict[str, Any]:
    """Return the template object of the request that sends a template with these fields."""
    content = Template.model_validate({"name": "order_ready", "language": "pt-BR", **fields})
    send = SendRequested(
        send_id="s",
        reply_id="r",
        channel="whatsapp",
        account="1",
        to=Customer(id="351912000001"),
        permission=Permission.TEMPLATE,
        content=content,
        lane=Lane.ANSWER,
    )
    template: dict[str, Any] = json.loads(CHANNEL.render(send).body)["template"]
    return template


def components(**fields: Any) -> list[dict[str, Any]]:
    """Return the components of that request."""
    found: list[dict[str, Any]] = posted(**fields).get("components", [])
    return found


def button(index: int, kind: str, value: str, **more: Any) -> TemplateButton:
    """Return what fills a button."""
    return TemplateButton.model_validate({"index": index, "kind": kind, "value": value, **more})


@pytest.mark.parametrize(
    ("header", "parameter"),
    [
        (TemplateHeaderText(text="17"), {"type": "text", "text": "17"}),
        (TemplateHeaderText(text="17", name="order"), {"type": "text", "parameter_name": "order", "text": "17"}),
        (Media(media_kind="image", media_id="7", url="https://x", filename="a.png"), {"type": "image", "image": {"id": "7"}}),
        (Media(media_kind="video", url="https://x/v.mp4"), {"type": "video", "video": {"link": "https://x/v.mp4"}}),
        (
            Media(media_kind="document", url="https://x/a.pdf", filename="a.pdf", caption="not shown in a header"),
            {"type": "document", "document": {"link": "https://x/a.pdf", "filename": "a.pdf"}},
        ),
        (
            Location(latitude=56.95, longitude=24.1, name="Depot", address="Street 4", url="https://x"),
            {"type": "location", "location": {"latitude": "56.95", "longitude": "24.1", "name": "Depot", "address": "Street 4"}},
        ),
        (Location(latitude=0, longitude=1), {"type": "location", "location": {"latitude": "0.0", "longitude": "1.0"}}),
    ],
)
def test_each_header_is_one_parameter(header: TemplateHeader, parameter: dict[str, Any]) -> None:
    """Words, a file by id or address, or a place."""
    assert components(header=header) == [{"type": "header", "parameters": [parameter]}]


def test_named_parameters_carry_their_names() -> None:
    """The vendor refuses them without."""
    assert components(named_parameters={"order": "17", "sum": "5 €"}) == [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "order", "text": "17"},
                {"type": "text", "parameter_name": "sum", "text": "5 €"},
            ],
        }
    ]


def test_each_button_has_its_form_and_its_place() -> None:
    """A component per button in the template's order, whatever order they were given in."""
    buttons = (
        button(4, "flow", "token", values={"screen": "A"}),
        button(1, "url", "orders/17"),
        button(3, "copy_code", "FIVE"),
        button(0, "quick_reply", "question:17"),
        button(5, "flow", "token"),
    )
    assert components(buttons=buttons) == [
        {"type": "button", "sub_type": "quick_reply", "index": "0", "parameters": [{"type": "payload", "payload": "question:17"}]},
        {"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "orders/17"}]},
        {"type": "button", "sub_type": "copy_code", "index": "3", "parameters": [{"type": "coupon_code", "coupon_code": "FIVE"}]},
        {
            "type": "button",
            "sub_type": "flow",
            "index": "4",
            "parameters": [{"type": "action", "action": {"flow_token": "token", "flow_action_data": {"screen": "A"}}}],
        },
        {"type": "button", "sub_type": "flow", "index": "5", "parameters": [{"type": "action", "action": {"flow_token": "token"}}]},
    ]


def test_the_components_stand_in_the_vendors_order_and_nothing_is_sent_that_is_not_filled() -> None:
    """Header, body, buttons; a template without values has no components."""
    whole = components(header=TemplateHeaderText(text="h"), parameters=("b",), buttons=(button(0, "url", "u"),))
    assert [component["type"] for component in whole] == ["header", "body", "button"]
    assert posted() == {"name": "order_ready", "language": {"code": "pt_BR"}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "template.name is empty"),
        ({"name": "x" * 513}, "template.name has 513 characters; WhatsApp takes 512"),
        ({"language": "pt"}, "template.language: WhatsApp approves no templates under pt;"),
        ({"language": "is"}, "under is;"),
        ({"parameters": ("a", "")}, r"parameters\[1\] is empty"),
        ({"parameters": ("x" * 1025,)}, r"parameters\[0\] has 1025 characters; WhatsApp takes 1024"),
        ({"parameters": ("x" * 600, "y" * 600)}, "1200 characters together; WhatsApp takes 1024"),
        ({"named_parameters": {"order": " "}}, "named_parameters.order is empty"),
        ({"named_parameters": {"order": "a\nb"}}, "named_parameters.order: WhatsApp takes no line breaks"),
        ({"parameters": ("a\tb",)}, "no tabs"),
        ({"parameters": ("a     b",)}, "at most 4 spaces in a row"),
        ({"parameters": ("a",), "named_parameters": {"b": "c"}}, "not both"),
        ({"header": TemplateHeaderText(text="x" * 61)}, "header.text has 61 characters; WhatsApp takes 60"),
        ({"header": Media(media_kind="audio", media_id="7")}, "not audio"),
        ({"header": Media(media_kind="image")}, "neither an id nor a web address"),
        ({"header": Media(media_kind="image", url="file:///etc/passwd")}, "neither an id nor a web address"),
        ({"buttons": (button(0, "url", "a"), button(0, "url", "b"))}, "two values"),
        ({"buttons": (button(10, "url", "a"),)}, "no button 10; a template has at most 10"),
        ({"buttons": (button(0, "quick_reply", "x" * 129),)}, r"buttons\[0\].value has 129 characters; WhatsApp takes 128"),
        ({"buttons": (button(2, "url", "x" * 2001),)}, r"buttons\[2\].value has 2001 characters; WhatsApp takes 2000"),
        ({"buttons": (button(1, "copy_code", "x" * 16),)}, r"buttons\[1\].value has 16 characters; WhatsApp takes 15"),
        ({"buttons": (button(1, "flow", " "),)}, r"buttons\[1\].value is empty"),
    ],
)
def test_what_the_vendor_would_refuse_names_the_field_and_the_limit(fields: dict[str, Any], words: str) -> None:
    """Nothing is posted, and the author learns what to change."""
    with pytest.raises(Unrenderable, match=words):
        posted(**fields)


def test_what_is_exactly_as_long_as_allowed_goes_out() -> None:
    """The bounds themselves fit."""
    buttons = (button(0, "quick_reply", "x" * 128), button(9, "copy_code", "x" * 15))
    whole = components(header=TemplateHeaderText(text="x" * 60), parameters=("x" * 1020, "a b"), buttons=buttons)
    assert len(whole) == 4
    assert components(parameters=("a    b",))


@given(st.text(max_size=1100), st.text(max_size=70))
def test_any_words_fill_a_template_or_are_refused(body: str, header: str) -> None:
    """There is no third way, and what goes out holds no line break."""
    try:
        rendered = components(parameters=(body,), header=TemplateHeaderText(text=header))
    except Unrenderable:
        return
    texts = [parameter["text"] for component in rendered for parameter in component["parameters"]]
    assert texts == [header, body]
    assert not any(set(text) & set("\n\r\t") or "     " in text for text in texts)
