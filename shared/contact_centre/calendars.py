"""Business calendars: when a shift runs and when a promise's clock counts.

A calendar is weekly opening hours in a time zone, minus holidays and breaks. All arithmetic is done on UTC instants, so a change
to or from summer time makes an hour longer or shorter exactly where the wall clock does: hours that begin inside the hour that
the clock skips begin when the clock has jumped, and an hour that the clock repeats is worked twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays

from shared.contact_centre.models import WEEKDAYS, Calendar, Hours

SEARCH_DAYS_MAX = 400
"""How far ahead an opening or a due time is looked for: over a year, so that a yearly opening is found."""
DAYS_CACHED_MAX = 2048
"""How many days a calendar remembers worked out."""
ONE_DAY = timedelta(days=1)
MIDNIGHT = time(0)


class Span(NamedTuple):
    """Open from `start` until before `end`, in UTC."""

    start: datetime
    end: datetime


def resolve_wall_time(day: date, at: time, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """Return the first (or `last`) UTC instant at which the wall clock of `zone` shows `at` on `day`.

    A time that the clock skips becomes the moment it jumps. Raises nothing: every date has every time, in this sense.
    """
    first_shown, last_shown = (datetime.combine(day, at, tzinfo=zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first_shown <= last_shown:
        return last_shown if last else first_shown
    # Skipped: PEP 495 makes fold=1 lie before the jump and fold=0 after it. The jump is where the offset changes in between.
    before, after = last_shown, first_shown
    offset_after = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset_after:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


def _span(day: date, from_: time, until: time, zone: ZoneInfo) -> Span:
    """Return the instants of `from_` to `until` beginning on `day`; `until` at or before `from_` is on the next day."""
    last_day = day + ONE_DAY if until <= from_ else day
    # Midnight ends a whole day at its first showing, so that two whole days never overlap.
    return Span(resolve_wall_time(day, from_, zone), resolve_wall_time(last_day, until, zone, last=until != MIDNIGHT))


def _without(spans: list[Span], pause: Span) -> list[Span]:
    """Return `spans` without `pause`."""
    left = [Span(span.start, min(span.end, pause.start)) for span in spans]
    right = [Span(max(span.start, pause.end), span.end) for span in spans]
    return sorted({span for span in (*left, *right) if span.start < span.end})


class CompiledCalendar:
    """A calendar made ready for arithmetic: build it once, ask it often.

    Answers depend on the arguments alone; days are worked out at their first use and remembered. Times must carry a zone.
    """

    def __init__(self, calendar: Calendar) -> None:
        """Raises ZoneInfoNotFoundError or NotImplementedError for a time zone or holidays that nobody knows (the loader checks)."""
        self.zone = ZoneInfo(calendar.time_zone)
        self._hours: dict[int, tuple[Hours, ...]] = {
            number: tuple(hours for hours in calendar.hours if name in hours.days) for number, name in enumerate(WEEKDAYS)
        }
        self._closed = frozenset(calendar.closed)
        self._holidays = tuple(_holidays(code) for code in calendar.holidays)
        self._day = lru_cache(maxsize=DAYS_CACHED_MAX)(self._open_on)
        self._begun = lru_cache(maxsize=DAYS_CACHED_MAX)(self._begun_on)

    def is_open(self, at: datetime) -> bool:
        """Return whether the calendar is open at `at`."""
        today = at.astimezone(self.zone).date()
        return any(_covers(self._day(day), at) for day in (today, today + ONE_DAY))

    def next_opening(self, after: datetime) -> datetime | None:
        """Return the first moment from `after` on (`after` itself included) at which it is open; None: not in SEARCH_DAYS_MAX days."""
        return next((span.start for span in self._spans(after, after + SEARCH_DAYS_MAX * ONE_DAY)), None)

    def add_business_time(self, start: datetime, duration: timedelta) -> datetime | None:
        """Return the first moment by which `duration` of open time has passed since `start`; None: not in SEARCH_DAYS_MAX days.

        Raises ValueError for a negative duration.
        """
        if duration < timedelta(0):
            raise ValueError(f"business time only grows, and {duration} is negative")
        if not duration:
            return start.astimezone(UTC)
        left = duration
        for span in self._spans(start, start + SEARCH_DAYS_MAX * ONE_DAY):
            if span.end - span.start >= left:
                return span.start + left
            left -= span.end - span.start
        return None

    def business_time_between(self, start: datetime, end: datetime) -> timedelta:
        """Return the open time from `start` until `end`; zero where `end` is not later. Of more, the last SEARCH_DAYS_MAX days count.

        So long a wait is over in every sense, and a start that is centuries ago (somebody's mistake) must not hold up the others.
        """
        start = max(start, end - SEARCH_DAYS_MAX * ONE_DAY)
        return sum((span.end - span.start for span in self._spans(start, end)), timedelta(0))

    def _spans(self, start: datetime, end: datetime) -> Iterator[Span]:
        """Yield the open times inside `start` to `end`, in order and apart from each other."""
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        day = start.astimezone(self.zone).date()
        # One day more: where the clock goes back over midnight, an instant shows the day before the one that has begun.
        last_day = end.astimezone(self.zone).date() + ONE_DAY
        while day <= last_day:
            for span in self._day(day):
                begins, ends = max(span.start, start), min(span.end, end)
                if begins < ends:
                    yield Span(begins, ends)
            day += ONE_DAY

    def _open_on(self, day: date) -> tuple[Span, ...]:
        """Return the open times from midnight of `day` to the next, merged and in order: of its own shifts and the night's before."""
        midnight, next_midnight = (resolve_wall_time(one, MIDNIGHT, self.zone) for one in (day, day + ONE_DAY))
        merged: list[Span] = []
        for span in sorted((*self._begun(day - ONE_DAY), *self._begun(day))):
            start, end = max(span.start, midnight), min(span.end, next_midnight)
            if merged and start <= merged[-1].end:
                merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
            elif start < end:
                merged.append(Span(start, end))
        return tuple(merged)

    def _begun_on(self, day: date) -> tuple[Span, ...]:
        """Return the open times of the shifts that begin on `day`."""
        if day in self._closed or any(day in country for country in self._holidays):
            return ()
        return tuple(span for hours in self._hours[day.weekday()] for span in self._shift(day, hours))

    def _shift(self, day: date, hours: Hours) -> list[Span]:
        """Return one shift that begins on `day`, without its breaks; a break earlier than the beginning is after midnight."""
        whole = _span(day, hours.from_, hours.until, self.zone)
        spans = [whole] if whole.start < whole.end else []
        for pause in hours.breaks:
            pause_day = day + ONE_DAY if pause.from_ < hours.from_ else day
            spans = _without(spans, _span(pause_day, pause.from_, pause.until, self.zone))
        return spans


def _holidays(code: str) -> holidays.HolidayBase:
    """Return the public holidays of `LV` or `US-CA`."""
    country, _, subdivision = code.partition("-")
    return holidays.country_holidays(country, subdiv=subdivision or None)


def _covers(spans: tuple[Span, ...], at: datetime) -> bool:
    """Return whether one of the ordered `spans` holds `at`."""
    index = bisect_right(spans, at, key=lambda span: span.start) - 1
    return index >= 0 and at < spans[index].end
