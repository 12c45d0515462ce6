"""What the models cannot see by themselves: names that must exist elsewhere, and parts that contradict each other.

Every check yields problems and goes on, so that a person sees all of them at once. The loader knows the lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import holidays
from holidays.registry import EntityLoader

from shared.contact_centre.models import (
    Break,
    Calendar,
    ContactCentre,
    HeaderOnFile,
    Hours,
    MessageTemplate,
    Promise,
    TemplateText,
    placeholders_in,
)
from shared.contact_centre.yaml_files import DataPath
from shared.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot stay as it is, and where."""

    path: DataPath
    message: str


class RefusedConfigurationError(ConfigurationError):
    """What a service refuses to build rules from: `problems` say where it stands, for whoever has the files' lines."""

    def __init__(self, message: str, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join([message, *(problem.message for problem in problems)]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Names:
    """The names that the configuration declares, also those whose own entry is wrong: a reference to them is right."""

    languages: Collection[str] = ()
    departments: Collection[str] = ()
    pools: Collection[str] = ()
    calendars: Collection[str] = ()
    accounts: Collection[str] = ()
    faq: Collection[str] = ()
    flows: Collection[str] = ()
    steps: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The steps of each flow."""

    @classmethod
    def declared_in(cls, data: Mapping[str, Any]) -> Names:
        """Return the names in `data` as read from the files, which may be of any shape."""
        flows = _mapping(data.get("flows"))
        return cls(
            languages=[language for language in _list(data.get("languages")) if isinstance(language, str)],
            departments=_mapping(data.get("departments")),
            pools=_mapping(data.get("pools")),
            calendars=_mapping(data.get("calendars")),
            accounts=_mapping(data.get("accounts")),
            faq=[str(entry["id"]) for entry in _list(data.get("faq")) if isinstance(entry, dict) and "id" in entry],
            flows=flows,
            steps={name: _mapping(_mapping(flow).get("steps")) for name, flow in flows.items()},
        )

    @property
    def channels(self) -> Collection[str]:
        """Return the channels on which we have an account."""
        return {account.partition(":")[0] for account in self.accounts}


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    """Return `value` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def suggestion(value: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for what is nearest to `value`, or what there is to choose from, or nothing."""
    names = sorted(known)
    near = get_close_matches(value, names, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    few = 12
    return f"; there is {', '.join(names)}" if 0 < len(names) <= few else ""


def unknown(kind: str, value: str | None, known: Iterable[str], path: DataPath) -> Iterator[Problem]:
    """Yield a problem where `value` is given and not one of `known`."""
    names = list(known)
    if value is not None and value not in names:
        yield Problem(path, f"unknown {kind} '{value}'{suggestion(value, names)}")


def unknown_languages(spoken: Iterable[str], names: Names, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each language of a text that the contact centre does not speak."""
    for language in spoken:
        yield from unknown("language", language, names.languages, (*path, language))


def repeated(values: Iterable[str], kind: str, path: DataPath, *, last: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Yield a problem for each value of a list that stood in it before."""
    seen: Counter[str] = Counter()
    for index, value in enumerate(values):
        if seen[value]:
            yield Problem((*path, index, *last), f"{kind} '{value}' stands twice")
        seen[value] += 1


def check_centre(centre: ContactCentre, names: Names) -> Iterator[Problem]:
    """Yield what is wrong between the parts of `centre`, flows and FAQ excepted."""
    yield from repeated(centre.languages, "language", ("languages",))
    yield from unknown("language", centre.fallback_language, names.languages, ("fallback_language",))
    yield from unknown_languages(centre.day_names, names, ("day_names",))
    yield from _departments(centre, names)
    yield from _accounts(centre, names)
    yield from _agents(centre, names)
    for name, calendar in centre.calendars.items():
        yield from _calendar(calendar, ("calendars", name))
    yield from _promises(centre.promises, names)
    yield from _templates(centre.templates, names)
    for channel in centre.windows:
        yield from unknown("channel", channel, names.channels, ("windows", channel))


def _departments(centre: ContactCentre, names: Names) -> Iterator[Problem]:
    """Yield what is wrong with departments."""
    for name, department in centre.departments.items():
        path = ("departments", name)
        yield from unknown("pool", department.pool, names.pools, (*path, "pool"))
        yield from unknown_languages(department.title, names, (*path, "title"))
        yield from unknown_languages(department.keywords, names, (*path, "keywords"))


def _accounts(centre: ContactCentre, names: Names) -> Iterator[Problem]:
    """Yield what is wrong with accounts."""
    for name, account in centre.accounts.items():
        path = ("accounts", name)
        if not re.fullmatch(r"[^:]+:[^:]+", name):
            yield Problem(path, f"'{name}' is no account; write <channel>:<account>, for example whatsapp:100000000000001")
        yield from unknown("department", account.department, names.departments, (*path, "department"))
        yield from unknown("language", account.language, names.languages, (*path, "language"))
        yield from unknown("flow", account.flow, names.flows, (*path, "flow"))
        for key, value in account.settings.items():
            if isinstance(value, str) and value.lower() in {"yes", "no", "on", "off"}:
                yield Problem((*path, "settings", key), f"'{value}' is text here; write true or false")


def _agents(centre: ContactCentre, names: Names) -> Iterator[Problem]:
    """Yield what is wrong with agents; an agent sits in one pool, so work of other pools' departments would never come."""
    for name, agent in centre.agents.items():
        path = ("agents", name)
        yield from unknown("pool", agent.pool, names.pools, (*path, "pool"))
        yield from unknown("calendar", agent.calendar, names.calendars, (*path, "calendar"))
        for index, language in enumerate(agent.languages):
            yield from unknown("language", language, names.languages, (*path, "languages", index))
        for index, department in enumerate(agent.departments):
            where = (*path, "departments", index)
            yield from unknown("department", department, names.departments, where)
            known = centre.departments.get(department)
            if known is not None and known.pool in names.pools and known.pool != agent.pool:
                yield Problem(where, f"work of '{department}' waits in pool '{known.pool}', but the agent sits in '{agent.pool}'")


@cache
def _time_zones() -> Collection[str]:
    """Return the time zones there are: a search of the disk, so it is done once."""
    return available_timezones()


def _calendar(calendar: Calendar, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with a calendar."""
    yield from unknown("time zone", calendar.time_zone, _time_zones(), (*path, "time_zone"))
    for index, code in enumerate(calendar.holidays):
        yield from _holidays(code, (*path, "holidays", index))
    for index, hours in enumerate(calendar.hours):
        where = (*path, "hours", index)
        yield from repeated(hours.days, "day", (*where, "days"))
        for number, pause in enumerate(hours.breaks):
            if not _inside(pause, hours):
                yield Problem((*where, "breaks", number), f"the break is not inside of {hours.from_:%H:%M} to {hours.until:%H:%M}")


def _holidays(code: str, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for a country or a subdivision whose holidays nobody knows."""
    country, _, subdivision = code.partition("-")
    if country not in _countries():
        yield Problem(path, f"no holidays are known for country '{country}'; write its ISO 3166 code, for example LV")
        return
    subdivisions = type(holidays.country_holidays(country)).subdivisions
    if subdivision and subdivision not in subdivisions:
        yield Problem(path, f"no holidays are known for '{subdivision}' in {country}{suggestion(subdivision, subdivisions)}")


@cache
def _countries() -> Collection[str]:
    """Return the countries whose holidays are known, by their codes alone: listing them with their subdivisions imports all of them."""
    return frozenset(EntityLoader.get_country_codes(include_aliases=True))


def _minutes(of: time) -> int:
    """Return the minutes since midnight."""
    return of.hour * 60 + of.minute


def _inside(pause: Break, hours: Hours) -> bool:
    """Return whether the break lies inside of the hours, both counted from the hours' beginning."""
    day = 24 * 60
    begin = _minutes(hours.from_)
    length = (_minutes(hours.until) - begin) % day or day
    pause_begin = (_minutes(pause.from_) - begin) % day
    pause_length = (_minutes(pause.until) - _minutes(pause.from_)) % day
    return pause_length > 0 and pause_begin + pause_length <= length


def _promises(promises: tuple[Promise, ...], names: Names) -> Iterator[Problem]:
    """Yield what is wrong with promises; the first that matches counts, so nothing may stand behind one that matches all."""
    yield from repeated((promise.name for promise in promises), "promise", ("promises",), last=("name",))
    catch_all: str | None = None
    for index, promise in enumerate(promises):
        path = ("promises", index)
        yield from unknown("calendar", promise.calendar, names.calendars, (*path, "calendar"))
        for number, channel in enumerate(promise.channels):
            yield from unknown("channel", channel, names.channels, (*path, "channels", number))
        for number, department in enumerate(promise.departments):
            yield from unknown("department", department, names.departments, (*path, "departments", number))
        targets = {name: getattr(promise, name) for name in ("first_response", "next_response", "resolution")}
        for name, target in targets.items():
            if target is not None and any(not 0 < minutes < target.target_minutes for minutes in target.warn_before_minutes):
                yield Problem((*path, name, "warn_before_minutes"), f"warn between 0 and {target.target_minutes:g} minutes before")
        if not any(targets.values()):
            yield Problem(path, "this promises nothing; give first_response, next_response or resolution")
        if catch_all is not None:
            yield Problem(path, f"this is never reached: '{catch_all}' before it matches every conversation")
        if not (promise.channels or promise.departments or promise.priority_from):
            catch_all = promise.name


def _templates(templates: tuple[MessageTemplate, ...], names: Names) -> Iterator[Problem]:
    """Yield what is wrong with templates."""
    yield from repeated((f"{one.channel}/{one.name}" for one in templates), "template", ("templates",), last=("name",))
    yield from _approved_twice(templates)
    for index, template in enumerate(templates):
        path = ("templates", index)
        yield from unknown("channel", template.channel, names.channels, (*path, "channel"))
        yield from unknown_languages(template.languages, names, (*path, "languages"))
        for number, account in enumerate(template.accounts):
            of_channel = {name for name in names.accounts if name.startswith(f"{template.channel}:")}
            yield from unknown(f"{template.channel} account", account, of_channel, (*path, "accounts", number))
        for language, text in template.languages.items():
            yield from _template_text(text, (*path, "languages", language))


def _approved_twice(templates: tuple[MessageTemplate, ...]) -> Iterator[Problem]:
    """Yield the texts that would be sent under a name and code that another text has: the channel knows only one of them."""
    seen: set[tuple[str, str, str]] = set()
    for index, template in enumerate(templates):
        for language, text in template.languages.items():
            approved = (template.channel, text.name or template.name, text.code or language)
            if approved in seen:
                message = f"'{approved[1]}' in {approved[2]} stands twice; a language without a code of its own needs a name of its own"
                yield Problem(("templates", index, "languages", language, "body"), message)
            seen.add(approved)


def _template_text(text: TemplateText, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with a template in one language."""
    placeholders = set(placeholders_in(text.body))
    declared = set(text.parameter_names) or {str(number) for number in range(1, text.parameters + 1)}
    if text.parameter_names and text.parameters:
        yield Problem((*path, "parameters"), "placeholders are counted (parameters) or named (parameter_names), not both")
    elif placeholders != declared:
        said = f"parameter_names says {', '.join(text.parameter_names)}" if text.parameter_names else f"parameters says {text.parameters}"
        yield Problem((*path, "body"), f"{said}, the body has {', '.join(sorted(placeholders)) or 'none'}; they count from 1")
    if text.header is not None:
        yield from _template_header(text.header, (*path, "header"))
    for number, button in enumerate(text.buttons):
        where = (*path, "buttons", number)
        if (button.kind == "url") != (button.url is not None):
            yield Problem((*where, "kind"), "a url button needs its url, and no other button has one")
        elif placeholders_in(button.url or "") and not re.search(r"\{\{\s*\w+\s*\}\}$", button.url or ""):
            yield Problem((*where, "url"), "the placeholder of a web address stands at its end")


def _template_header(header: HeaderOnFile, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with a header."""
    if (header.kind == "text") != (header.text is not None):
        yield Problem((*path, "kind"), "a text header needs its text, and no other header has one")
    if len(header.placeholders) > 1:
        yield Problem((*path, "text"), "a header has at most one placeholder")
    if header.kind in {"text", "location"} and (header.media_id or header.url or header.filename):
        yield Problem((*path, "kind"), f"a {header.kind} header has no file")
