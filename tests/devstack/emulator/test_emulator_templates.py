"""What the vendor compares with the template on file: header, body, buttons, and what fills them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.requests import SendRequest, parse
from devstack.emulator.whatsapp.settings import Template
from devstack.emulator.whatsapp.templates import header_media_id, template_error
from tests.devstack.emulator.harness import Stage

ON_FILE = Template.model_validate(
    {
        "name": "order",
        "language": "pt_BR",
        "header": {"format": "DOCUMENT"},
        "body": "Pedido {{order}} de {{sum}}",
        "parameter_names": ["order", "sum"],
        "buttons": [
            {"type": "URL", "url": "https://example.com/{{1}}"},
            {"type": "QUICK_REPLY"},
            {"type": "PHONE_NUMBER"},
            {"type": "COPY_CODE"},
            {"type": "FLOW"},
            {"type": "URL", "url": "https://example.com/"},
        ],
    }
)
HEADER = {"type": "header", "parameters": [{"type": "document", "document": {"id": "7"}}]}
BODY = {
    "type": "body",
    "parameters": [{"type": "text", "parameter_name": "order", "text": "17"}, {"type": "text", "parameter_name": "sum", "text": "5 €"}],
}


def button(index: int, sub_type: str, parameter: dict[str, Any] | None) -> dict[str, Any]:
    """Return a button's component."""
    return {"type": "button", "sub_type": sub_type, "index": str(index), "parameters": [parameter] if parameter else []}


LINK = button(0, "url", {"type": "text", "text": "17"})
CODE = button(3, "copy_code", {"type": "coupon_code", "coupon_code": "FIVE"})
WHOLE = [HEADER, BODY, LINK, CODE]


def error_of(components: list[dict[str, Any]], template: Template = ON_FILE) -> tuple[int, str] | None:
    """Return the code and details with which a send with `components` is refused."""
    content = {"name": template.name, "language": {"code": template.language}, "components": components}
    request = parse({"messaging_product": "whatsapp", "to": "+351912000001", "type": "template", "template": content})
    error = request if isinstance(request, MetaError) else template_error(content, template)
    assert isinstance(request, SendRequest | MetaError)
    return None if error is None else (error.code, error.details or "")


@pytest.mark.parametrize(
    "components",
    [
        WHOLE,
        [*WHOLE, button(1, "quick_reply", {"type": "payload", "payload": "question"})],
        [*WHOLE, button(4, "flow", {"type": "action", "action": {"flow_token": "t"}})],
        [{"type": "HEADER", "parameters": HEADER["parameters"]}, *WHOLE[1:]],
    ],
)
def test_a_template_that_is_filled_as_it_was_approved_passes(components: list[dict[str, Any]]) -> None:
    """Quick replies and forms may be left out; types are read in either case."""
    assert error_of(components) is None


@pytest.mark.parametrize(
    ("components", "code", "words"),
    [
        ([BODY, LINK, CODE], 132012, "header: Format mismatch, expected DOCUMENT, received UNKNOWN"),
        ([{"type": "header", "parameters": [{"type": "image", "image": {"id": "7"}}]}, BODY, LINK, CODE], 132012, "received IMAGE"),
        ([{"type": "header", "parameters": [{"type": "document", "document": {}}]}, BODY, LINK, CODE], 100, "mandatory"),
        ([{"type": "header", "parameters": [{"type": "document", "document": {"id": "1", "caption": "c"}}]}], 100, "caption"),
        ([{"type": "header", "parameters": [{"type": "location", "location": {"latitude": 1}}]}], 131008, "longitude"),
        ([HEADER, LINK, CODE], 132000, "body: number of localizable_params (0) does not match the expected number of params (2)"),
        ([HEADER, {**BODY, "parameters": BODY["parameters"][:1]}, LINK, CODE], 132000, "(1)"),
        ([HEADER, {**BODY, "parameters": [{"type": "text", "text": "a"}] * 2}, LINK, CODE], 100, "name is missing"),
        ([HEADER, {**BODY, "parameters": [BODY["parameters"][0]] * 2}, LINK, CODE], 132012, "order, sum"),
        ([HEADER, {**BODY, "parameters": [{"type": "payload", "payload": "a"}] * 2}, LINK, CODE], 132012, "received PAYLOAD"),
        ([HEADER, BODY, CODE], 131008, "Button at index 0 of type Url requires a parameter"),
        ([HEADER, BODY, LINK], 131008, "Button at index 3 of type CopyCode requires a parameter"),
        ([HEADER, BODY, button(0, "url", None), CODE], 131008, "index 0 of type Url"),
        ([*WHOLE, button(5, "url", {"type": "text", "text": "x"})], 100, "does not support parameters"),
        ([*WHOLE, button(2, "quick_reply", {"type": "payload", "payload": "x"})], 100, "Call and does not support"),
        ([*WHOLE, button(2, "phone_number", {"type": "text", "text": "x"})], 100, "sub_type"),
        ([*WHOLE, button(9, "url", {"type": "text", "text": "x"})], 132000, "index 9"),
        ([HEADER, BODY, button(0, "quick_reply", {"type": "payload", "payload": "x"}), CODE], 132012, "expected URL"),
        ([HEADER, BODY, button(0, "url", {"type": "payload", "payload": "x"}), CODE], 132012, "parameter of type text"),
        ([*WHOLE, {"type": "button", "sub_type": "url", "parameters": []}], 131008, "index"),
        ([HEADER, BODY, LINK, button(3, "copy_code", {"type": "coupon_code", "coupon_code": "x" * 16})], 131009, "15"),
    ],
)
def test_what_does_not_fit_the_template_is_refused(components: list[dict[str, Any]], code: int, words: str) -> None:
    """Counts, kinds, names and missing values have their codes, and the details say which component."""
    error = error_of(components)
    assert error is not None
    assert error[0] == code
    assert words in error[1]


@pytest.mark.parametrize("value", ["two\nlines", "a\ttab", "five     spaces"])
def test_line_breaks_tabs_and_runs_of_spaces_are_refused(value: str) -> None:
    """In a parameter of the body or the header: 132018."""
    template = Template(name="t", language="en", body_parameters=1)
    error = error_of([{"type": "body", "parameters": [{"type": "text", "text": value}]}], template)
    assert error is not None
    assert error[0] == 132018
    assert error_of([{"type": "body", "parameters": [{"type": "text", "text": "four    spaces"}]}], template) is None


def test_a_text_header_has_one_parameter_and_sixty_characters() -> None:
    """Too many, too few, and too long in all."""
    template = Template.model_validate({"name": "t", "language": "en", "header": {"format": "TEXT", "text": "Order {{1}}"}})

    def header(*values: str) -> list[dict[str, Any]]:
        return [{"type": "header", "parameters": [{"type": "text", "text": value} for value in values]}]

    codes = [(found := error_of(header(*values), template)) and found[0] for values in (["17"], [], ["1", "2"], ["x" * 55])]
    assert codes == [None, 132000, 132000, 132005]


def test_a_body_that_becomes_too_long_is_refused() -> None:
    """What counts is the text as the customer would see it."""
    template = Template(name="t", language="en", body="Hello {{1}}", body_parameters=1)
    codes = []
    for length in (1018, 1019):
        error = error_of([{"type": "body", "parameters": [{"type": "text", "text": "x" * length}]}], template)
        codes.append(error and error[0])
    assert codes == [None, 132005]


@pytest.mark.parametrize("language", ["pt", "zh", "is", "en-US", "EN"])
def test_no_template_is_on_file_in_a_language_without_a_code(language: str) -> None:
    """The vendor knows pt_BR and pt_PT, not pt; and no Icelandic."""
    with pytest.raises(ValidationError, match="knows no templates"):
        Template(name="t", language=language)


def test_the_file_of_a_header_is_found_by_its_id() -> None:
    """A link has none."""
    linked = {"type": "header", "parameters": [{"type": "document", "document": {"link": "https://example.com/a.pdf"}}]}
    assert header_media_id({"components": [BODY, HEADER]}) == "7"
    assert header_media_id({"components": [BODY, linked]}) is None


async def test_a_header_with_an_unknown_file_is_refused(stage: Stage) -> None:
    """As with any other media id: 131009."""
    await stage.control.put_template("paper", "en", header={"format": "DOCUMENT"}, body="Here it is")
    await stage.customer()
    content = {"name": "paper", "language": {"code": "en"}, "components": [HEADER]}
    status, answer = await stage.api({"messaging_product": "whatsapp", "to": "+351912000001", "type": "template", "template": content})
    assert (status, answer["error"]["code"]) == (400, 131009)
