"""How what the bot says is put together: in the customer's language, and in as few messages as possible.

A channel may charge for each message, so everything that one message of the customer brings about is said in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.bot.core.ports import Shift
from shared.contact_centre.models import MENU_TEXT_CHARACTERS_MAX, ContactCentre, Flow, FlowStep
from shared.events.shapes import Content, Menu, MenuOption, Text

TEXT_CHARACTERS_MAX = 4000
"""Longest text in one message: what every channel takes."""
BUTTONS_MAX = 3
"""Most options that are shown as buttons; more make a list."""
BETWEEN = "\n\n"
"""What stands between two pieces in one message."""
NAMED_DAYS = timedelta(days=6)
"""How far ahead a day is called by its weekday: beyond, the name could mean today."""


def speak(texts: Mapping[str, str], language: str, fallback: str) -> str | None:
    """Return the text in `language`, else in the same language without its region, else in the fallback; None: there is none."""
    return texts.get(language) or texts.get(language.partition("-")[0]) or texts.get(fallback)


def option_titles(step: FlowStep, language: str, fallback: str) -> dict[str, str]:
    """Return the titles of a menu's options by their id, in their order."""
    return {option.id: speak(option.title, language, fallback) or option.id for option in step.options}


def choice_id(step: str, option: str) -> str:
    """Return what comes back when the option is tapped, however much later."""
    return f"{step}/{option}"


def away_text(flow: Flow, shift: Shift, now: datetime, *, language: str, centre: ContactCentre) -> str | None:
    """Return what to say when nobody is there: with the moment somebody is back, where one is known.

    `{day}` is the weekday inside NAMED_DAYS, else the date; `{time}` and `{zone}` are of the place where that agent works.
    """
    dated = speak(flow.away, language, centre.fallback_language)
    if shift.back is None or dated is None:
        return speak(flow.away_without_date, language, centre.fallback_language)
    day = shift.back.date().isoformat()
    names = centre.day_names.get(language) or centre.day_names.get(language.partition("-")[0])
    if names is not None and shift.back - now < NAMED_DAYS:
        day = names[shift.back.weekday()]
    return dated.replace("{day}", day).replace("{time}", f"{shift.back:%H:%M}").replace("{zone}", shift.place)


def _packed(said: Sequence[str]) -> list[str]:
    """Return as few texts as hold everything that is said, in order."""
    texts: list[str] = []
    for piece in said:
        if texts and len(texts[-1]) + len(BETWEEN) + len(piece) <= TEXT_CHARACTERS_MAX:
            texts[-1] = f"{texts[-1]}{BETWEEN}{piece}"
        else:
            texts.append(piece)
    return texts


def contents(said: Sequence[str], options: Mapping[str, str]) -> list[Content]:
    """Return the messages that hold everything that is `said`, in order.

    Where there are `options` (titles by choice id), the last piece is the text above them and there must be one.
    """
    if not options:
        return [Text(text=text) for text in _packed(said)]
    before, above = _packed(said[:-1]), said[-1]
    if before and len(before[-1]) + len(BETWEEN) + len(above) <= MENU_TEXT_CHARACTERS_MAX:
        above = f"{before.pop()}{BETWEEN}{above}"
    shown = tuple(MenuOption(choice_id=identity, title=title) for identity, title in options.items())
    menu = Menu(text=above, options=shown, style="buttons" if len(shown) <= BUTTONS_MAX else "list")
    return [*(Text(text=text) for text in before), menu]
