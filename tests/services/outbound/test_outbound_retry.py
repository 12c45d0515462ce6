"""When a refused send is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outbound.core.retry import RetryPolicy, jitter, wait_seconds
from shared.events.shapes import FailureClass

POLICY = RetryPolicy()


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1), (2, 4), (3, 16), (4, 64), (5, 256), (6, None), (8, None)])
def test_the_pair_limit_waits_four_to_the_n_within_the_bound(attempts: int, seconds: float | None) -> None:
    """1, 4, 16 s …, as the vendor asks; what would take longer than the bound is over."""
    assert wait_seconds(FailureClass.WAIT, "s1", attempts=attempts, retry_after_seconds=None, policy=POLICY) == seconds


@given(st.text(), st.integers(1, 7))
def test_a_retry_backs_off_with_a_jitter_that_repeats(send_id: str, attempts: int) -> None:
    """Half to the whole of a doubling wait, and the same for the same send: a replay does not draw again."""
    seconds = wait_seconds(FailureClass.RETRY, send_id, attempts=attempts, retry_after_seconds=None, policy=POLICY)
    whole = min(POLICY.backoff_seconds_max, 2.0 ** (attempts - 1))
    assert seconds is not None
    assert whole / 2 <= seconds < whole
    assert seconds == wait_seconds(FailureClass.RETRY, send_id, attempts=attempts, retry_after_seconds=None, policy=POLICY)


def test_different_sends_are_spread() -> None:
    """A hundred sends refused together do not come back together."""
    assert len({jitter(f"s{number}", 1) for number in range(100)}) == 100


def test_a_slow_lane_waits_a_pause_at_least() -> None:
    """The account rests; the channel's own word makes it longer, never shorter."""
    own = wait_seconds(FailureClass.SLOW_LANE, "s1", attempts=1, retry_after_seconds=None, policy=POLICY)
    assert own is not None
    assert POLICY.slow_seconds * 1.5 <= own < POLICY.slow_seconds * 2
    assert wait_seconds(FailureClass.SLOW_LANE, "s1", attempts=1, retry_after_seconds=90, policy=POLICY) == 90
    assert wait_seconds(FailureClass.SLOW_LANE, "s1", attempts=1, retry_after_seconds=1, policy=POLICY) == own


@pytest.mark.parametrize(
    "class_", [FailureClass.TEMPLATE_NEEDED, FailureClass.OTHER_CHANNEL, FailureClass.DEAD_LETTER, FailureClass.SUPPRESS]
)
def test_the_other_classes_are_final(class_: FailureClass) -> None:
    """Trying again cannot help, whatever the channel says about later."""
    assert wait_seconds(class_, "s1", attempts=1, retry_after_seconds=1, policy=POLICY) is None


def test_a_stopped_account_waits_at_its_gate() -> None:
    """The send goes back into the queue at once, where the breaker holds it; the bound of attempts counts there too."""
    assert wait_seconds(FailureClass.STOP_ACCOUNT, "s1", attempts=7, retry_after_seconds=None, policy=POLICY) == 0
    assert wait_seconds(FailureClass.STOP_ACCOUNT, "s1", attempts=8, retry_after_seconds=None, policy=POLICY) is None
