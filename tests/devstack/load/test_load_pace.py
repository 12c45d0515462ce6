"""The arithmetic of the load generator: moments, latencies, and that a slow answer hides nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.load.pace import Arrivals, ClosedLoop, OpenLoop, quantile

rates = st.floats(min_value=0.1, max_value=20_000, allow_nan=False)


@given(rates, st.integers(1, 100_000), st.floats(0, 1_000))
def test_exactly_what_was_intended_by_then_is_due(per_second: float, count: int, elapsed: float) -> None:
    """Request n is due as soon as n / rate has passed, and not before; the end of the load is the end of its requests."""
    arrivals = Arrivals(per_second, count)
    due = arrivals.due_by(elapsed)
    assert 1 <= due <= count
    assert arrivals.due_at(due - 1) <= elapsed
    assert due == count or arrivals.due_at(due) > elapsed


def test_nothing_is_due_before_the_start() -> None:
    """Between making the load and its first moment nothing leaves."""
    assert Arrivals(10, 5).due_by(-0.001) == 0


def test_the_last_of_an_hour_is_due_in_its_moment() -> None:
    """Moments are divided out, not summed up: after an hour at 333 a second the last request is not late by rounding."""
    arrivals = Arrivals(333, 333 * 3600)
    assert arrivals.due_at(arrivals.count - 1) == pytest.approx(3600 - 1 / 333, abs=1e-9)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    """At least the asked share of the values is at or below the quantile, and with any smaller value fewer would be."""
    found = quantile(values, share)
    needed = math.ceil(share * len(values))
    assert found in values
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


def test_a_stalled_server_makes_everything_due_meanwhile_late() -> None:
    """One connection, ten requests a second, the first answer after a second: each next one has waited since its own moment."""
    load = OpenLoop(Arrivals(10, 10), connections=1)
    assert load.leave(0.0) == [0]
    assert load.leave(0.5) == []
    assert load.waiting == 5
    load.answered(0, 1.0, 200)
    for number in range(1, 10):
        assert load.leave(1.0) == [number]
        load.answered(number, 1.0, 200)
    assert load.done
    assert load.answers.latencies == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert max(load.answers.late) == pytest.approx(0.9)


def test_requests_leave_in_order_and_one_per_connection() -> None:
    """With two connections the third request waits for a free one, however long it has been due."""
    load = OpenLoop(Arrivals(100, 4), connections=2)
    assert load.leave(1.0) == [0, 1]
    load.answered(1, 1.5, 200)
    assert load.leave(1.5) == [2]
    assert load.next_at() is None
    assert not load.done


def test_what_was_never_answered_counts_with_the_time_it_waited() -> None:
    """Giving up counts every missing request at least as late as it is by then, also those that never left."""
    load = OpenLoop(Arrivals(1, 4), connections=1)
    load.leave(0.0)
    load.answered(0, 0.25, 200)
    load.leave(1.0)
    load.leave(2.0)
    assert load.give_up(10.0) == 3
    assert sorted(load.answers.latencies) == pytest.approx([0.25, 7.0, 8.0, 9.0])
    assert load.answers.statuses == {200: 1}


def test_a_closed_loop_counts_only_its_own_time() -> None:
    """Answers during the warm-up and after the end are not in the rate."""
    load = ClosedLoop(warm_up=1.0, seconds=2.0)
    for moment in (0.5, 1.0, 2.0, 2.9, 3.0):
        load.answered(moment - 0.1, moment, 200)
    assert load.per_second == pytest.approx(1.5)
    assert load.over(3.0)
    assert not load.over(2.9)


@pytest.mark.parametrize(("per_second", "count"), [(0, 1), (-1.0, 1), (1, 0)])
def test_a_load_without_requests_is_refused(per_second: float, count: int) -> None:
    """A rate of nothing is a mistake and not an endless load."""
    with pytest.raises(ValueError, match="at least one request"):
        Arrivals(per_second, count)
