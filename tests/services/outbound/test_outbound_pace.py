"""Bucket, pair pace and breaker: what an account and a customer may be sent when."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outbound.core.breaker import Breaker, BreakerPolicy
from services.outbound.core.bucket import BURST_SECONDS, RECOVERY_SECONDS, SLOWEST, TokenBucket
from services.outbound.core.pair import PairPolicy
from shared.events.shapes import FailureClass
from tests.services.outbound.outbound_values import NOON, failure_of

SECOND = timedelta(seconds=1)
CAUSE = failure_of(FailureClass.RETRY)


def sent_times(bucket: TokenBucket, count: int, start: datetime = NOON) -> list[datetime]:
    """Return when `count` sends go that come one after the other as fast as the bucket lets them."""
    times, now = [], start
    for _ in range(count):
        now = bucket.next_at(now)
        taken = bucket.take(now)
        assert taken is not None, "who comes at the moment that was named is let through"
        bucket = taken
        times.append(now)
    return times


@given(st.floats(0.05, 1000), st.integers(1, 60))
def test_no_more_goes_than_rate_and_burst_allow(rate: float, count: int) -> None:
    """In any stretch of time at most rate x time + burst sends go, however eager the sender."""
    times = sent_times(TokenBucket.full(rate, NOON), count)
    burst = max(1.0, rate * BURST_SECONDS)
    for i, first in enumerate(times):
        for j in range(i, len(times)):
            seconds = (times[j] - first).total_seconds()
            assert j - i + 1 <= rate * seconds + burst + 1e-3


def test_the_rate_is_used_up() -> None:
    """80 per second for ten seconds are 800 sends and the burst, not fewer."""
    times = sent_times(TokenBucket.full(80, NOON), 808)
    assert (times[-1] - NOON).total_seconds() == pytest.approx(10, abs=0.01)


def test_too_fast_halves_the_rate_pauses_and_recovers() -> None:
    """After the pause the account goes at half its rate, and doubles once per recovery time."""
    slowed = TokenBucket.full(80, NOON).slow_down(NOON, 10)
    assert slowed.take(NOON + 9.9 * SECOND) is None
    assert slowed.next_at(NOON) >= NOON + 10 * SECOND
    assert slowed.factor(NOON + 20 * SECOND) == 0.5
    assert slowed.factor(NOON + timedelta(seconds=RECOVERY_SECONDS)) == 1
    times = sent_times(slowed, 20)
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(19 / 40, abs=0.01)


def test_answers_of_the_same_burst_slow_down_once() -> None:
    """Forty refusals of what was under way together halve the rate once, and the longest pause holds."""
    slowed = TokenBucket.full(80, NOON).slow_down(NOON, 10).slow_down(NOON + SECOND, 5).slow_down(NOON + SECOND, 20)
    assert slowed.factor(NOON) == 0.5
    assert slowed.blocked_until == NOON + 21 * SECOND


def test_the_slowest_rate_is_bounded() -> None:
    """An account that is slowed for ever still sends now and then."""
    bucket = TokenBucket.full(80, NOON)
    for minute in range(10):
        bucket = bucket.slow_down(NOON + timedelta(seconds=minute * 12), 10)
    assert bucket.slowed == SLOWEST


def test_a_share_changes_the_rate_at_once() -> None:
    """Fewer partitions, fewer tokens: what was saved up does not outlive the share."""
    smaller = TokenBucket.full(80, NOON).with_rate(20, NOON)
    assert (smaller.rate_per_second, smaller.tokens) == (20, 2)


def test_time_that_goes_back_gives_nothing() -> None:
    """A clock that was set back neither fills nor empties."""
    bucket = TokenBucket.full(80, NOON)
    assert bucket.at_moment(NOON - SECOND) is bucket


def test_a_bucket_without_a_rate_is_a_mistake() -> None:
    """It would never let anything through."""
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket.full(0, NOON)


@given(st.floats(0.5, 30), st.integers(1, 50), st.integers(1, 80))
def test_a_customer_gets_the_burst_and_then_one_per_interval(interval: float, burst: int, count: int) -> None:
    """Number n goes at once within the burst, and (n - burst) intervals later beyond it."""
    policy = PairPolicy(interval, burst)
    paid_at, now = None, NOON
    for number in range(1, count + 1):
        now = policy.ready_at(paid_at, now) if paid_at is not None else now
        expected = max(0, number - burst) * interval
        assert (now - NOON).total_seconds() == pytest.approx(expected, abs=1e-3)
        paid_at = policy.after_send(paid_at, now)


def test_a_pause_pays_the_burst_back() -> None:
    """Twenty at once are paid for after two minutes: then the whole burst is there again."""
    policy = PairPolicy(6, 45)
    paid_at = NOON
    for _ in range(20):
        paid_at = policy.after_send(paid_at, NOON)
    assert paid_at == NOON + timedelta(minutes=2)


POLICY = BreakerPolicy()


def test_the_breaker_opens_after_failures_in_a_row_and_for_longer_each_time() -> None:
    """Four failures are weather; the fifth opens it, the failed probe opens it for twice the time."""
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.failed(CAUSE, NOON, POLICY)
        assert breaker.probe_at is None
    breaker = breaker.failed(CAUSE, NOON, POLICY)
    assert breaker.probe_at == NOON + 5 * SECOND
    breaker = breaker.failed(CAUSE, NOON + 5 * SECOND, POLICY)
    assert (breaker.probe_at, breaker.opened_at) == (NOON + 15 * SECOND, NOON)
    for _ in range(10):
        breaker = breaker.failed(CAUSE, NOON, POLICY)
    assert breaker.probe_at == NOON + 60 * SECOND


def test_a_stop_opens_at_once_and_gives_up_after_its_time() -> None:
    """One word of the channel is enough; five minutes later sends are refused instead of waiting."""
    breaker = Breaker().stopped(CAUSE, NOON, POLICY)
    assert breaker.probe_at == NOON + 30 * SECOND
    assert breaker.cause == CAUSE
    assert not breaker.gives_up(NOON + 299 * SECOND, POLICY)
    assert breaker.gives_up(NOON + 300 * SECOND, POLICY)
    assert not Breaker().gives_up(NOON, POLICY)
