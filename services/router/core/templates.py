"""Approved templates: which one may be sent here, by its name or by what it is for."""

from __future__ import annotations

from collections.abc import Iterator

from services.router.core.languages import bounded
from shared.contact_centre.models import ContactCentre, MessageTemplate
from shared.contact_centre.templates import TemplateFillError, TemplateValues, fill_template
from shared.events.commands import SendTemplate
from shared.events.shapes import Template


class NoTemplateError(Exception):
    """No approved template fits; the message is for the person who asked."""


def find_template(
    centre: ContactCentre, command: SendTemplate, *, channel: str, account: str, language: str | None
) -> tuple[Template, str]:
    """Return the template that `command` means, in its language, else the conversation's `language`, else the fall-back; and which.

    Raises NoTemplateError where none is approved for the account, or what was given does not fill it.
    """
    if not (command.name or command.purpose):
        raise NoTemplateError("Say which template to send: its name, or what it is for (purpose).")
    candidates = tuple(_candidates(centre, command, channel, account))
    wanted = tuple(dict.fromkeys(one for one in (command.language, language, centre.fallback_language) if one))
    for asked in wanted:
        for template in candidates:
            approved = bounded(asked, template.languages)
            if approved is not None:
                return _fill(template, approved, command), approved
    asked_for = f"called {command.name}" if command.name else f"for {command.purpose}"
    raise NoTemplateError(f"No template {asked_for} is approved for this account in {' or '.join(wanted)}.")


def _candidates(centre: ContactCentre, command: SendTemplate, channel: str, account: str) -> Iterator[MessageTemplate]:
    """Yield the templates that the account may send and the command may mean, in configured order."""
    for template in centre.templates:
        meant = template.name == command.name if command.name else template.purpose == command.purpose
        if meant and template.channel == channel and (not template.accounts or f"{channel}:{account}" in template.accounts):
            yield template


def _fill(template: MessageTemplate, language: str, command: SendTemplate) -> Template:
    """Return the template's content with what `command` fills it with."""
    values = TemplateValues(command.parameters, command.named_parameters, command.header, command.buttons)
    try:
        return fill_template(template, language, values)
    except TemplateFillError as error:
        raise NoTemplateError(str(error)) from None
