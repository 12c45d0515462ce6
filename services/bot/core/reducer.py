"""The bot as a reducer: when it may speak. What it says is the turn's business.

It answers while it owns the conversation, under the epoch at which it was given it, and once per message. Everything else it
only takes note of: so it never talks over an agent, whatever order things arrive in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from services.bot.core.reading import words_of
from services.bot.core.rules import Rules
from services.bot.core.turn import Turn, bounded_attributes
from services.bot.state import BotState, Message
from shared.engine.reducer import Decision, Output
from shared.events.commands import Command, HandOff
from shared.events.conversations import (
    CommandRejected,
    ConversationClosed,
    ConversationOpened,
    ConversationReopened,
    ConversationUpdated,
    MessageAppended,
    OwnerChanged,
    ReplyRejected,
)
from shared.events.envelope import Event
from shared.events.shapes import Author
from shared.topics import COMMANDS, CONVERSATIONS, Topic

BOT_OWNER = "bot"
"""The owner under which the bot answers."""


class BotReducer:
    """The bot's reducer, by thread over `conversations`; emits `commands`."""

    name = "bot"
    source = "parley/bot/bot"
    inputs: ClassVar[tuple[Topic, ...]] = (CONVERSATIONS,)
    state = BotState

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def due(self, state: BotState) -> datetime | None:  # noqa: ARG002  # part of the reducer's shape: the bot waits for nothing
        """Return None: the bot acts on messages alone."""
        return None

    def decide(  # noqa: PLR0911  # one return per kind of event: it reads as a table
        self, state: BotState | None, event: Event[Any], now: datetime
    ) -> Decision[BotState]:
        """Return what the bot remembers and asks for after `event`."""
        known = state or BotState()
        match event.data:
            case ConversationOpened() | ConversationReopened() as opened:
                return Decision(_opened(known, opened))
            case ReplyRejected(author=author) if self._is_mine(author):
                return Decision(known.model_copy(update={"rejected_replies": known.rejected_replies + 1}))
            case CommandRejected(author=author) as rejected if self._is_mine(author):
                return Decision(_command_rejected(known, rejected))
            case data if getattr(data, "conversation_id", None) is None or data.conversation_id != known.conversation_id:
                return Decision(state)
            case ConversationClosed():
                return Decision(_lasting(known))
            case ConversationUpdated(changes=changes):
                return Decision(_updated(known, changes))
            case OwnerChanged() as changed:
                return self._owner_changed(known, changed, event.subject, now)
            case MessageAppended(direction="in") as appended:
                return self._appended(known, appended, event.subject, now)
            case _:
                return Decision(state)

    def _is_mine(self, author: Author) -> bool:
        """Return whether a command came from this bot."""
        return (author.kind, author.id) == (self._rules.author.kind, self._rules.author.id)

    def _owner_changed(self, state: BotState, changed: OwnerChanged, thread: str, now: datetime) -> Decision[BotState]:
        """Take or leave the conversation. What came in before anybody owned it is answered now."""
        if state.epoch is not None and changed.epoch <= state.epoch:
            return Decision(state)
        state = state.model_copy(update={"owner": changed.to, "epoch": changed.epoch, "leaving": None, "step": None, "misses": 0})
        if state.pending is None:
            return Decision(state)
        return self._answer(state, state.pending, thread, now)

    def _appended(self, state: BotState, appended: MessageAppended, thread: str, now: datetime) -> Decision[BotState]:
        """Answer a message of the customer, if it is the bot's to answer and not answered yet."""
        if appended.position <= state.settled_position:
            return Decision(state)
        message = Message(position=appended.position, content=appended.content, sent_at=appended.sent_at, late=appended.late)
        if state.owner is None:
            return Decision(state.model_copy(update={"pending": message}))
        return self._answer(state, message, thread, now)

    def _answer(self, state: BotState, message: Message, thread: str, now: datetime) -> Decision[BotState]:
        """Return the turn that `message` brings about; in silence where somebody else answers, or it was overtaken."""
        flow = self._rules.flow_of(state)
        if state.owner != BOT_OWNER or state.leaving is not None or self._was_overtaken(state, message):
            return Decision(state.model_copy(update={"settled_position": message.position, "pending": None}))
        if flow is None:
            hand_off = HandOff(author=self._rules.author, epoch=state.epoch, department=state.department, language=state.language)
            left = {"leaving": "hand_off", "settled_position": message.position, "pending": None}
            return _commanded(state.model_copy(update=left), [hand_off], thread)
        state, commands = Turn(self._rules, flow, state=state, message=message, now=now).take()
        return _commanded(state, commands, thread)

    def _was_overtaken(self, state: BotState, message: Message) -> bool:
        """Return whether a younger message was answered already; a wish for a person counts all the same."""
        if not message.late or state.answered_sent_at is None or message.sent_at > state.answered_sent_at:
            return False
        flow, words = self._rules.flow_of(state), words_of(message.content)
        if flow is None or words is None:
            return True
        return not self._rules.understanding.wants_person(flow, self._rules.language_of(state), words)


def _commanded(state: BotState, commands: list[Command], thread: str) -> Decision[BotState]:
    """Return the decision to give these commands."""
    return Decision(state, tuple(Output(topic=COMMANDS, key=thread, data=command) for command in commands))


def _lasting(state: BotState) -> BotState:
    """Return what outlives a conversation: which messages are settled, and the counts."""
    return BotState(
        settled_position=state.settled_position, rejected_replies=state.rejected_replies, rejected_commands=state.rejected_commands
    )


def _opened(state: BotState, opened: ConversationOpened | ConversationReopened) -> BotState:
    """Return the state at the beginning of a conversation; one that is open already does not begin again."""
    if state.conversation_id == opened.conversation_id:
        return state
    return _lasting(state).model_copy(
        update={
            "conversation_id": opened.conversation_id,
            "channel": opened.channel,
            "account": opened.account,
            "language": opened.language,
            "department": opened.department,
        }
    )


def _updated(state: BotState, changes: dict[str, tuple[Any, Any]]) -> BotState:
    """Return the state with the facts that concern the bot."""
    update: dict[str, Any] = {}
    for name in ("language", "department"):
        new = changes.get(name, (None, None))[1]
        if isinstance(new, str):
            update[name] = new
    attributes = changes.get("attributes", (None, None))[1]
    if isinstance(attributes, dict):
        texts = {str(name): value for name, value in attributes.items() if isinstance(value, str)}
        update["attributes"] = bounded_attributes(texts)
    return state.model_copy(update=update)


def _command_rejected(state: BotState, rejected: CommandRejected) -> BotState:
    """Return the state after a command was refused: what the bot was about to leave, it goes on with."""
    leaving = None if rejected.command == state.leaving else state.leaving
    return state.model_copy(update={"rejected_commands": state.rejected_commands + 1, "leaving": leaving})
