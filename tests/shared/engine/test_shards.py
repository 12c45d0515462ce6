"""What a process holds in memory of its shards: it can be forgotten at any moment, and then is looked up anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.engine.document import Document
from shared.engine.shards import Shards
from tests.shared.engine.counting import Count

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def owning(*shards: int, documents_max: int = 10, looked_up: bool = True) -> Shards[Count]:
    """Return the memory of a process that owns `shards`, its timers looked up and its flush done unless told otherwise."""
    memory: Shards[Count] = Shards(documents_max)
    memory.own(set(shards))
    if looked_up:
        memory.to_flush.clear()
        for shard in shards:
            memory.timers_looked_up(shard, None)
    return memory


def test_a_new_owner_knows_nothing() -> None:
    """What timers left is flushed, and timers are looked up, before anything else."""
    memory = owning(1, 2, looked_up=False)
    assert memory.to_flush == {1, 2}
    assert memory.timers_to_look_up(NOON) == [1, 2]
    assert memory.seconds_to_next_timer(NOON) == 0.0


def test_forgetting_a_shard_leaves_the_others_alone() -> None:
    """A shard that failed is read anew; its neighbours keep what they know."""
    memory = owning(1, 2)
    for key, shard in (("a", 1), ("b", 2)):
        memory.put(Document(key, shard, dirty=True))
        memory.timer_armed(shard, NOON + SECOND)
    memory.forget({1})
    assert memory.get("a") is None
    assert memory.get("b") is not None
    assert memory.to_flush == {1}
    assert memory.timers_to_look_up(NOON) == [1]
    assert list(memory.dirty_keys) == ["b"]


def test_forgetting_what_is_not_owned_asks_for_nothing() -> None:
    """It is another process's to flush."""
    memory = owning(1)
    memory.forget({7})
    assert memory.to_flush == set()
    assert memory.timers_to_look_up(NOON) == []


def test_owning_anew_forgets_all() -> None:
    """Between two assignments another process may have written."""
    memory = owning(1)
    memory.put(Document("a", 1, dirty=True))
    memory.timer_armed(1, NOON)
    memory.own({1, 2})
    assert len(memory) == 0
    assert memory.dirty_keys == {}
    assert memory.timers_to_look_up(NOON - SECOND) == [1, 2]
    memory.own(set())
    assert memory.to_flush == set()
    assert memory.seconds_to_next_timer(NOON) is None


def test_a_timer_of_a_shard_that_is_gone_is_not_ours() -> None:
    """A batch that outlived its revocation must not make us fire another process's timers."""
    memory = owning(1)
    memory.timer_armed(2, NOON)
    assert memory.timers_to_look_up(NOON) == []
    assert memory.seconds_to_next_timer(NOON) is None


def test_the_nearest_timer_is_known() -> None:
    """A later one does not push it back; one that is due is looked up, and then the next counts."""
    memory = owning(1, 2)
    memory.timer_armed(1, NOON + 2 * SECOND)
    memory.timer_armed(1, NOON + 5 * SECOND)
    memory.timer_armed(2, NOON + 3 * SECOND)
    assert memory.seconds_to_next_timer(NOON) == 2.0
    assert memory.timers_to_look_up(NOON + 2 * SECOND) == [1]
    memory.timers_looked_up(1, NOON + 5 * SECOND)
    assert memory.seconds_to_next_timer(NOON + 2 * SECOND) == 1.0
    assert memory.seconds_to_next_timer(NOON + 10 * SECOND) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=60), st.integers(0, 5))
def test_memory_is_bounded_and_keeps_what_was_used_last(steps: list[tuple[int, bool, bool]], documents_max: int) -> None:
    """Against a plain list in the order of use; marks are known of what is held, and of nothing else."""
    memory = owning(0, documents_max=documents_max)
    used: list[tuple[str, bool]] = []
    for number, put, dirty in steps:
        key = str(number)
        held = dict(used)
        if put:
            memory.put(Document(key, 0, dirty=dirty))
            used = [*((other, mark) for other, mark in used if other != key), (key, dirty)][-documents_max or len(used) + 1 :]
        elif memory.get(key) is not None:
            used = [*((other, mark) for other, mark in used if other != key), (key, held[key])]
        assert len(memory) == len(used)
        assert all(other in memory._documents for other, _ in used)
        assert set(memory.dirty_keys) == {other for other, mark in used if mark}
