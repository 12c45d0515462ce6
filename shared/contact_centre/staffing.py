"""Who is on shift: agents by department and language, as configured. Who is really signed in, only the router knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from shared.contact_centre.calendars import CompiledCalendar
from shared.contact_centre.models import ContactCentre


class Return(NamedTuple):
    """When somebody is back: `at` in UTC, `time_zone` is where that agent works (a key such as `Europe/Riga`)."""

    at: datetime
    time_zone: str


def same_language(spoken: str, wanted: str) -> bool:
    """Return whether who speaks `spoken` can answer in `wanted`: the same tag, or the same language without the region."""
    return spoken == wanted or spoken.partition("-")[0] == wanted.partition("-")[0]


class Staffing:
    """The configured shifts of one contact centre, compiled once. Answers depend on the arguments alone."""

    def __init__(self, centre: ContactCentre) -> None:
        """Take the centre's agents and calendars; raises KeyError for an agent on an unknown calendar (the loader checks)."""
        self.calendars: Mapping[str, CompiledCalendar] = {name: CompiledCalendar(one) for name, one in centre.calendars.items()}
        self._agents = centre.agents
        self._shift_of = {name: self.calendars[agent.calendar] for name, agent in centre.agents.items()}

    def agents_for(self, department: str | None = None, language: str | None = None) -> tuple[str, ...]:
        """Return the agents of `department` who speak `language`, by name; None asks for any."""
        return tuple(
            name
            for name, agent in sorted(self._agents.items())
            if (department is None or department in agent.departments)
            and (language is None or any(same_language(spoken, language) for spoken in agent.languages))
        )

    def on_shift(self, agent: str, at: datetime) -> bool:
        """Return whether `agent` is on shift at `at`; an unknown agent never is."""
        shift = self._shift_of.get(agent)
        return shift is not None and shift.is_open(at)

    def agents_on_shift(self, at: datetime, *, department: str | None = None, language: str | None = None) -> tuple[str, ...]:
        """Return the agents of `department` who speak `language` and are on shift at `at`, by name; None asks for any."""
        return tuple(name for name in self.agents_for(department, language) if self.on_shift(name, at))

    def next_on_shift(self, after: datetime, *, department: str | None = None, language: str | None = None) -> Return | None:
        """Return when the first such agent is on shift from `after` on, or None: nobody is within SEARCH_DAYS_MAX days."""
        shifts = {self._shift_of[name] for name in self.agents_for(department, language)}
        openings = ((shift.next_opening(after), shift.zone.key) for shift in shifts)
        return min((Return(at, zone) for at, zone in openings if at is not None), default=None)
