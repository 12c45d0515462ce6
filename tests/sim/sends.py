"""Sends at the vendor: claimed before they leave, made at most once, in the order of their thread, never against the window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import orjson

from shared.store.port import StoredDocument
from tests.sim.facts import Facts, Findings
from tests.sim.vendor import Request

RETRIED_CODES = frozenset({130429, 131056, 131000})
"""Refusals after which the same send may be made again: the vendor did nothing."""
CLOSED_WINDOW = 131047


class Sends:
    """Follows every request at the vendor. `ledger` returns the stored entry of a send."""

    def __init__(self, facts: Facts, findings: Findings, ledger: Callable[[str], StoredDocument | None]) -> None:
        self._facts = facts
        self._findings = findings
        self._ledger = ledger
        self.requested: dict[str, tuple[str, int, dict[str, Any]]] = {}
        self.made: dict[str, list[Request]] = defaultdict(list)
        self.outcomes: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._places: dict[str, int] = defaultdict(int)
        self._last_made: dict[str, int] = defaultdict(int)
        self.skewed = False

    def written(self, topic: str, event: dict[str, Any]) -> None:
        """Take note of a new event of `sends` and `deliveries`."""
        kind, data, thread = event["type"], event["data"], event["subject"]
        if topic == "sends" and kind == "parley.send.requested.v1":
            self._places[thread] += 1
            self.requested[data["send_id"]] = (thread, self._places[thread], event)
        elif topic == "deliveries" and kind.startswith("parley.send."):
            self.outcomes[data["send_id"]][kind.split(".")[2]] = event

    def made_request(self, request: Request) -> None:
        """Check one request that reached the vendor."""
        asked = self.requested.get(request.send_id)
        if asked is None:
            self._findings.report("sends are asked for", f"{request.process} made {request.send_id}, which is on no topic")
            return
        thread, place, _ = asked
        where = f"{request.process} made {request.send_id}"
        entry = self._ledger(request.send_id)
        phase = None if entry is None else orjson.loads(entry.body)["phase"]
        if phase is None or (phase == "waiting"):
            self._findings.report("claimed before sent", f"{where} while the ledger says {phase}", thread)
        for earlier in self.made[request.send_id]:
            if earlier.code not in RETRIED_CODES:
                told = "accepted" if earlier.message_id else f"refused ({earlier.code})"
                self._findings.report(
                    "sent at most once", f"{where} again; {earlier.process} had it {told} at {earlier.at.isoformat()}", thread
                )
        if request.code == CLOSED_WINDOW and not self.skewed:
            self._findings.report("window respected", f"{where} as {request.body['type']} after the window had closed", thread)
        if place < self._last_made[thread]:
            self._findings.report(
                "sends in order", f"{where}, number {place} of its thread, after number {self._last_made[thread]}", thread
            )
        self._last_made[thread] = max(place, self._last_made[thread])
        self.made[request.send_id].append(request)

    def is_settled(self, send_id: str) -> bool:
        """Return whether the topics say what became of a send."""
        return bool(self.outcomes.get(send_id))

    def reconcile(self) -> None:
        """Check, at the end of a run, that every send has one outcome, and that it is the vendor's."""
        for send_id, (thread, _, _) in self.requested.items():
            outcomes = self.outcomes.get(send_id, {})
            made = self.made.get(send_id, [])
            accepted = [request for request in made if request.message_id is not None]
            if not outcomes:
                self._findings.report("sends reconcile", f"{send_id} has no outcome", thread)
            elif len(outcomes) > 1 and "unknown" not in outcomes:
                self._findings.report("sends reconcile", f"{send_id} is {' and '.join(sorted(outcomes))}", thread)
            elif "accepted" in outcomes and not accepted:
                self._findings.report("sends reconcile", f"{send_id} is told to be accepted, the vendor never accepted it", thread)
            elif accepted and set(outcomes) == {"refused"}:
                self._findings.report("sends reconcile", f"{send_id} is told to be refused, the vendor accepted it", thread)
