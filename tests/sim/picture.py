"""What the topics say so far, folded as any reader would who drops what it has seen: the world's own picture of every thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Thread:
    """One thread as the topic `conversations` tells it."""

    owner: str = "nobody"
    epoch: int = 0
    is_open: bool = False
    conversation: str | None = None
    position: int = 0


@dataclass
class Picture:
    """All threads."""

    threads: dict[str, Thread] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> Thread:
        """Take an event of `conversations` for the first time; return its thread as it is then."""
        thread = self.threads.setdefault(event["subject"], Thread())
        data = event["data"]
        match event["type"]:
            case "parley.conversation.opened.v1" | "parley.conversation.reopened.v1":
                thread.is_open = True
                thread.conversation = data["conversation_id"]
            case "parley.conversation.closed.v1":
                thread.is_open = False
            case "parley.conversation.owner_changed.v1":
                thread.owner = data["to"]
                thread.epoch = data["epoch"]
            case "parley.message.appended.v1":
                thread.position = data["position"]
        return thread
