"""Commands that say something about a conversation: notes, attributes, tags, language, priority."""

from __future__ import annotations

from typing import Any

from services.router.core.languages import bounded
from services.router.core.memory import without
from services.router.core.ownership import offer, tell_urgency
from services.router.core.refusals import NO_CONVERSATION, permit, reject
from services.router.core.routing import priority_problem
from services.router.core.turn import Turn
from shared.events.commands import AddNote, AskCsat, Command, PrivateReply, SetAttribute, SetLanguage, SetPriority, Tag, Untag
from shared.events.conversations import ConversationUpdated, NoteAdded

TAGS_MAX = 32
ATTRIBUTES_MAX = 64
NAME_CHARACTERS_MAX = 64
"""Longest tag, and longest name of an attribute."""
VALUE_CHARACTERS_MAX = 1_000
"""Longest value of an attribute."""


def take_note(turn: Turn, command: AddNote) -> None:
    """Leave a note; a closed conversation takes notes too."""
    if _known(turn, command):
        turn.emit(NoteAdded(conversation_id=turn.conversation_id, author=command.author, text=command.text))


def take_attribute(turn: Turn, command: SetAttribute) -> None:
    """Remember something about the conversation, or forget it (no value)."""
    if not _known(turn, command):
        return
    before = turn.state.attributes
    if command.value is None:
        after = without(before, command.name)
    elif not 0 < len(command.name) <= NAME_CHARACTERS_MAX or len(command.value) > VALUE_CHARACTERS_MAX:
        limits = f"at most {NAME_CHARACTERS_MAX} characters in its name and {VALUE_CHARACTERS_MAX} in its value"
        reject(turn, command, "invalid", f"An attribute has a name, {limits}.")
        return
    else:
        after = {**before, command.name: command.value}
    if len(after) > ATTRIBUTES_MAX:
        reject(turn, command, "invalid", f"A conversation has at most {ATTRIBUTES_MAX} attributes. Remove one first.")
    elif after != before:
        turn.update(attributes=after)
        _tell(turn, "attributes", before, after)


def take_tag(turn: Turn, command: Tag) -> None:
    """Mark the conversation."""
    if not _known(turn, command):
        return
    tags = turn.state.tags
    if not 0 < len(command.tag) <= NAME_CHARACTERS_MAX:
        reject(turn, command, "invalid", f"A tag has 1 to {NAME_CHARACTERS_MAX} characters.")
    elif command.tag in tags:
        return
    elif len(tags) >= TAGS_MAX:
        reject(turn, command, "invalid", f"A conversation has at most {TAGS_MAX} tags. Remove one first.")
    else:
        _change_tags(turn, (*tags, command.tag))


def take_untag(turn: Turn, command: Untag) -> None:
    """Take a mark away."""
    if _known(turn, command) and command.tag in turn.state.tags:
        _change_tags(turn, tuple(tag for tag in turn.state.tags if tag != command.tag))


def take_language(turn: Turn, command: SetLanguage) -> None:
    """Settle the language; what waits is offered to agents who speak it."""
    if not permit(turn, command):
        return
    configured = turn.rules.centre.languages
    language = bounded(command.language, configured)
    if language is None:
        reject(turn, command, "invalid", f"{command.language} is none of this contact centre's languages ({', '.join(configured)}).")
        return
    before = turn.state.language
    turn.update(language=language, language_certain=True)
    if language != before:
        _tell(turn, "language", before, language)
        offer(turn)


def take_priority(turn: Turn, command: SetPriority) -> None:
    """Make the conversation more or less urgent."""
    if not permit(turn, command):
        return
    problem = priority_problem(command.priority)
    before = turn.state.priority
    if problem is not None:
        reject(turn, command, "invalid", problem)
    elif command.priority != before:
        turn.update(priority=command.priority)
        _tell(turn, "priority", before, command.priority)
        tell_urgency(turn)


def refuse_unavailable(turn: Turn, command: PrivateReply | AskCsat) -> None:
    """Say that no channel of this installation takes such a command."""
    what = "A private reply to a comment" if isinstance(command, PrivateReply) else "A question for satisfaction"
    reject(turn, command, "not_available", f"{what} is not available on this channel.")


def _known(turn: Turn, command: Command) -> bool:
    """Return whether there is, or was, a conversation to say something about; say so where there is none."""
    if not turn.state.number:
        reject(turn, command, *NO_CONVERSATION)
    return bool(turn.state.number)


def _change_tags(turn: Turn, tags: tuple[str, ...]) -> None:
    """Remember and tell the tags."""
    before = turn.state.tags
    turn.update(tags=tags)
    _tell(turn, "tags", list(before), list(tags))


def _tell(turn: Turn, name: str, before: Any, after: Any) -> None:
    """Publish a change."""
    turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes={name: (before, after)}))
