"""What must hold inside a bot flow and the FAQ: every step leads somewhere, is reached, has what its kind needs, and never spins."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import get_args

from shared.contact_centre.checks import Names, Problem, repeated, unknown, unknown_languages
from shared.contact_centre.models import (
    MENU_TEXT_CHARACTERS_MAX,
    OPTION_TITLE_CHARACTERS_MAX,
    OPTIONS_MAX,
    BuiltInAttribute,
    ContactCentre,
    FaqEntry,
    Flow,
    FlowStep,
)
from shared.contact_centre.yaml_files import DataPath

NEEDED: Mapping[str, tuple[str, ...]] = {
    "answer": ("text",),
    "menu": ("text", "options"),
    "question": ("text", "attribute", "next"),
    "condition": ("attribute", "next", "otherwise"),
    "set_attribute": ("attribute", "value", "next"),
    "tag": ("tag", "next"),
    "faq": (),
    "hand_off": (),
    "close": (),
}
"""The fields that a step of each kind must have."""
POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "answer": ("next",),
    "menu": ("otherwise",),
    "condition": ("equals",),
    "faq": ("text", "otherwise"),
    "hand_off": ("text", "department"),
    "close": ("text",),
}
"""The fields that a step may have besides; any other would never count."""
WAITING = frozenset({"menu", "question", "faq", "hand_off", "close"})
"""Kinds at which the bot stops for the customer, or for good."""
AWAY_PLACEHOLDERS = frozenset({"{day}", "{time}", "{zone}"})


def check_flows(centre: ContactCentre, names: Names, *, incomplete: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong in the flows and the FAQ of `centre`.

    `incomplete` are flows from which a wrong part was left out: whether their steps are reached cannot be said yet.
    """
    yield from repeated((entry.id for entry in centre.faq), "FAQ entry", ("faq",), last=("id",))
    for index, entry in enumerate(centre.faq):
        yield from _faq_entry(entry, centre, names, ("faq", index))
    for name, flow in centre.flows.items():
        path: DataPath = ("flows", name)
        yield from _flow_texts(flow, centre, names, path)
        yield from unknown("step", flow.start, names.steps[name], (*path, "start"))
        for index, entry_id in enumerate(flow.faq):
            yield from unknown("FAQ entry", entry_id, names.faq, (*path, "faq", index))
        for step_name, step in flow.steps.items():
            where = (*path, "steps", step_name)
            yield from _fields(step, where)
            yield from _references(step, names, steps=names.steps[name], path=where)
            yield from _step_texts(step, centre, names, where)
        if name not in incomplete:
            yield from _unreachable(flow, path)
            yield from _spinning(flow, path)


def _faq_entry(entry: FaqEntry, centre: ContactCentre, names: Names, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with an entry: who asks in a language must be answered in it, or at least in the fallback."""
    yield from unknown_languages(entry.questions, names, (*path, "questions"))
    yield from unknown_languages(entry.answers, names, (*path, "answers"))
    for language in entry.questions:
        if language not in entry.answers and centre.fallback_language not in entry.answers:
            message = f"'{entry.id}' is asked in '{language}', but answered neither in it nor in '{centre.fallback_language}'"
            yield Problem((*path, "questions", language), message)


def _said(texts: Mapping[str, object], centre: ContactCentre, names: Names, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with something that is said: unknown languages, or nothing in the fallback language."""
    yield from unknown_languages(texts, names, path)
    fallback = centre.fallback_language
    if texts and fallback in names.languages and fallback not in texts:
        yield Problem(path, f"this is not written in the fallback language '{fallback}'")


def _flow_texts(flow: Flow, centre: ContactCentre, names: Names, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with what a flow says at any time."""
    for name in ("greeting", "closing", "connecting", "away", "away_without_date", "not_understood", "disclosure"):
        yield from _said(getattr(flow, name), centre, names, (*path, name))
    yield from unknown_languages(flow.person_words, names, (*path, "person_words"))
    yield from unknown_languages(flow.goodbye_words, names, (*path, "goodbye_words"))
    for language, text in flow.away.items():
        for placeholder in sorted(set(re.findall(r"\{\w*\}", text)) - AWAY_PLACEHOLDERS):
            message = f"unknown placeholder {placeholder}; there is {', '.join(sorted(AWAY_PLACEHOLDERS))}"
            yield Problem((*path, "away", language), message)


def _fields(step: FlowStep, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each field that a step lacks, and each that would never count."""
    needed, possible = NEEDED[step.kind], POSSIBLE.get(step.kind, ())
    given = {name for name in FlowStep.model_fields if name != "kind" and getattr(step, name) not in (None, (), {})}
    for name in needed:
        if name not in given:
            yield Problem(path, f"a step of kind '{step.kind}' needs '{name}'")
    for name in sorted(given - {*needed, *possible}):
        yield Problem((*path, name), f"'{name}' never counts in a step of kind '{step.kind}'")
    if step.kind in {"question", "set_attribute"} and step.attribute in get_args(BuiltInAttribute):
        yield Problem((*path, "attribute"), f"'{step.attribute}' is built in and cannot be set; take another name")


def _references(step: FlowStep, names: Names, *, steps: Collection[str], path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each step or department that does not exist, and each option that stands twice."""
    yield from unknown("step", step.next, steps, (*path, "next"))
    yield from unknown("step", step.otherwise, steps, (*path, "otherwise"))
    yield from unknown("department", step.department, names.departments, (*path, "department"))
    yield from repeated((option.id for option in step.options), "option", (*path, "options"), last=("id",))
    for index, option in enumerate(step.options):
        yield from unknown("step", option.next, steps, (*path, "options", index, "next"))


def _step_texts(step: FlowStep, centre: ContactCentre, names: Names, path: DataPath) -> Iterator[Problem]:
    """Yield what is wrong with what a step says."""
    yield from _said(step.text, centre, names, (*path, "text"))
    if step.kind == "menu":
        yield from _too_long(step.text, MENU_TEXT_CHARACTERS_MAX, (*path, "text"))
    if len(step.options) > OPTIONS_MAX:
        yield Problem((*path, "options"), f"a menu has {OPTIONS_MAX} options at most; lead from one to another")
    for index, option in enumerate(step.options):
        yield from _said(option.title, centre, names, (*path, "options", index, "title"))
        yield from _too_long(option.title, OPTION_TITLE_CHARACTERS_MAX, (*path, "options", index, "title"))


def _too_long(texts: Mapping[str, str], characters_max: int, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each text that some channel would cut or refuse."""
    for language, text in texts.items():
        if len(text) > characters_max:
            yield Problem((*path, language), f"this has {len(text)} characters; channels take {characters_max} at most here")


def _leads_to(step: FlowStep) -> tuple[str, ...]:
    """Return the steps that may come after `step`."""
    return tuple(name for name in (step.next, step.otherwise, *(option.next for option in step.options)) if name is not None)


def _reached(flow: Flow, start: str) -> set[str]:
    """Return the steps that can be reached from `start`, itself included."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in flow.steps and name not in reached:
            reached.add(name)
            waiting.extend(_leads_to(flow.steps[name]))
    return reached


def _unreachable(flow: Flow, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each step that no way leads to."""
    if flow.start in flow.steps:
        for name in flow.steps.keys() - _reached(flow, flow.start):
            yield Problem((*path, "steps", name), f"step '{name}' is never reached from '{flow.start}'")


def _spinning(flow: Flow, path: DataPath) -> Iterator[Problem]:
    """Yield a problem for each step that comes back to itself without ever waiting for the customer."""
    moving = flow.model_copy(update={"steps": {name: step for name, step in flow.steps.items() if step.kind not in WAITING}})
    for name, step in moving.steps.items():
        if any(name in _reached(moving, following) for following in _leads_to(step)):
            yield Problem((*path, "steps", name), f"step '{name}' comes back to itself without waiting for the customer")
