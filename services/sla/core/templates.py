"""Which approved template asks a customer to come back, and in which language."""

from __future__ import annotations

from services.sla.core.rules import ChannelRules
from services.sla.state import SlaState
from shared.contact_centre.models import MessageTemplate


def find_come_back(channel: ChannelRules, state: SlaState, wanted: tuple[str, ...]) -> tuple[MessageTemplate, str] | None:
    """Return the template for the thread's account and the language to take, the languages in the order in which they are `wanted`.

    A language of the same family will do where the very one is missing (`pt-BR` for `pt`). Marketing is left out for those who
    do not want it.
    """
    account = f"{state.channel}:{state.account}"
    usable = [template for template in channel.come_back if not template.accounts or account in template.accounts]
    if state.opted_out:
        usable = [template for template in usable if template.category != "marketing"]
    for language in wanted:
        found = _in_language(usable, language) or _in_family(usable, language)
        if found is not None:
            return found
    return None


def _in_language(templates: list[MessageTemplate], language: str) -> tuple[MessageTemplate, str] | None:
    """Return the first template that is approved in exactly this language."""
    return next(((template, language) for template in templates if language in template.languages), None)


def _in_family(templates: list[MessageTemplate], language: str) -> tuple[MessageTemplate, str] | None:
    """Return the first template that is approved in a language of the same family, and that language."""
    return next(
        ((template, other) for template in templates for other in template.languages if family_of(other) == family_of(language)), None
    )


def family_of(language: str) -> str:
    """Return the language without its region: `pt` of `pt-BR`."""
    return language.split("-", 1)[0]
