"""Who got what: capacity kept, nobody idle while suitable work waits, the most urgent first.

Judged from the saved pools, by rules of its own.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.contact_centre.models import Agent
from shared.contact_centre.staffing import Staffing
from tests.sim.decisions import Progress
from tests.sim.facts import Findings
from tests.sim.services import rules

Loads = Counter[tuple[str, str]]
"""Slots taken, per agent and channel class."""


class Dispatching:
    """Judges every saved state of a pool that one decision made."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._centre = rules().centre
        self._staffing = Staffing(self._centre)
        self._moment = datetime.min.replace(tzinfo=UTC)

    def saved(self, progress: Progress) -> None:
        """Judge one save of a pool; several decisions in one save hide what each of them saw."""
        pool = progress.memory.inner
        if pool is None or progress.decisions != 1:
            return
        moment = progress.memory.decided[-1][1]
        loads = _loads(pool)
        self._moment = moment
        self._check_order(progress.key, pool)
        for event in map(orjson.loads, progress.outputs):
            if event["type"] == "parley.assignment.made.v1":
                self._check_assignment(progress.key, pool, loads, event)
        for work in pool["waiting"]:
            idle = [name for name in sorted(pool["agents"]) if self._could_take(progress.key, pool, loads, name, work)]
            if idle and not work["lapsed_agents"]:
                detail = f"{work['conversation_id']} waits at {moment.isoformat()} though {idle[0]} is free and suits"
                self._findings.report("work to whoever is free", detail, work["thread"])

    def _check_order(self, pool_name: str, pool: dict[str, Any]) -> None:
        order = [(-work["priority"], work.get("due_at") or "9999", work["entered_at"]) for work in pool["waiting"]]
        self._findings.require("queue order", f"{pool_name}: the queue is not in order of urgency", pool_name, holds=order == sorted(order))

    def _check_assignment(self, pool_name: str, pool: dict[str, Any], loads: Loads, event: dict[str, Any]) -> None:
        """An assignment keeps to the capacity, and passed over nobody more urgent whom the agent could have taken."""
        agent, conversation = event["data"]["agent"], event["data"]["conversation_id"]
        held = pool["assigned"].get(conversation)
        if held is None or held["agent"] != agent:
            return
        kind = held["work"]["channel_class"]
        slots = self._capacity(pool, agent).get(kind, 0)
        if loads[agent, kind] > slots:
            detail = f"{agent} of {pool_name} got {conversation} and has {loads[agent, kind]} of {slots}"
            self._findings.report("capacity kept", detail, event["subject"])
        known = self._centre.agents[agent]
        for work in pool["waiting"]:
            more_urgent = _urgency(work) < _urgency(held["work"])
            if more_urgent and work["channel_class"] == kind and not work["lapsed_agents"] and _suits(agent, known, work):
                detail = f"{agent} got {conversation} before {work['conversation_id']}, which is more urgent"
                self._findings.report("most urgent first", detail, event["subject"])

    def _capacity(self, pool: dict[str, Any], agent: str) -> dict[str, int]:
        configured = {str(kind): slots for kind, slots in self._centre.agents[agent].capacity.items()}
        return {**configured, **pool["agents"].get(agent, {}).get("capacity", {})}

    def _could_take(self, pool_name: str, pool: dict[str, Any], loads: Loads, agent: str, work: dict[str, Any]) -> bool:  # internal
        presence, known = pool["agents"][agent], self._centre.agents.get(agent)
        if known is None or known.pool != pool_name or not presence["signed_in"] or presence["status"] != "available":
            return False
        kind = work["channel_class"]
        room = self._capacity(pool, agent).get(kind, 0) > loads[agent, kind]
        return room and _suits(agent, known, work) and self._staffing.on_shift(agent, self._moment)


def _loads(pool: dict[str, Any]) -> Loads:
    """Return the slots that are taken per agent and channel class."""
    loads = Counter((held["agent"], held["work"]["channel_class"]) for held in pool["assigned"].values())
    for agent, presence in pool["agents"].items():
        loads.update((agent, wrap_up["channel_class"]) for wrap_up in presence["wrap_ups"])
    return loads


def _suits(name: str, agent: Agent, work: dict[str, Any]) -> bool:
    """Return whether an agent can and may do the work."""
    language, department = work.get("language"), work.get("department")
    return (
        name not in work["excluded_agents"]
        and (language is None or language.split("-")[0] in {spoken.split("-")[0] for spoken in agent.languages})
        and (department is None or department in agent.departments)
        and set(work["skills"]) <= set(agent.skills)
    )


def _urgency(work: dict[str, Any]) -> tuple[int, str, str]:
    return (-work["priority"], work.get("due_at") or "9999", work["entered_at"])
