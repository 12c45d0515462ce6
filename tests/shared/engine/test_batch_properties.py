"""Whatever crashes, freezes or fails, and wherever: every input takes effect once, and the outputs are gapless and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.topics import CONVERSATIONS, WORK
from tests.shared.engine.batch_world import FAR_FUTURE_SECONDS, World
from tests.shared.engine.counting import command
from tests.shared.engine.witness import OUTPUTS, once

KEYS = ["thread", "other", "third"]

Step = tuple[str, Any]
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("write"), st.tuples(st.sampled_from(KEYS), st.sampled_from(sorted(OUTPUTS)))),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("turn"), st.integers(1, 5)),
    st.tuples(st.just("store"), st.sampled_from(["load", "save", "saved", "scan"])),
    st.tuples(st.just("broker"), st.sampled_from(["nothing", "half", "all"])),
    st.tuples(st.just("pass"), st.integers(0, 20)),
    st.tuples(st.just("commit"), st.none()),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("zombie"), st.integers(1, 5)),
)


class Story:
    """A world, what was written into it, and the steps that happen to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.written: list[tuple[str, str]] = []
        self.steps: dict[str, Callable[[Any], Any]] = {
            "write": self.write,
            "again": self.again,
            "turn": self.world.turn,
            "store": world.store.faults.append,
            "broker": world.publisher.faults.append,
            "pass": lambda seconds: world.clock.advance(timedelta(seconds=seconds)),
            "commit": lambda _: world.commit(),
            "crash": lambda _: world.restart(),
            "zombie": self.zombie,
        }

    async def take(self, step: Step) -> None:
        """Let `step` happen."""
        happened = self.steps[step[0]](step[1])
        if asyncio.iscoroutine(happened):
            await happened

    def write(self, what: tuple[str, str]) -> None:
        """Write a note."""
        key, text = what
        self.world.write(key, command(text, event_id=f"note{len(self.written)}", key=key))
        self.written.append((key, text))

    def again(self, number: int) -> None:
        """Write a note a second time, as a provider redelivers."""
        if number < len(self.written):
            key, text = self.written[number]
            self.world.write(key, command(text, event_id=f"note{number}", key=key))

    async def zombie(self, limit: int) -> None:
        """Let a second process with an empty memory work on the same store; the first then finds itself overtaken."""
        own, self.world.work = self.world.work, self.world.another()
        position = self.world.position.copy()
        await self.world.turn(limit)
        self.world.work, self.world.position = own, position

    async def end(self) -> None:
        """Let everything come to rest without further faults, and every timer ring; the last owner finds every mark."""
        self.world.store.faults.clear()
        self.world.publisher.faults.clear()
        await self.world.restart()
        await self.world.settle()
        self.world.clock.advance(timedelta(seconds=FAR_FUTURE_SECONDS))
        await self.world.settle()
        await self.world.restart()
        await self.world.settle()


def check(story: Story) -> None:
    """Compare what was written to the log with what was asked for."""
    world = story.world
    notes, work = once(world.events(CONVERSATIONS)), once(world.events(WORK))
    for key in KEYS:
        outputs = sorted([*notes.get(key, []), *work.get(key, [])], key=lambda event: event.seq or 0)
        assert [event.seq for event in outputs] == list(range(1, len(outputs) + 1)), "a gap"
        asked = [(f"note{number}", text) for number, (own, text) in enumerate(story.written) if own == key]
        answered = [event.causationid for event in outputs if not (event.causationid or "").startswith("counter/")]
        assert answered == [name for name, text in asked for _ in range(OUTPUTS[text])], "not once each, in order"
        rings = [event.causationid for event in outputs if (event.causationid or "").startswith("counter/")]
        assert len(rings) == len(set(rings)), "a timer rang twice"
        assert bool(rings) == any(text == "timer" for _, text in asked)
        if asked:
            document = world.document(key)
            assert document.state is not None
            assert (document.state.notes, document.state.due_at, document.dirty) == (len(asked), None, False)
    assert world.letters() == []


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from([0, 1, 100]), st.sampled_from([1, 2]))
def test_no_crash_loses_doubles_or_reorders_anything(happenings: list[Step], documents_cached_max: int, timers_per_batch_max: int) -> None:
    """Random crashes at every boundary, second owners, redeliveries and timers: after dedupe by seq nobody can tell."""

    async def play() -> None:
        world = World(partitions=2, documents_cached_max=documents_cached_max, timers_per_batch_max=timers_per_batch_max)
        await world.restart()
        story = Story(world)
        for step in happenings:
            await story.take(step)
        await story.end()
        check(story)

    asyncio.run(play())
