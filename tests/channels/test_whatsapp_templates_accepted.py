"""What the renderer makes of the example's templates is what the emulator, which shares no code with it, accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devstack.emulator.whatsapp.requests import SendRequest, parse
from devstack.emulator.whatsapp.settings import Template as OnFile
from devstack.emulator.whatsapp.templates import render, template_error
from devstack.stack import on_file
from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import MessageTemplate, TemplateText
from shared.contact_centre.templates import TemplateValues, fill_template
from shared.events.sends import Lane, Permission, SendRequested
from shared.events.shapes import Customer, Media, TemplateButton, TemplateHeader

CONFIG = Path(__file__).parents[2] / "config"
TEMPLATES = [(template, language) for template in load_contact_centre(CONFIG).templates for language in template.languages]
CHANNEL = channel(WhatsAppSettings())


def values_for(text: TemplateText) -> TemplateValues:
    """Return something for everything that the template takes."""
    header: TemplateHeader | None = None
    if text.header is not None:
        header = Media.model_validate({"media_kind": text.header.kind, "media_id": "7"})
    buttons = [
        TemplateButton.model_validate({"index": index, "kind": button.kind, "value": f"value-{index}"})
        for index, button in enumerate(text.buttons)
        if button.takes_value
    ]
    named = {name: f"<{name}>" for name in text.parameter_names}
    return TemplateValues(tuple(str(number) for number in range(text.parameters)), named, header, tuple(buttons))


def posted(template: MessageTemplate, language: str) -> dict[str, Any]:
    """Return the JSON that would be posted."""
    send = SendRequested(
        send_id="s",
        reply_id="r",
        channel="whatsapp",
        account="1",
        to=Customer(id="351912000001"),
        permission=Permission.TEMPLATE,
        content=fill_template(template, language, values_for(template.languages[language])),
        lane=Lane.ANSWER,
    )
    body: dict[str, Any] = json.loads(CHANNEL.render(send).body)
    return body


@pytest.mark.parametrize(("template", "language"), TEMPLATES, ids=[f"{template.name}-{language}" for template, language in TEMPLATES])
def test_every_template_of_the_example_is_accepted(template: MessageTemplate, language: str) -> None:
    """Name, code, header, names, buttons: nothing that the vendor would refuse; the customer reads what was filled in."""
    text = template.languages[language]
    known = OnFile.model_validate(on_file(template, language, text))
    request = parse(posted(template, language))
    assert isinstance(request, SendRequest)
    assert (request.content["name"], request.content["language"]["code"]) == (known.name, known.language)
    assert template_error(request.content, known) is None
    read = render(request.content, known)
    assert "{{" not in read
    assert all(f"<{name}>" in read for name in text.parameter_names)
