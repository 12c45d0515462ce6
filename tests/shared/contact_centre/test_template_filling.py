"""A template is filled as it was approved, or whoever sends it is told what it takes."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contact_centre.models import MessageTemplate
from shared.contact_centre.templates import TemplateFillError, TemplateValues, fill_template
from shared.events.shapes import Location, Media, Template, TemplateButton, TemplateHeaderText

BUTTONS = [
    {"kind": "url", "text": "Pay", "url": "https://example.com/{{1}}"},
    {"kind": "quick_reply", "text": "Question"},
    {"kind": "phone_number", "text": "Call"},
    {"kind": "copy_code", "text": "Copy"},
    {"kind": "url", "text": "Home", "url": "https://example.com"},
]
LINK = TemplateButton(index=0, kind="url", value="17")
CODE = TemplateButton(index=3, kind="copy_code", value="FIVE")


def fill(values: TemplateValues, **text: Any) -> Template:
    """Return a template of which the text on file has these fields, filled with `values`."""
    on_file = {"name": "order", "channel": "chat", "purpose": "p", "category": "utility", "languages": {"pt": {"body": "b", **text}}}
    return fill_template(MessageTemplate.model_validate(on_file), "pt", values)


def test_the_channels_own_name_and_code_are_sent() -> None:
    """Where a language has another code or needed another template, that is what the channel knows."""
    assert fill(TemplateValues()) == Template(name="order", language="pt")
    assert fill(TemplateValues(), code="pt-BR", name="order_br") == Template(name="order_br", language="pt-BR")


def test_everything_that_was_given_is_in_the_content() -> None:
    """Named parameters, header and buttons; the header takes its placeholder's name."""
    values = TemplateValues(named_parameters={"order": "17"}, header=TemplateHeaderText(text="17"), buttons=(LINK, CODE))
    text = {"parameter_names": ["order"], "header": {"kind": "text", "text": "Order {{order}}"}, "buttons": BUTTONS}
    assert fill(values, **text) == Template(
        name="order",
        language="pt",
        named_parameters={"order": "17"},
        header=TemplateHeaderText(text="17", name="order"),
        buttons=(LINK, CODE),
    )


@pytest.mark.parametrize(
    ("header", "given", "expected"),
    [
        ({"kind": "text", "text": "Order {{1}}"}, TemplateHeaderText(text="17"), TemplateHeaderText(text="17")),
        ({"kind": "text", "text": "Hello"}, None, None),
        ({"kind": "image", "url": "https://example.com/a.png"}, None, Media(media_kind="image", url="https://example.com/a.png")),
        ({"kind": "image", "media_id": "7"}, Media(media_kind="image", media_id="8"), Media(media_kind="image", media_id="8")),
        ({"kind": "document", "media_id": "7", "filename": "a.pdf"}, None, Media(media_kind="document", media_id="7", filename="a.pdf")),
        ({"kind": "location"}, Location(latitude=1, longitude=2), Location(latitude=1, longitude=2)),
    ],
)
def test_a_header_is_the_given_one_or_the_file_on_file(header: dict[str, Any], given: Any, expected: Any) -> None:
    """A file that never changes need not be given at each send."""
    assert fill(TemplateValues(header=given), header=header).header == expected


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ({"parameters": 1}, TemplateValues(), "takes 1 parameters; 0 were given"),
        ({}, TemplateValues(parameters=("a",)), "takes 0 parameters; 1 were given"),
        ({"parameter_names": ["a", "b"]}, TemplateValues(named_parameters={"a": "x"}), "named parameters a, b; given were a"),
        ({}, TemplateValues(named_parameters={"a": "x"}), "named parameters none; given were a"),
        ({}, TemplateValues(header=TemplateHeaderText(text="x")), "no header that could be filled"),
        ({"header": {"kind": "text", "text": "Hi"}}, TemplateValues(header=TemplateHeaderText(text="x")), "no header that could be filled"),
        ({"header": {"kind": "image"}}, TemplateValues(), "header of the kind image; nothing was given"),
        ({"header": {"kind": "image"}}, TemplateValues(header=Media(media_kind="video", media_id="1")), "kind image; video was given"),
        ({"header": {"kind": "location"}}, TemplateValues(header=TemplateHeaderText(text="x")), "kind location; text was given"),
        ({"buttons": BUTTONS}, TemplateValues(buttons=(LINK,)), r"button 3 \(copy_code\) needs a value"),
        ({"buttons": BUTTONS}, TemplateValues(buttons=(CODE,)), r"button 0 \(url\) needs a value"),
        ({"buttons": BUTTONS}, TemplateValues(buttons=(LINK, LINK, CODE)), "two values"),
        ({"buttons": BUTTONS}, TemplateValues(buttons=(LINK, CODE, TemplateButton(index=5, kind="url", value="x"))), "no.* index 5"),
        ({"buttons": BUTTONS}, TemplateValues(buttons=(LINK, CODE, TemplateButton(index=4, kind="url", value="x"))), "takes no url value"),
        (
            {"buttons": BUTTONS},
            TemplateValues(buttons=(LINK, CODE, TemplateButton(index=1, kind="url", value="x"))),
            "of the kind quick_reply and takes no url value",
        ),
    ],
)
def test_what_does_not_fit_is_explained(text: dict[str, Any], values: TemplateValues, words: str) -> None:
    """The message names the template, the language, and what it takes."""
    with pytest.raises(TemplateFillError, match=f"Template order in pt.*{words}"):
        fill(values, **text)
