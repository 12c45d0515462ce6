"""Puts the router together: the rules, and what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.router.core.conversation import ConversationReducer
from services.router.core.departments import KeywordIndex
from services.router.core.dispatch import DispatchReducer
from services.router.core.floor import DispatchRules
from services.router.core.rules import ConversationRules, Detect
from services.router.language import build_detector
from shared.contact_centre.models import ContactCentre
from shared.contact_centre.staffing import Staffing


class Shifts:
    """When the agents of a contact centre work, with the next opening of each calendar remembered until it has come."""

    def __init__(self, centre: ContactCentre) -> None:
        self._staffing = Staffing(centre)
        self._calendar_of = {name: agent.calendar for name, agent in centre.agents.items()}
        self._asked: dict[str, tuple[datetime, datetime | None]] = {}

    def on_shift(self, agent: str, at: datetime) -> bool:
        """Return whether `agent` is on shift at `at`."""
        return self._staffing.on_shift(agent, at)

    def next_shift(self, agent: str, after: datetime) -> datetime | None:
        """Return when a configured agent is on shift from `after` on, or None: not within a year."""
        calendar = self._calendar_of[agent]
        asked_at, opening = self._asked.get(calendar, (after, after))
        if opening is None or not asked_at <= after < opening:
            opening = self._staffing.calendars[calendar].next_opening(after)
            self._asked[calendar] = (after, opening)
        return opening


def build_reducers(
    centre: ContactCentre, detect: Detect | None = None, *, channel_classes: Mapping[str, str] | None = None
) -> tuple[ConversationReducer, DispatchReducer]:
    """Return the router's reducers for `centre`.

    `detect` tells the language of a text; without it py3langid's model is loaded. `channel_classes` says which channels take more
    attention than messaging (channel → class, as in their policies).
    """
    shifts = Shifts(centre)
    conversation = ConversationRules(
        centre=centre,
        detect=detect or build_detector(centre.languages),
        keywords=KeywordIndex(centre.departments),
        channel_classes=channel_classes or {},
    )
    dispatch = DispatchRules(centre=centre, on_shift=shifts.on_shift, next_shift=shifts.next_shift)
    return ConversationReducer(conversation), DispatchReducer(dispatch)
