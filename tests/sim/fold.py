"""The facts folded anew: what the topics say a state must be, and what the store holds.

The trail tells which events took effect, in which order and when. Decided again by the rules, from nothing, they must lead to the
state in the store, and to the outputs that were saved, to the byte.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.clock import from_epoch_milliseconds
from shared.engine.reducer import Reducer, TimerFired
from shared.engine.step import TIMER_LATE_SECONDS
from shared.events.envelope import Event, new_event
from shared.topics import TOPICS
from tests.sim.decisions import Decisions, Memory
from tests.sim.facts import Facts, Findings
from tests.sim.witness import TIMER_MARK, WitnessReducer

_TOPICS = {topic.name: topic for topic in TOPICS}


def check_states(facts: Facts, decisions: Decisions, findings: Findings) -> None:
    """Fold every key of every reducer and compare."""
    for (name, key), memory in decisions.documents.items():
        reducer = decisions.reducers[name]
        folded = _folded(reducer, key, memory, facts)
        if folded != memory.inner:
            findings.report("states follow from the facts", f"{name} of {key} is not what its {len(memory.decided)} decisions lead to", key)
            return


def _folded(reducer: Reducer[Any], key: str, memory: Memory, facts: Facts) -> Any:
    """Return the state, as JSON, that the decisions of a key lead to."""
    state: Any = None
    for mark, moment in memory.decided:
        state = reducer.decide(state, _event(reducer, key, mark, moment, facts), moment).state
    model = WitnessReducer.model(reducer.state, "1")
    return orjson.loads(model.model_construct(count=0, trail="", inner=state).model_dump_json(exclude_none=True)).get("inner")


def _event(reducer: Reducer[Any], key: str, mark: str, moment: Any, facts: Facts) -> Event[Any]:
    """Return the event behind a mark of the trail."""
    if not mark.startswith(TIMER_MARK):
        topic, value = facts.by_mark[mark]
        return _TOPICS[topic].decode(value)
    due_at = from_epoch_milliseconds(int(mark[1:]))
    late = (moment - due_at).total_seconds() > TIMER_LATE_SECONDS
    return new_event(TimerFired(due_at=due_at, late=late), event_id="timer", source=reducer.source, subject=key, time=moment)
