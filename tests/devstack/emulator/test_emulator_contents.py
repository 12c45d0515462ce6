"""What each message type demands."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.requests import ReadReceipt, SendRequest, parse

BUTTONS = {
    "type": "button",
    "header": {"type": "text", "text": "Hello"},
    "body": {"text": "Choose"},
    "footer": {"text": "Thanks"},
    "action": {"buttons": [{"type": "reply", "reply": {"id": f"b{n}", "title": f"Button {n}"}} for n in range(3)]},
}
LIST = {
    "type": "list",
    "body": {"text": "Choose"},
    "action": {
        "button": "Open",
        "sections": [{"title": "One", "rows": [{"id": f"r{n}", "title": f"Row {n}", "description": "d"} for n in range(10)]}],
    },
}
CTA = {
    "type": "cta_url",
    "body": {"text": "See"},
    "action": {"name": "cta_url", "parameters": {"display_text": "Go", "url": "https://example.com"}},
}
REQUEST = {"type": "request_contact_info", "body": {"text": "Your number?"}, "action": {"name": "request_contact_info"}}
TEMPLATE = {"name": "t", "language": {"code": "en"}, "components": [{"type": "body", "parameters": [{"type": "text", "text": "x"}]}]}


def body(message_type: str, content: Any, **fields: Any) -> dict[str, Any]:
    """Return a request body."""
    return {"messaging_product": "whatsapp", "to": "+351912000001", "type": message_type, message_type: content, **fields}


def changed(value: Any, path: str, new: Any) -> Any:
    """Return a copy of `value` with the element at the dotted path replaced (None removes it)."""
    result = copy.deepcopy(value)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    owner = result
    for step in parents:
        owner = owner[step]
    if new is None:
        del owner[last]
    else:
        owner[last] = new
    return result


GOOD = [
    ("text", {"body": "x" * 4096}),
    ("image", {"link": "https://example.com/a.jpg", "caption": "x" * 1024}),
    ("image", {"id": "1"}),
    ("video", {"id": "1"}),
    ("audio", {"link": "http://example.com/a.ogg"}),
    ("document", {"id": "1", "filename": "a.pdf", "caption": "c"}),
    ("sticker", {"id": "1"}),
    ("location", {"latitude": -90, "longitude": "180", "name": "Pole"}),
    ("contacts", [{"name": {"formatted_name": "A"}, "phones": [{"phone": "+1"}]}]),
    ("reaction", {"message_id": "wamid.x", "emoji": "👍"}),
    ("reaction", {"message_id": "wamid.x", "emoji": ""}),
    ("interactive", BUTTONS),
    ("interactive", LIST),
    ("interactive", CTA),
    ("interactive", REQUEST),
    ("template", TEMPLATE),
    ("template", {"name": "t", "language": {"code": "en"}}),
]


@pytest.mark.parametrize(("message_type", "content"), GOOD)
def test_every_documented_type_is_read(message_type: str, content: Any) -> None:
    """A message within the limits is well-formed."""
    request = parse(body(message_type, content))
    assert isinstance(request, SendRequest)
    assert request.content == content


LONG_BUTTON = [*BUTTONS["action"]["buttons"], {"type": "reply", "reply": {"id": "b9", "title": "Nine"}}]  # type: ignore[index]  # a literal
TWIN_BUTTONS = [{"type": "reply", "reply": {"id": "same", "title": "A"}}, {"type": "reply", "reply": {"id": "same", "title": "B"}}]
TWIN_TITLES = [{"type": "reply", "reply": {"id": "1", "title": "A"}}, {"type": "reply", "reply": {"id": "2", "title": "A"}}]
ROWS = [{"id": f"r{n}", "title": "Row"} for n in range(6)]
TWO_SECTIONS = [{"title": "A", "rows": ROWS}, {"title": "B", "rows": [{**row, "id": row["id"] + "x"} for row in ROWS]}]
BAD = [
    ("text", {"body": "x" * 4097}, 100),
    ("text", {}, 131008),
    ("text", {"body": "  "}, 131008),
    ("text", "Hi", 131008),
    ("image", {}, 100),
    ("image", {"id": "1", "link": "https://example.com"}, 100),
    ("image", {"link": "ftp://example.com"}, 100),
    ("image", {"id": "1", "caption": "x" * 1025}, 100),
    ("audio", {"id": "1", "caption": "no"}, 100),
    ("sticker", {"id": ""}, 131008),
    ("location", {"latitude": 1}, 131008),
    ("location", {"latitude": 91, "longitude": 1}, 131009),
    ("location", {"latitude": "north", "longitude": 1}, 131009),
    ("contacts", [], 131008),
    ("contacts", [{"name": {}}], 131008),
    ("contacts", ["A"], 131009),
    ("reaction", {"emoji": "👍"}, 131008),
    ("reaction", {"message_id": "wamid.x"}, 131008),
    ("interactive", {"type": "carousel"}, 131009),
    ("interactive", changed(BUTTONS, "body", None), 131008),
    ("interactive", changed(BUTTONS, "body.text", "x" * 1025), 131009),
    ("interactive", changed(BUTTONS, "action.buttons", LONG_BUTTON), 131009),
    ("interactive", changed(BUTTONS, "action.buttons", TWIN_BUTTONS), 131009),
    ("interactive", changed(BUTTONS, "action.buttons", TWIN_TITLES), 131009),
    ("interactive", changed(BUTTONS, "action.buttons.0.type", "url"), 131009),
    ("interactive", changed(BUTTONS, "action.buttons.0.reply.title", "x" * 21), 131009),
    ("interactive", changed(BUTTONS, "action.buttons.0.reply.id", "x" * 257), 131009),
    ("interactive", changed(BUTTONS, "header.text", "x" * 61), 131009),
    ("interactive", changed(BUTTONS, "header.type", "sticker"), 131009),
    ("interactive", changed(BUTTONS, "footer.text", "x" * 61), 131009),
    ("interactive", changed(LIST, "body.text", "x" * 4097), 131009),
    ("interactive", changed(LIST, "action.button", "x" * 21), 131009),
    ("interactive", changed(LIST, "action.sections.0.rows.0.id", "x" * 201), 131009),
    ("interactive", changed(LIST, "action.sections.0.rows.0.title", "x" * 25), 131009),
    ("interactive", changed(LIST, "action.sections.0.rows.0.description", "x" * 73), 131009),
    ("interactive", changed(LIST, "action.sections.0.rows.0.id", "r1"), 131009),
    ("interactive", changed(LIST, "action.sections", TWO_SECTIONS), 131009),
    ("interactive", {**LIST, "header": {"type": "image", "image": {"id": "1"}}}, 131009),
    ("interactive", changed(CTA, "action.parameters.url", "example"), 100),
    ("interactive", changed(CTA, "action.parameters.display_text", "x" * 21), 131009),
    ("interactive", changed(REQUEST, "action.name", "other"), 131009),
    ("template", {"language": {"code": "en"}}, 131008),
    ("template", {"name": "t", "language": "en"}, 131008),
    ("template", changed(TEMPLATE, "components", {}), 100),
    ("template", changed(TEMPLATE, "components.0.type", "footer"), 100),
    ("template", changed(TEMPLATE, "components.0.parameters", "x"), 100),
    ("template", changed(TEMPLATE, "components.0.parameters.0.type", "emoji"), 100),
    ("template", changed(TEMPLATE, "components.0.parameters.0.text", None), 100),
]


@pytest.mark.parametrize(("message_type", "content", "code"), BAD)
def test_what_exceeds_a_limit_is_refused_with_its_code(message_type: str, content: Any, code: int) -> None:
    """Missing is 131008, out of bounds 131009, Graph's own checks 100."""
    error = parse(body(message_type, content))
    assert isinstance(error, MetaError)
    assert error.code == code
    assert error.details


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, 100),
        ([], 100),
        ({}, 100),
        (body("text", {"body": "x"}, messaging_product="messenger"), 100),
        (body("text", {"body": "x"}, type="poll"), 100),
        (body("text", {"body": "x"}, to=None), 100),
        (body("text", {"body": "x"}, to=351912000001), 100),
        (body("text", {"body": "x"}, recipient_type="group"), 100),
        (body("text", {"body": "x"}, type="image"), 131008),
        (body("text", {"body": "x"}, context={}), 131008),
        (body("text", {"body": "x"}, biz_opaque_callback_data="x" * 513), 100),
        ({"messaging_product": "whatsapp", "status": "delivered", "message_id": "wamid.x"}, 100),
        ({"messaging_product": "whatsapp", "status": "read"}, 131008),
        ({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x", "typing_indicator": {"type": "voice"}}, 131009),
    ],
)
def test_a_malformed_envelope_is_refused(value: Any, code: int) -> None:
    """What every message shares is checked first."""
    error = parse(value)
    assert isinstance(error, MetaError)
    assert error.code == code


def test_the_envelope_is_read_whole() -> None:
    """Recipient, context and opaque data arrive as given; the type defaults to text."""
    value = body("text", {"body": "x"}, recipient="PT.1", context={"message_id": "wamid.q"}, biz_opaque_callback_data="out-1")
    del value["type"]
    request = parse(value)
    assert isinstance(request, SendRequest)
    assert (request.recipient, request.context_message_id, request.callback_data, request.type) == ("PT.1", "wamid.q", "out-1", "text")


def test_a_read_receipt_may_show_typing() -> None:
    """A receipt is told from a send by its status; the typing indicator rides on it."""
    receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}
    assert parse(receipt) == ReadReceipt("wamid.x", typing=False)
    assert parse({**receipt, "typing_indicator": {"type": "text"}}) == ReadReceipt("wamid.x", typing=True)
