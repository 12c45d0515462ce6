"""A reducer with two inputs whose every effect can be told from its outputs, and the judge who does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.engine.reducer import Decision, Output
from shared.events.commands import AddNote
from shared.events.deliveries import SendUnknown
from shared.events.envelope import Event, new_event
from shared.topics import COMMANDS, CONVERSATIONS, DELIVERIES, WORK, Topic
from tests.shared.engine.counting import AUTHOR, Count, Counter, note

OUTPUTS = {"a": 1, "b": 1, "quiet": 0, "work": 2, "timer": 1}
"""How many outputs a note leads to at once; a timer rings later. Any other word leads to one."""
RING_AFTER = timedelta(seconds=0.3)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Witness(Counter):
    """Counts what comes on two topics; each output's cause is the input it follows from."""

    name = "witness"
    source = "parley/test/witness"
    inputs: tuple[Topic, ...] = (COMMANDS, DELIVERIES)

    def decide(self, state: Count | None, event: Event[Any], now: datetime) -> Decision[Count]:
        """Answer a delivery with a note of its own; everything else as the counter does."""
        if not isinstance(event.data, SendUnknown):
            decision = super().decide(state, event, now)
            if isinstance(event.data, AddNote) and event.data.text == "timer" and decision.state is not None:
                return Decision(decision.state.but(due_at=now + RING_AFTER), decision.outputs)
            return decision
        state = state or Count()
        counted = state.but(notes=state.notes + 1)
        return Decision(counted, (Output(CONVERSATIONS, event.subject, note(f"delivery {event.data.send_id}")),))


@dataclass(frozen=True, slots=True)
class Asked:
    """One input: where it was written, under which id, and what it says."""

    topic: Topic
    key: str
    event_id: str
    text: str = "a"

    @property
    def outputs(self) -> int:
        """Return how many outputs follow from it at once."""
        return OUTPUTS.get(self.text, 1)

    @property
    def value(self) -> bytes:
        """Return the record."""
        data = AddNote(author=AUTHOR, text=self.text) if self.topic is COMMANDS else SendUnknown(send_id=self.text, at=NOON, explanation="")
        return new_event(data, event_id=self.event_id, source="test", subject=self.key, time=NOON).to_json()


def once(events: Iterable[Event[Any]]) -> dict[str, list[Event[Any]]]:
    """Return the events of one topic per emitting key as a reader takes them: what is not above the last seq is dropped.

    Fails where a seq says two things, or comes for the first time behind a greater one.
    """
    taken: dict[str, dict[int, Event[Any]]] = defaultdict(dict)
    last: dict[str, int] = defaultdict(int)
    for event in events:
        emitter = event.emitter or event.subject
        assert event.seq is not None
        if event.seq in taken[emitter]:
            assert taken[emitter][event.seq] == event, f"{event.id} said two things"
            continue
        assert event.seq > last[emitter], f"{event.id} came for the first time behind {last[emitter]}"
        taken[emitter][event.seq] = event
        last[emitter] = event.seq
    return {emitter: list(by_seq.values()) for emitter, by_seq in taken.items()}


def judge(asked: Iterable[Asked], written: Iterable[Event[Any]]) -> dict[str, list[Event[Any]]]:
    """Fail unless every input took effect exactly once, per key in the order of its topic, and the outputs are gapless.

    Returns the outputs per key, once each, in the order of their seq.
    """
    by_topic: dict[str, list[Event[Any]]] = defaultdict(list)
    for event in written:
        by_topic[event.type if event.type.startswith(f"parley.{WORK.name}") else "notes"].append(event)
    outputs: dict[str, list[Event[Any]]] = defaultdict(list)
    for events in by_topic.values():
        for key, taken in once(events).items():
            outputs[key].extend(taken)
    inputs: dict[tuple[str, Topic], list[Asked]] = defaultdict(list)
    for one in asked:
        inputs[one.key, one.topic].append(one)
    assert set(outputs) <= {key for key, _ in inputs}
    for key in {key for key, _ in inputs}:
        outputs[key].sort(key=lambda event: event.seq or 0)
        assert [event.seq for event in outputs[key]] == list(range(1, len(outputs[key]) + 1)), f"{key} has a gap"
        causes = [event.causationid for event in outputs[key]]
        rings = [cause for cause in causes if cause and "/timer/" in cause]
        assert len(rings) == len(set(rings)), f"a timer of {key} rang twice"
        known = {one.event_id for topic in (COMMANDS, DELIVERIES) for one in inputs[key, topic]}
        assert set(causes) - set(rings) <= known
        for topic in (COMMANDS, DELIVERIES):
            expected = [one.event_id for one in inputs[key, topic] for _ in range(one.outputs)]
            own = {one.event_id for one in inputs[key, topic]}
            assert [cause for cause in causes if cause in own] == expected, f"{key}: not each of {topic.name} once, in order"
    return outputs
