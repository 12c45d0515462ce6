"""Order within a key, concurrency across keys, bounds."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.worker_sequencer import Sequencer


def test_one_at_a_time_per_key_and_all_keys_at_once() -> None:
    """The second of a key starts when the first has finished; another key does not wait for it."""
    sequencer: Sequencer[int, str, int] = Sequencer(10)
    for key, item in [("a", 1), ("a", 2), ("b", 3)]:
        sequencer.add(0, key, item)
    assert sequencer.start() == [(0, "a", 1), (0, "b", 3)]
    assert sequencer.start() == []
    sequencer.finish(0, "a")
    assert sequencer.start() == [(0, "a", 2)]
    assert (sequencer.active, sequencer.held(0)) == (2, 2)


def test_the_bound_of_active_keys_holds() -> None:
    """Who comes first starts first when there is room."""
    sequencer: Sequencer[int, str, int] = Sequencer(1)
    for key in "abc":
        sequencer.add(0, key, 1)
    assert sequencer.start() == [(0, "a", 1)]
    sequencer.finish(0, "a")
    assert sequencer.start() == [(0, "b", 1)]


def test_dropping_a_place_leaves_the_others_and_what_is_active() -> None:
    """What has started must still be finished; a key that comes again waits for it."""
    sequencer: Sequencer[int, str, int] = Sequencer(2)
    for place, key, item in [(0, "a", 1), (0, "a", 2), (1, "b", 3), (0, "c", 4)]:
        sequencer.add(place, key, item)
    sequencer.start()
    assert sequencer.drop(0) == 2
    assert (sequencer.held(0), sequencer.held(1)) == (1, 1)
    sequencer.add(0, "a", 1)
    assert sequencer.start() == []
    sequencer.finish(0, "a")
    assert sequencer.start() == [(0, "a", 1)]


def test_nobody_active_is_a_mistake() -> None:
    """A bound of none would stop everything; finishing what is not active is a mistake of ours."""
    with pytest.raises(ValueError, match="active"):
        Sequencer[int, str, int](0)
    with pytest.raises(KeyError):
        Sequencer[int, str, int](1).finish(0, "a")


@given(
    st.lists(st.tuples(st.sampled_from(["add", "start", "finish", "drop"]), st.integers(0, 2), st.integers(0, 3)), max_size=200),
    st.integers(1, 5),
)
def test_order_and_bounds_hold_under_any_interleaving(acts: list[tuple[str, int, int]], active_max: int) -> None:
    """Per key the items start in order, one at a time, none is lost but the dropped, and the bound is never exceeded."""
    sequencer: Sequencer[int, int, int] = Sequencer(active_max)
    queued: dict[tuple[int, int], list[int]] = defaultdict(list)
    active: set[tuple[int, int]] = set()
    number = 0

    def start() -> None:
        for place, key, item in sequencer.start():
            assert (place, key) not in active
            assert queued[place, key].pop(0) == item
            active.add((place, key))
        assert len(active) <= active_max
        assert len(active) == active_max or not [name for name, items in queued.items() if items and name not in active]

    for act, place, key in acts:
        if act == "add":
            number += 1
            sequencer.add(place, key, number)
            queued[place, key].append(number)
        elif act == "start":
            start()
        elif act == "finish" and (place, key) in active:
            sequencer.finish(place, key)
            active.discard((place, key))
        elif act == "drop":
            assert sequencer.drop(place) == sum(len(items) for name, items in queued.items() if name[0] == place)
            queued = defaultdict(list, {name: items for name, items in queued.items() if name[0] != place})
        for name in range(3):
            waiting = sum(len(items) for (where, _), items in queued.items() if where == name)
            assert sequencer.held(name) == waiting + len([1 for where, _ in active if where == name])
