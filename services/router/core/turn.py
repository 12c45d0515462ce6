"""One decision in the making: the state as it becomes, and what is to be published."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Unpack

from services.router.core.rules import ConversationRules
from services.router.state import ConversationChanges, ConversationState
from shared.engine.reducer import Decision, Output
from shared.events.envelope import EventData, to_milliseconds
from shared.topics import CONVERSATIONS, Topic

UNKNOWN = ConversationState()
"""A thread of which nothing is known yet."""


class Turn:
    """What the rules work on. Changes are gathered and copied into the state when it is next read, so a decision copies rarely."""

    __slots__ = ("_changes", "_state", "emitter", "now", "outputs", "rules", "thread")

    def __init__(
        self, rules: ConversationRules, state: ConversationState | None, *, thread: str, emitter: str | None, now: datetime
    ) -> None:
        """Begin with `state`; `emitter` is the key of the state that emitted the event, where that is not the thread."""
        self.rules = rules
        self.thread = thread
        self.emitter = emitter
        self.now = to_milliseconds(now)
        self.outputs: list[Output] = []
        self._state = UNKNOWN if state is None else state
        self._changes: dict[str, Any] = {}

    @property
    def state(self) -> ConversationState:
        """Return the state as it is after all changes so far."""
        if self._changes:
            self._state = self._state.model_copy(update=self._changes)
            self._changes = {}
        return self._state

    @property
    def conversation_id(self) -> str:
        """Return the id of the running conversation, or of the last one."""
        return f"{self.thread}/{self.state.number}"

    def update(self, **changes: Unpack[ConversationChanges]) -> None:
        """Change these fields of the state."""
        self._changes.update(changes)

    def emit(self, data: EventData) -> None:
        """Publish a fact about the conversation."""
        self.outputs.append(Output(CONVERSATIONS, self.thread, data))

    def emit_to(self, topic: Topic, key: str, data: EventData) -> None:
        """Publish something for somebody else."""
        self.outputs.append(Output(topic, key, data))

    def decision(self) -> Decision[ConversationState]:
        """Return the decision. A thread about which nothing was learned stays without a state."""
        after = self.state
        return Decision(None if after is UNKNOWN else after, tuple(self.outputs))
