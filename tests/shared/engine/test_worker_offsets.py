"""What may be committed while records are finished out of order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.worker_offsets import OffsetTracker


def test_only_the_contiguous_part_may_be_committed() -> None:
    """A record that is finished behind an unfinished one waits for it."""
    tracker = OffsetTracker()
    for offset in (5, 6, 7):
        assert tracker.add(offset)
    tracker.done(6)
    assert tracker.position == 5
    tracker.done(5)
    assert tracker.position == 7
    tracker.done(7)
    assert tracker.position == 8


def test_before_the_first_record_there_is_nothing_to_commit() -> None:
    """A partition that was only assigned keeps the offset it has."""
    assert OffsetTracker().position is None


def test_a_record_that_was_read_before_is_not_taken_again() -> None:
    """Reading twice is no reason to work twice."""
    tracker = OffsetTracker()
    tracker.add(5)
    assert not tracker.add(5)
    tracker.done(5)
    assert not tracker.add(4)
    assert tracker.position == 6


def test_what_is_not_held_cannot_be_done() -> None:
    """Finishing a record twice, or one that was never read, is a mistake of ours."""
    tracker = OffsetTracker()
    tracker.add(5)
    tracker.done(5)
    for offset in (5, 6):
        with pytest.raises(ValueError, match="not unfinished"):
            tracker.done(offset)


@given(st.sets(st.integers(0, 200), min_size=1, max_size=50), st.randoms(use_true_random=False), st.integers(0, 50))
def test_the_position_is_the_first_unfinished_offset_whatever_the_order(offsets: set[int], random: object, finished: int) -> None:
    """For any holes in the log and any order of finishing: nothing unfinished is skipped, nothing finished at the front is kept."""
    order = sorted(offsets)
    tracker = OffsetTracker()
    for offset in order:
        tracker.add(offset)
    shuffled = list(order)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    done = set(shuffled[:finished])
    for offset in shuffled[:finished]:
        tracker.done(offset)
    assert tracker.position == min(offsets - done, default=order[-1] + 1)
