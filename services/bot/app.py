"""Builds the bot from the contact centre: the one place that knows which library does what."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from services.bot.core.ports import Shift
from services.bot.core.reducer import BotReducer
from services.bot.core.rules import Rules
from services.bot.matching import Matcher
from shared.contact_centre.models import ContactCentre
from shared.contact_centre.staffing import Staffing


class ConfiguredStaff:
    """Answers the bot's question for shifts from the configured ones."""

    def __init__(self, centre: ContactCentre) -> None:
        self._staffing = Staffing(centre)

    def __call__(self, *, department: str | None, language: str, at: datetime) -> Shift:
        """Return whether somebody of `department` who speaks `language` is on shift at `at`, or when the next one is."""
        if self._staffing.agents_on_shift(at, department=department, language=language):
            return Shift(staffed=True)
        back = self._staffing.next_on_shift(at, department=department, language=language)
        if back is None:
            return Shift(staffed=False)
        place = back.time_zone.rpartition("/")[2].replace("_", " ")
        return Shift(staffed=False, back=back.at.astimezone(ZoneInfo(back.time_zone)), place=place)


def build_reducer(centre: ContactCentre) -> BotReducer:
    """Return the bot of `centre`, which must have passed the loader's checks."""
    return BotReducer(Rules(centre=centre, understanding=Matcher(centre), staff=ConfiguredStaff(centre)))
