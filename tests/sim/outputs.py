"""Outputs of reducers on the topics: saved before they are seen, without gap, never out of order, never in two versions."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.sim.facts import Findings
from tests.sim.services import rules


def reducers_by_source() -> dict[str, str]:
    """Return the name of each reducer by the source of its outputs."""
    return {reducer.source: reducer.name for reducers in rules().reducers.values() for reducer in reducers}


class Outputs:
    """Follows every reducer's outputs. `emitting` is (reducer, key of the emitting state)."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._reducer_of = reducers_by_source()
        self.saved: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        self._front: dict[tuple[str, str], int] = defaultdict(int)
        self._ahead: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._behind: dict[tuple[str, str], tuple[int, float]] = {}
        self._last_on: dict[tuple[str, str, str, str], int] = defaultdict(int)

    def published_up_to(self, emitting: tuple[str, str]) -> int:
        """Return the seq up to which everything of this state stands on the topics."""
        return self._front[emitting]

    def left(self, moment: float) -> list[tuple[str, str]]:
        """Return the states with outputs that were saved before `moment` (seconds of the run) and stand on no topic."""
        return [name for name, (front, since) in self._behind.items() if self._front[name] < front and since < moment]

    def was_saved(self, emitting: tuple[str, str], moment: float) -> None:
        """Take note that everything saved so far was saved at `moment`."""
        self._behind[emitting] = (len(self.saved[emitting]), moment)

    def written(self, topic: str, key: str, event: dict[str, Any], value: bytes, *, new: bool) -> None:
        """Check one record."""
        reducer = self._reducer_of.get(event["source"])
        if reducer is None:
            return
        emitter = event.get("emitter", event["subject"])
        emitting, seq = (reducer, emitter), event["seq"]
        saved = self.saved.get(emitting, [])
        if seq > len(saved):
            self._findings.report("saved before published", f"{event['id']} is on {topic} and in no saved document", key)
            return
        if saved[seq - 1] != value:
            self._findings.report("one version of every output", f"{event['id']} on {topic} differs from what was saved", key)
            return
        line = (reducer, emitter, topic, key)
        last = self._last_on[line]
        if not new:
            return
        if seq <= last:
            self._findings.report("outputs in order", f"{event['id']} appears on {topic} behind seq {last}", key)
        previous = event.get("previousseq")
        if previous is not None and previous != last:
            self._findings.report("no gap in outputs", f"{event['id']} on {topic} follows seq {previous}, but seq {last} is there", key)
        self._last_on[line] = seq
        self._move_front(emitting, seq)

    def _move_front(self, emitting: tuple[str, str], seq: int) -> None:
        ahead = self._ahead[emitting]
        ahead.add(seq)
        front = self._front[emitting]
        while front + 1 in ahead:
            front += 1
            ahead.remove(front)
        self._front[emitting] = front
