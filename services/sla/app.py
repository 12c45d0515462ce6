"""The composition root of sla: contact centre and channels' policies in, the reducer out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.sla.core.rules import COME_BACK, compile_rules
from services.sla.core.thread import SlaReducer
from shared.channels.contract import Policy
from shared.contact_centre.calendars import CompiledCalendar
from shared.contact_centre.checks import Problem, RefusedConfigurationError
from shared.contact_centre.models import ContactCentre
from shared.contact_centre.templates import TemplateFillError, fill_template


def build_reducer(centre: ContactCentre, policies: Mapping[str, Policy]) -> SlaReducer:
    """Return the reducer for `centre` (as the loader checked it) on the channels whose `policies`, by channel name, are given.

    Raises RefusedConfigurationError where a template that is sent by itself would need words that nobody fills in, or is in a language
    under which its channel approves none.
    """
    problems = (*_come_back_problems(centre), *_language_problems(centre, policies))
    if problems:
        raise RefusedConfigurationError("the templates cannot be used when a reply window is closed:", problems)
    wanted = {promise.calendar for promise in centre.promises}
    return SlaReducer(compile_rules(centre, policies, {name: CompiledCalendar(centre.calendars[name]) for name in wanted}))


def _come_back_problems(centre: ContactCentre) -> Iterator[Problem]:
    """Yield what is wrong with the templates that ask a customer to come back: nobody fills them in when they are sent."""
    for number, template in enumerate(centre.templates):
        for language in template.languages if template.purpose == COME_BACK else ():
            try:
                fill_template(template, language)
            except TemplateFillError as error:
                yield Problem(
                    ("templates", number, "languages", language),
                    f"the template {template.name} in {language} has the purpose {COME_BACK} and is sent by itself, "
                    f"so use one that needs no values: {error}",
                )


def _language_problems(centre: ContactCentre, policies: Mapping[str, Policy]) -> Iterator[Problem]:
    """Yield the templates in languages under which their channel approves none."""
    for number, template in enumerate(centre.templates):
        policy = policies.get(template.channel)
        known = policy.template_languages if policy is not None else ()
        for language, text in template.languages.items():
            code = text.code or language
            if known and code not in known:
                like = ", ".join(one for one in known if one.startswith(f"{language[:2]}-")) or "another language's"
                yield Problem(
                    ("templates", number, "languages", language),
                    f"the template {template.name} in {language} would be sent as {code}, under which {template.channel} approves no "
                    f"templates; give the code it was approved under, for example code: {like}",
                )
