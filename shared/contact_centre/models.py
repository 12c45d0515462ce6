"""The contact centre as one frozen value: what `config/` describes, checked and ready for the rules.

The models check each value by itself. What refers to another part (a department's pool, an agent's calendar, a template's
language) is checked by `checks.py`; the loader turns every failed check into file and line.
"""

from __future__ import annotations

import re
from datetime import date, time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""How people name things in config/: lower case, digits, `_`, `.`, `-`."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?$")]
"""A BCP 47 tag: `pt`, `zh`, `pt-BR`."""
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
"""What a customer reads or writes: never empty."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days in the order of `date.weekday()`."""
ChannelClass = Literal["messaging", "social", "live"]
"""How much attention a channel takes: written back and forth, in public, or at once."""


def _time_of_day(value: Any) -> Any:
    """Return `value` where it is written as a time of day; a bare number would otherwise be taken for seconds since midnight."""
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,2}:\d{2}", value):
        return "00:00" if value == "24:00" else value.rjust(5, "0")
    message = "write a time of day as HH:MM, for example 08:30"
    raise ValueError(message)


def _day(value: Any) -> Any:
    """Return `value` where it is written as a date; a bare number would otherwise be taken for seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        return value
    message = "write a date as YYYY-MM-DD, for example 2026-12-24"
    raise ValueError(message)


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
"""A wall-clock time in a calendar's zone; 24:00 is midnight at the end of the day."""
Day = Annotated[date, BeforeValidator(_day)]
"""A date in a calendar's zone."""


def placeholders_in(text: str) -> tuple[str, ...]:
    """Return what stands between the double braces of `text`, in its order, each once."""
    return tuple(dict.fromkeys(re.findall(r"\{\{\s*(\w+)\s*\}\}", text)))


class Configured(BaseModel):
    """A part of the configuration: frozen, and a field it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Break(Configured):
    """A pause inside the hours, for example lunch; wall-clock times in the calendar's zone."""

    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay


class Hours(Configured):
    """Opening hours on some days; the hours belong to the day on which they begin.

    `until` at or before `from` runs past midnight into the next day (a night shift); 00:00 to 00:00 is the whole day.
    """

    days: tuple[Weekday, ...] = Field(min_length=1)
    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay
    breaks: tuple[Break, ...] = ()


class Calendar(Configured):
    """When somebody works. `holidays` are country codes (ISO 3166, for example `LV`) with an optional subdivision (`US-CA`).

    `closed` are dates besides. Hours that would begin on a holiday or a closed date do not take place; hours that began on the
    evening before run to their end.
    """

    time_zone: str
    hours: tuple[Hours, ...] = ()
    holidays: tuple[str, ...] = ()
    closed: tuple[Day, ...] = ()


class Department(Configured):
    """A part of the house. Work for it waits in `pool`."""

    title: dict[Language, Words] = Field(default_factory=dict)
    pool: Name
    keywords: dict[Language, tuple[Words, ...]] = Field(default_factory=dict)


class Pool(Configured):
    """Agents who share a queue. `accept_seconds` absent: an assignment counts as accepted at once.

    `seen_seconds`: an agent whose desk sends heartbeats counts as signed out so long after the last one; absent: none are expected.
    """

    accept_seconds: int | None = Field(default=None, ge=1, le=3600)
    wrap_up_seconds: int = Field(default=0, ge=0, le=3600)
    sticky_hours: int = Field(default=72, ge=0, le=24 * 30)
    seen_seconds: int | None = Field(default=None, ge=10)


def _capacity_of_one_person() -> dict[ChannelClass, int]:
    """Return what one person can hold at once where nothing is said."""
    return {"messaging": 3}


class Agent(Configured):
    """A person who answers. `capacity` is conversations at once per channel class; `calendar` is the shift."""

    name: str
    pool: Name
    languages: tuple[Language, ...] = Field(min_length=1)
    departments: tuple[Name, ...] = Field(min_length=1)
    skills: tuple[Name, ...] = ()
    calendar: Name
    capacity: dict[ChannelClass, Annotated[int, Field(ge=0, le=100)]] = Field(default_factory=_capacity_of_one_person)


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


class HeaderOnFile(Configured):
    """What an approved template shows above its body: a text with at most one placeholder, a file or a place.

    `media_id` (the channel's) or `url` of a file that is sent where the author gives none; `filename` is a document's.
    """

    kind: Literal["text", "image", "video", "document", "location"]
    text: Words | None = None
    media_id: str | None = None
    url: str | None = None
    filename: str | None = None

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Return the names (or numbers) of the text's placeholders, in their order."""
        return placeholders_in(self.text or "")


class ButtonOnFile(Configured):
    """A button of an approved template. A `url` that ends in `{{1}}` needs its end from whoever sends, a copy_code its code."""

    kind: Literal["quick_reply", "url", "copy_code", "flow", "phone_number"]
    text: Words
    url: str | None = None

    @property
    def needs_value(self) -> bool:
        """Return whether the template cannot be sent without a value for this button."""
        return self.kind == "copy_code" or bool(placeholders_in(self.url or ""))

    @property
    def takes_value(self) -> bool:
        """Return whether a value may be given: a telephone number or a whole web address takes none."""
        return self.needs_value or self.kind in {"quick_reply", "flow"}


class TemplateText(Configured):
    """An approved template in one language. `parameters` counts the placeholders of the body, `{{1}}` and on.

    Where the body names its placeholders (`{{order}}`), they are listed in `parameter_names`. `code` is the language's tag under
    which the channel approved the text, where that is another than ours (`pt-BR` for `pt`), and `name` the name, where a language
    that the channel has no code for needed a template of its own.
    """

    body: Words
    parameters: int = Field(default=0, ge=0, le=20)
    parameter_names: tuple[str, ...] = Field(default=(), max_length=20)
    header: HeaderOnFile | None = None
    buttons: tuple[ButtonOnFile, ...] = Field(default=(), max_length=10)
    code: Language | None = None
    name: str | None = None


class MessageTemplate(Configured):
    """A template as approved by the channel. `purpose` says what it is for: `come_back` is sent when the window is closed.

    `accounts` are those it may be sent from, as `<channel>:<account>`; none named: every account of the channel.
    """

    name: str
    channel: str
    purpose: str
    category: Literal["utility", "marketing", "authentication"]
    accounts: tuple[str, ...] = ()
    languages: dict[Language, TemplateText] = Field(min_length=1)


class WindowSettings(Configured):
    """How careful we are with a channel's window.

    A message must leave `safety_margin_seconds` before it ends; `warn_before_minutes` are the marks.
    """

    safety_margin_seconds: int = Field(default=120, ge=0, le=3600)
    warn_before_minutes: tuple[float, ...] = (240.0, 60.0, 10.0)


class FaqEntry(Configured):
    """A question that customers ask in many words, and its answer, per language."""

    id: Name
    questions: dict[Language, tuple[Words, ...]] = Field(min_length=1)
    answers: dict[Language, Words] = Field(min_length=1)


BuiltInAttribute = Literal["language", "department", "channel", "account", "on_shift"]
"""What a condition can ask without anybody having set it; `on_shift` is `yes` while the department has somebody who speaks."""


MENU_TEXT_CHARACTERS_MAX = 1000
"""Longest text above options that every channel takes."""
OPTION_TITLE_CHARACTERS_MAX = 20
"""Longest title of an option that every channel shows whole."""
OPTIONS_MAX = 10
"""Most options that every channel shows at once."""


class FlowOption(Configured):
    """One option of a menu and the step it leads to. `id` comes back when it is tapped, so it must stay the same."""

    id: Name
    title: dict[Language, Words]
    next: Name


class FlowStep(Configured):
    """One step of a flow. `kind` decides which of the other fields count.

    answer: says `text`, goes on to `next` (none: listens). menu: offers `options` and waits. question: asks `text`, keeps the
    reply in `attribute`, goes on to `next`. condition: `next` where `attribute` equals `equals` (none: is set), else `otherwise`.
    set_attribute: sets `attribute` to `value`. tag: sets `tag`. faq: says `text` if any, waits and answers from the FAQ.
    hand_off: passes to `department` (none: the conversation's). close: says `text` or the closing, ends.
    In a menu and an faq step `otherwise` is where too many misses lead (none: a hand-off).
    """

    kind: Literal["answer", "menu", "question", "condition", "set_attribute", "tag", "hand_off", "faq", "close"]
    text: dict[Language, Words] = Field(default_factory=dict)
    options: tuple[FlowOption, ...] = ()
    attribute: Name | None = None
    equals: str | None = None
    value: str | None = None
    tag: Name | None = None
    department: Name | None = None
    next: Name | None = None
    otherwise: Name | None = None


class Flow(Configured):
    """What the bot does. It starts at `start` with a customer's first message of a conversation.

    `away` is said at a hand-off when nobody is on shift, with `{day}`, `{time}` and `{zone}` of the next who is;
    `away_without_date` when no such moment is known. `connecting` is said when somebody is there.
    """

    greeting: dict[Language, Words] = Field(default_factory=dict)
    closing: dict[Language, Words] = Field(default_factory=dict)
    connecting: dict[Language, Words] = Field(default_factory=dict)
    away: dict[Language, Words] = Field(default_factory=dict)
    away_without_date: dict[Language, Words] = Field(default_factory=dict)
    not_understood: dict[Language, Words] = Field(default_factory=dict)
    disclosure: dict[Language, Words] = Field(default_factory=dict)
    person_words: dict[Language, tuple[Words, ...]] = Field(default_factory=dict)
    goodbye_words: dict[Language, tuple[Words, ...]] = Field(default_factory=dict)
    misses_before_hand_off: int = Field(default=2, ge=1, le=10)
    faq_score_min: float = Field(default=75.0, ge=0, le=100)
    faq: tuple[Name, ...] = ()
    start: Name
    steps: dict[Name, FlowStep] = Field(min_length=1)


class ContactCentre(Configured):
    """The whole. `accounts` are by `<channel>:<account>`, as in the thread id.

    `fallback_language` speaks where a text is not written in the customer's. `day_names` are the seven weekdays, Monday first,
    in the form that fits the `{day}` of the away messages.
    """

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
    day_names: dict[Language, Annotated[tuple[Words, ...], Field(min_length=7, max_length=7)]] = Field(default_factory=dict)
