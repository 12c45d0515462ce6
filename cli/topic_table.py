"""Who writes and who reads each topic: the rest of the design's table, which no other code needs.

A test holds the readers to what the reducers and the worker really read.
"""

from __future__ import annotations

from dataclasses import dataclass

READERS = ("conversation", "dispatch", "bot", "sla", "outbound")
"""Every reducer and worker: each has a consumer group and a dead-letter topic."""
DEAD = "dead."


@dataclass(frozen=True, slots=True)
class Traffic:
    """One topic's row. `readers` are reducers and workers by the name of their group; `besides` reads it without one of ours."""

    purpose: str
    written_by: tuple[str, ...]
    readers: tuple[str, ...]
    besides: tuple[str, ...] = ()


TRAFFIC: dict[str, Traffic] = {
    "inbound": Traffic("what customers did", ("ingest", "integrators"), ("conversation",)),
    "deliveries": Traffic("what became of our messages", ("ingest", "outbound"), ("conversation", "sla")),
    "commands": Traffic("what is asked of a conversation", ("bot", "desk", "integrators"), ("conversation",)),
    "conversations": Traffic("what the router decided", ("router (conversation)",), ("bot", "sla"), ("desk", "insights", "integrators")),
    "work": Traffic("conversations that want an agent", ("router (conversation)",), ("dispatch",)),
    "agents": Traffic("who is here and takes what", ("desk", "integrators"), ("dispatch",)),
    "assignments": Traffic("who gets which conversation", ("router (dispatch)",), ("conversation",), ("desk",)),
    "sla": Traffic("windows and promises", ("sla",), ("conversation",), ("desk", "insights", "integrators")),
    "sends": Traffic("exactly what goes out, or why not", ("sla",), ("outbound",), ("desk",)),
    "rejected": Traffic("webhooks that could not be used", ("ingest",), (), ("operators",)),
}


def traffic_of(topic: str) -> Traffic:
    """Return the row of a topic, dead-letter topics included; `topic` is its name without the prefix."""
    if topic.startswith(DEAD):
        reader = topic.removeprefix(DEAD)
        return Traffic(f"records that {reader} could not take", (reader,), (), ("operators",))
    return TRAFFIC[topic]
