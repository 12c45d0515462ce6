"""The contact centre as one frozen value: what `config/` describes, checked and ready for the rules.

Every name that refers to another part (a department's pool, an agent's calendar, a template's language) is checked by
`ContactCentre`; the loader turns a failed check into file and line.
"""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""How people name things in config/: lower case, digits, `_`, `.`, `-`."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?$")]
"""A BCP 47 tag: `pt`, `zh`, `pt-BR`."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Configured(BaseModel):
    """A part of the configuration: frozen, and a field it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Hours(Configured):
    """Opening hours on some days. `until` at or before `from` runs past midnight into the next day (a night shift); 00:00–00:00 is the whole day."""

    days: tuple[Weekday, ...] = Field(min_length=1)
    from_: time = Field(alias="from")
    until: time
    breaks: tuple[Break, ...] = ()


class Break(Configured):
    """A pause inside the hours, for example lunch; wall-clock times in the calendar's zone."""

    from_: time = Field(alias="from")
    until: time


class Calendar(Configured):
    """When somebody works. `holidays` are country codes (ISO 3166, for example `LV`) with an optional subdivision (`US-CA`); `closed` are dates besides."""

    time_zone: str
    hours: tuple[Hours, ...] = ()
    holidays: tuple[str, ...] = ()
    closed: tuple[date, ...] = ()


class Department(Configured):
    """A part of the house. Work for it waits in `pool`."""

    title: dict[Language, str] = Field(default_factory=dict)
    pool: Name
    keywords: dict[Language, tuple[str, ...]] = Field(default_factory=dict)


class Pool(Configured):
    """Agents who share a queue. `accept_seconds` absent: an assignment counts as accepted at once."""

    accept_seconds: int | None = Field(default=None, ge=1, le=3600)
    wrap_up_seconds: int = Field(default=0, ge=0, le=3600)
    sticky_hours: int = Field(default=72, ge=0, le=24 * 30)


class Agent(Configured):
    """A person who answers. `capacity` is conversations at once per channel class; `calendar` is the shift."""

    name: str
    pool: Name
    languages: tuple[Language, ...] = Field(min_length=1)
    departments: tuple[Name, ...] = Field(min_length=1)
    skills: tuple[Name, ...] = ()
    calendar: Name
    capacity: dict[Literal["messaging", "social", "live"], Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=lambda: {"messaging": 3}
    )


class Account(Configured):
    """One address of ours on a channel (a WhatsApp number): where its customers land."""

    title: str
    department: Name
    language: Language | None = None
    flow: Name | None = None
    priority: int = Field(default=0, ge=0, le=10)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


class ClockTarget(Configured):
    """One promise: answer within `target_minutes` of the calendar, warn that many minutes before. `met_by`: whose answer keeps it."""

    target_minutes: float = Field(gt=0)
    warn_before_minutes: tuple[float, ...] = ()
    met_by: Literal["agent", "anyone"] = "agent"


class Promise(Configured):
    """An SLA policy for the conversations it matches (an empty condition matches all); the first match counts."""

    name: Name
    channels: tuple[str, ...] = ()
    departments: tuple[Name, ...] = ()
    priority_from: int = 0
    calendar: Name
    first_response: ClockTarget | None = None
    next_response: ClockTarget | None = None
    resolution: ClockTarget | None = None


class TemplateText(Configured):
    """An approved template in one language. `parameters` counts the placeholders of the body."""

    body: str
    parameters: int = Field(default=0, ge=0, le=20)


class MessageTemplate(Configured):
    """A template as approved by the channel. `purpose` says what it is for: `come_back` is sent when the window is closed."""

    name: str
    channel: str
    purpose: str
    category: Literal["utility", "marketing", "authentication"]
    accounts: tuple[str, ...] = ()
    languages: dict[Language, TemplateText] = Field(min_length=1)


class WindowSettings(Configured):
    """How careful we are with a channel's window. A message must leave `safety_margin_seconds` before it ends; `warn_before_minutes` are the marks."""

    safety_margin_seconds: int = Field(default=120, ge=0, le=3600)
    warn_before_minutes: tuple[float, ...] = (240.0, 60.0, 10.0)


class FaqEntry(Configured):
    """A question that customers ask in many words, and its answer, per language."""

    id: Name
    questions: dict[Language, tuple[str, ...]] = Field(min_length=1)
    answers: dict[Language, str] = Field(min_length=1)


class FlowOption(Configured):
    """One option of a menu and the step it leads to."""

    id: Name
    title: dict[Language, str]
    next: Name


class FlowStep(Configured):
    """One step of a flow. `kind` decides which of the other fields count."""

    kind: Literal["answer", "menu", "question", "condition", "set_attribute", "tag", "hand_off", "faq", "close"]
    text: dict[Language, str] = Field(default_factory=dict)
    options: tuple[FlowOption, ...] = ()
    attribute: Name | None = None
    equals: str | None = None
    value: str | None = None
    tag: Name | None = None
    department: Name | None = None
    next: Name | None = None
    otherwise: Name | None = None


class Flow(Configured):
    """What the bot does. It starts at `start` with a customer's first message of a conversation."""

    greeting: dict[Language, str] = Field(default_factory=dict)
    closing: dict[Language, str] = Field(default_factory=dict)
    connecting: dict[Language, str] = Field(default_factory=dict)
    away: dict[Language, str] = Field(default_factory=dict)
    not_understood: dict[Language, str] = Field(default_factory=dict)
    disclosure: dict[Language, str] = Field(default_factory=dict)
    person_words: dict[Language, tuple[str, ...]] = Field(default_factory=dict)
    goodbye_words: dict[Language, tuple[str, ...]] = Field(default_factory=dict)
    misses_before_hand_off: int = Field(default=2, ge=1, le=10)
    faq_score_min: float = Field(default=75.0, ge=0, le=100)
    faq: tuple[Name, ...] = ()
    start: Name
    steps: dict[Name, FlowStep] = Field(min_length=1)


class ContactCentre(Configured):
    """The whole. `accounts` are by `<channel>:<account>`, as in the thread id; `languages` are ordered, the first is the fall-back of all."""

    name: str
    languages: tuple[Language, ...] = Field(min_length=1)
    fallback_language: Language
    departments: dict[Name, Department]
    pools: dict[Name, Pool]
    agents: dict[Name, Agent]
    calendars: dict[Name, Calendar]
    accounts: dict[str, Account]
    promises: tuple[Promise, ...] = ()
    templates: tuple[MessageTemplate, ...] = ()
    windows: dict[str, WindowSettings] = Field(default_factory=dict)
    faq: tuple[FaqEntry, ...] = ()
    flows: dict[Name, Flow] = Field(default_factory=dict)
