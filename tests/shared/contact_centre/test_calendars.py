"""Business calendars, as their users rely on them."""

from __future__ import annotations

import time as time_module
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contact_centre.calendars import SEARCH_DAYS_MAX, CompiledCalendar, resolve_wall_time
from shared.contact_centre.models import WEEKDAYS, Calendar

EVERY_DAY: list[str] = list(WEEKDAYS)
WEEK = EVERY_DAY[:5]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = ["Europe/Riga", "Atlantic/Reykjavik", "America/Sao_Paulo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Etc/UTC"]


def calendar(zone: str, *hours: dict[str, Any], **besides: Any) -> CompiledCalendar:
    """Return the compiled calendar with these hours."""
    return CompiledCalendar(Calendar.model_validate({"time_zone": zone, "hours": hours, **besides}))


def shift(days: list[str], from_: str, until: str, *breaks: tuple[str, str]) -> dict[str, Any]:
    """Return hours as they are written in config/."""
    return {"days": days, "from": from_, "until": until, "breaks": [{"from": begin, "until": end} for begin, end in breaks]}


def at(zone: str, text: str) -> datetime:
    """Return the UTC instant of a wall-clock time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


OFFICE = calendar("Europe/Riga", shift(WEEK, "08:00", "17:00", ("12:00", "12:45")), holidays=["LV"], closed=["2026-11-30"])
NIGHT = calendar("Europe/Riga", shift(EVERY_DAY, "20:00", "08:00", ("01:00", "01:30")), holidays=["LV"])
ALWAYS = calendar("Europe/Riga", shift(EVERY_DAY, "00:00", "24:00"))
NEVER = calendar("Europe/Riga")


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-23T07:59:59", False),
        ("2026-11-23T08:00", True),
        ("2026-11-23T11:59:59", True),
        ("2026-11-23T12:00", False),
        ("2026-11-23T12:45", True),
        ("2026-11-23T17:00", False),
        ("2026-11-22T10:00", False),
        ("2026-11-18T10:00", False),
        ("2026-11-30T10:00", False),
    ],
)
def test_an_office_is_open_in_its_hours(when: str, is_open: object) -> None:
    """The beginning counts, the end does not; breaks, weekends, public holidays and closed dates are closed."""
    assert OFFICE.is_open(at("Europe/Riga", when)) is is_open


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-22T20:00", True),
        ("2026-11-23T00:30", True),
        ("2026-11-23T01:15", False),
        ("2026-11-23T07:59", True),
        ("2026-11-23T08:00", False),
        ("2026-11-18T07:59", True),
        ("2026-11-18T20:00", False),
        ("2026-11-19T03:00", False),
        ("2026-11-19T20:00", True),
    ],
)
def test_a_night_shift_belongs_to_the_evening_it_begins_on(when: str, is_open: object) -> None:
    """It runs past midnight with its break, also into a holiday; a shift that would begin on a holiday does not take place."""
    assert NIGHT.is_open(at("Europe/Riga", when)) is is_open


def test_the_next_opening_skips_weekends_and_closed_days() -> None:
    """From Friday evening before a closed Monday it is Tuesday morning; inside the hours it is now."""
    assert OFFICE.next_opening(at("Europe/Riga", "2026-11-27T17:00")) == at("Europe/Riga", "2026-12-01T08:00")
    inside = at("Europe/Riga", "2026-11-27T09:30")
    assert OFFICE.next_opening(inside) == inside


def test_a_due_time_jumps_over_breaks_and_nights() -> None:
    """An hour from 11:30 ends after lunch, ten hours from Friday noon end on the next working day."""
    assert OFFICE.add_business_time(at("Europe/Riga", "2026-11-23T11:30"), HOUR) == at("Europe/Riga", "2026-11-23T13:15")
    assert OFFICE.add_business_time(at("Europe/Riga", "2026-11-27T12:00"), 5 * HOUR) == at("Europe/Riga", "2026-12-01T08:45")


def test_time_that_ends_with_the_shift_is_due_at_its_end() -> None:
    """The last open moment counts, so the due time is not pushed to the next day."""
    assert OFFICE.add_business_time(at("Europe/Riga", "2026-11-23T16:00"), HOUR) == at("Europe/Riga", "2026-11-23T17:00")


def test_a_calendar_that_never_opens_has_no_opening_and_no_due_time() -> None:
    """The search ends; it does not go on for ever."""
    now = at("Europe/Riga", "2026-11-23T08:00")
    assert NEVER.next_opening(now) is None
    assert NEVER.add_business_time(now, HOUR) is None
    assert NEVER.business_time_between(now, now + 100 * DAY) == timedelta(0)


def test_a_yearly_opening_is_found_within_the_search() -> None:
    """Closed on all days but one, a year ahead."""
    closed = [(date(2026, 1, 1) + number * DAY).isoformat() for number in range(364 + 365) if number != 500]
    rare = calendar("Etc/UTC", shift(EVERY_DAY, "09:00", "10:00"), closed=closed)
    expected = datetime(2026, 1, 1, 9, tzinfo=UTC) + 500 * DAY
    assert rare.next_opening(expected - (SEARCH_DAYS_MAX - 1) * DAY) == expected
    assert rare.next_opening(expected - (SEARCH_DAYS_MAX + 1) * DAY) is None


def test_nothing_to_wait_for_is_due_at_once() -> None:
    """No time at all is due at the start, also when closed; a negative time is refused."""
    closed = at("Europe/Riga", "2026-11-22T10:00")
    assert OFFICE.add_business_time(closed, timedelta(0)) == closed
    with pytest.raises(ValueError, match="only grows"):
        OFFICE.add_business_time(closed, -HOUR)


def test_time_between_does_not_run_backwards() -> None:
    """An end before the start gives nothing."""
    assert ALWAYS.business_time_between(at("Etc/UTC", "2026-11-23T12:00"), at("Etc/UTC", "2026-11-23T11:00")) == timedelta(0)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Riga", "2026-03-29", 23),
        ("Europe/Riga", "2026-10-25", 25),
        ("Europe/Riga", "2026-06-01", 24),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("Atlantic/Reykjavik", "2026-03-29", 24),
        ("America/Havana", "2026-11-01", 25),
    ],
)
def test_a_whole_day_has_the_hours_that_the_clock_gives_it(zone: str, day: str, hours: int) -> None:
    """The day of a clock change is an hour shorter or longer, also where the clock changes at midnight."""
    whole = calendar(zone, shift(EVERY_DAY, "00:00", "00:00"))
    begin = resolve_wall_time(date.fromisoformat(day), time(0), ZoneInfo(zone))
    end = resolve_wall_time(date.fromisoformat(day) + DAY, time(0), ZoneInfo(zone))
    assert end - begin == hours * HOUR
    assert whole.business_time_between(begin - 48 * HOUR, end + 48 * HOUR) == (hours + 96) * HOUR


def test_hours_that_begin_in_a_skipped_hour_begin_when_the_clock_has_jumped() -> None:
    """In Riga on 2026-03-29 the clock goes from 03:00 to 04:00: a shift from 03:30 begins at 04:00."""
    early = calendar("Europe/Riga", shift(EVERY_DAY, "03:30", "05:00"))
    assert early.next_opening(datetime(2026, 3, 29, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert early.add_business_time(datetime(2026, 3, 29, 0, tzinfo=UTC), HOUR) == datetime(2026, 3, 29, 2, tzinfo=UTC)


def test_hours_inside_a_skipped_hour_do_not_take_place() -> None:
    """A shift from 03:10 to 03:50 falls into the hour that the clock skips."""
    lost = calendar("Europe/Riga", shift(EVERY_DAY, "03:10", "03:50"))
    assert lost.business_time_between(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)) == timedelta(0)


def test_a_repeated_hour_is_worked_twice() -> None:
    """In Riga on 2026-10-25 the hour from 03:00 comes twice: a shift from 03:00 to 03:30 lasts from the first to the last."""
    double = calendar("Europe/Riga", shift(EVERY_DAY, "03:00", "03:30"))
    assert double.business_time_between(datetime(2026, 10, 25, 0, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)) == 1.5 * HOUR


def test_overlapping_hours_count_once() -> None:
    """Two shifts of a day that overlap, and a night shift that runs into a day shift, are open time once."""
    double = calendar("Etc/UTC", shift(["mon"], "08:00", "12:00"), shift(["mon"], "10:00", "14:00"), shift(["sun"], "20:00", "09:00"))
    assert double.business_time_between(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)) == 18 * HOUR


def test_a_shift_of_the_day_before_hides_nothing() -> None:
    """Thursday's shift with a break over the night has its last minutes on Friday, in the middle of Friday's own hours."""
    double = calendar("Etc/UTC", shift(["thu"], "13:30", "13:30", ("00:00", "13:15")), shift(["fri"], "00:00", "24:00"))
    friday = datetime(2026, 11, 27, tzinfo=UTC)
    assert double.business_time_between(friday, friday + DAY) == DAY


def test_midnight_is_passed_once_where_the_clock_goes_back_over_it() -> None:
    """In St. John's on 2010-11-07 it was 23:01 again at 00:01: the whole day before ended at its first midnight."""
    sunday = calendar("America/St_Johns", shift(["sun"], "00:00", "24:00"))
    saturday = calendar("America/St_Johns", shift(["sat"], "00:00", "24:00"))
    after_the_change = datetime(2010, 11, 7, 2, 45, tzinfo=UTC)
    assert after_the_change.astimezone(ZoneInfo("America/St_Johns")).day == 6
    assert sunday.is_open(after_the_change)
    assert not saturday.is_open(after_the_change)
    assert sunday.business_time_between(after_the_change - HOUR, after_the_change) == timedelta(minutes=15)


def test_a_subdivision_has_its_own_holidays() -> None:
    """The ninth of July is a holiday in the state of São Paulo, not in all of Brazil."""
    hours = shift(EVERY_DAY, "00:00", "24:00")
    noon = datetime(2026, 7, 9, 15, tzinfo=UTC)
    assert not calendar("America/Sao_Paulo", hours, holidays=["BR-SP"]).is_open(noon)
    assert calendar("America/Sao_Paulo", hours, holidays=["BR"]).is_open(noon)


quarter_hours = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15).strftime("%H:%M"))
some_hours = st.builds(
    shift,
    st.lists(st.sampled_from(EVERY_DAY), min_size=1, max_size=7, unique=True),
    quarter_hours,
    quarter_hours,
    st.tuples(quarter_hours, quarter_hours),
)
calendars = st.builds(lambda zone, hours: calendar(zone, *hours), st.sampled_from(ZONES), st.lists(some_hours, min_size=1, max_size=3))
CLOCK_CHANGES = [
    datetime.fromisoformat(f"{change}Z")
    for change in ("2026-03-29T01", "2026-10-25T01", "2018-11-04T03", "2018-02-18T02", "2026-04-04T15", "2026-11-01T06")
]
# Around the clock changes of 2017 to 2026, where most goes wrong.
instants = st.one_of(
    st.datetimes(datetime(2017, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the zone
    st.builds(
        lambda change, minutes: change + timedelta(minutes=minutes),
        st.sampled_from(CLOCK_CHANGES),
        st.integers(-3000, 3000),
    ),
)
durations = st.integers(0, 5000).map(lambda minutes: timedelta(minutes=minutes))


@settings(deadline=None)
@given(calendars, instants, durations)
def test_time_added_is_the_time_between(business: CompiledCalendar, start: datetime, duration: timedelta) -> None:
    """From the start to the due time exactly the added time has passed, and not before."""
    due = business.add_business_time(start, duration)
    if due is None:
        assert business.business_time_between(start, start + SEARCH_DAYS_MAX * DAY) < duration
        return
    assert due >= start
    assert business.business_time_between(start, due) == duration
    if duration:
        assert business.business_time_between(start, due - timedelta(microseconds=1)) < duration


@settings(deadline=None)
@given(calendars, instants, instants, durations)
def test_a_later_start_is_never_due_earlier(business: CompiledCalendar, one: datetime, other: datetime, duration: timedelta) -> None:
    """Due times keep the order of their starts."""
    first, second = sorted((one, other))
    first_due, second_due = business.add_business_time(first, duration), business.add_business_time(second, duration)
    if first_due is not None and second_due is not None:
        assert first_due <= second_due


@settings(deadline=None)
@given(calendars, instants, durations, durations)
def test_times_in_a_row_add_up(business: CompiledCalendar, start: datetime, first: timedelta, second: timedelta) -> None:
    """The time of two neighbouring stretches is the sum, and no more than has passed on the clock."""
    middle, end = start + first, start + first + second
    total = business.business_time_between(start, end)
    assert total == business.business_time_between(start, middle) + business.business_time_between(middle, end)
    assert timedelta(0) <= total <= end - start


@settings(deadline=None)
@given(calendars, instants)
def test_openings_agree_with_being_open(business: CompiledCalendar, start: datetime) -> None:
    """At the next opening it is open, until then it is not, and nothing is counted."""
    opening = business.next_opening(start)
    if opening is None:
        assert not business.is_open(start)
        return
    assert business.is_open(opening)
    assert (opening == start) is business.is_open(start)
    assert business.business_time_between(start, opening) == timedelta(0)


@settings(deadline=None)
@given(
    st.sampled_from(ZONES),
    st.dates(date(2017, 1, 1), date(2026, 12, 31)),
    st.integers(0, 1439).map(lambda minute: time(minute // 60, minute % 60)),
)
def test_a_wall_time_is_shown_or_skipped(zone: str, day: date, wall: time) -> None:
    """The instant shows the time it stands for, or the clock jumped over it at that instant; first is never after last."""
    zone_info = ZoneInfo(zone)
    wanted = datetime.combine(day, wall)
    first, last = resolve_wall_time(day, wall, zone_info), resolve_wall_time(day, wall, zone_info, last=True)
    assert first <= last
    for instant in {first, last}:
        shown = instant.astimezone(zone_info).replace(tzinfo=None)
        just_before = (instant - timedelta(seconds=1)).astimezone(zone_info).replace(tzinfo=None)
        assert shown == wanted or just_before < wanted < shown


def test_of_centuries_only_the_last_days_are_counted() -> None:
    """A start that somebody got wrong must not hold up the others: 1,900 years of days take minutes to look through."""
    end = at("Europe/Riga", "2026-11-23T12:00")
    started = time_module.process_time()
    assert ALWAYS.business_time_between(end.replace(year=110), end) == SEARCH_DAYS_MAX * DAY
    assert time_module.process_time() - started < 1.0
