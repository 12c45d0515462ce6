"""The composition root of sla: contact centre and channels' policies in, the reducer out."""

from __future__ import annotations

from collections.abc import Mapping

from services.sla.core.rules import COME_BACK, compile_rules
from services.sla.core.thread import SlaReducer
from shared.channels.contract import Policy
from shared.contact_centre.calendars import CompiledCalendar
from shared.contact_centre.models import ContactCentre
from shared.errors import ConfigurationError


def build_reducer(centre: ContactCentre, policies: Mapping[str, Policy]) -> SlaReducer:
    """Return the reducer for `centre` (as the loader checked it) on the channels whose `policies`, by channel name, are given.

    Raises ConfigurationError where a template that is sent by itself would need words that nobody fills in.
    """
    mistakes = _template_mistakes(centre)
    if mistakes:
        raise ConfigurationError("the templates cannot be used when a reply window is closed:\n" + "\n".join(mistakes))
    wanted = {promise.calendar for promise in centre.promises}
    return SlaReducer(compile_rules(centre, policies, {name: CompiledCalendar(centre.calendars[name]) for name in wanted}))


def _template_mistakes(centre: ContactCentre) -> list[str]:
    """Return what is wrong with the templates that ask a customer to come back."""
    return [
        f"the template {template.name} in {language} has the purpose {COME_BACK} and takes {text.parameters} parameters: "
        "it is sent by itself, so use one without parameters"
        for template in centre.templates
        if template.purpose == COME_BACK
        for language, text in template.languages.items()
        if text.parameters
    ]
