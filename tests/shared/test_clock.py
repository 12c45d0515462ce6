"""Clocks: the manual one moves only forward and only when told; indexes hold the same moment as documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import ManualClock, SystemClock, from_epoch_milliseconds, to_epoch_milliseconds
from shared.events.envelope import to_milliseconds

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
steps = st.timedeltas(timedelta(0), timedelta(days=400))


@settings(deadline=None)
@given(st.integers(to_epoch_milliseconds(datetime(1, 1, 2, tzinfo=UTC)), to_epoch_milliseconds(datetime(9999, 12, 30, tzinfo=UTC))))
def test_an_index_gives_back_the_moment_it_was_given(milliseconds: int) -> None:
    """A timer's row and its document agree on what is due, to the millisecond."""
    moment = from_epoch_milliseconds(milliseconds)
    assert to_epoch_milliseconds(moment) == milliseconds
    assert to_milliseconds(moment) == moment


@settings(deadline=None)
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 # `timezones` adds the zone
def test_an_index_never_holds_a_moment_to_come(moment: datetime) -> None:
    """Rounded down: a timer is due when its row says so, never before its millisecond."""
    assert timedelta(0) <= moment - from_epoch_milliseconds(to_epoch_milliseconds(moment)) < timedelta(milliseconds=1)
    assert to_epoch_milliseconds(to_milliseconds(moment)) == to_epoch_milliseconds(moment)


@settings(deadline=None)
@given(st.lists(steps))
def test_a_manual_clock_shows_what_it_was_moved_by(moves: list[timedelta]) -> None:
    """Its moment and its seconds go together."""
    clock = ManualClock(NOON)
    for move in moves:
        clock.advance(move)
    passed = sum(moves, timedelta(0))
    assert clock.now() == NOON + passed
    assert clock.monotonic_seconds() == passed.total_seconds()


def test_time_goes_forward() -> None:
    """A step back is a mistake of the test; a moment that has passed leaves the clock where it is."""
    clock = ManualClock(NOON)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(timedelta(seconds=-1))
    clock.move_to(NOON - timedelta(hours=1))
    assert clock.now() == NOON
    clock.move_to(NOON + timedelta(hours=1))
    assert clock.now() == NOON + timedelta(hours=1)


def test_the_machines_clock_tells_utc() -> None:
    """Moments carry their zone; seconds only grow."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.now() <= clock.now()
    assert clock.monotonic_seconds() <= clock.monotonic_seconds()
