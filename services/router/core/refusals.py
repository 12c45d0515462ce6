"""Why a command is not carried out: a reason for a program, and words for the person who asked."""

from __future__ import annotations

from typing import Literal, NamedTuple

from services.router.core.turn import Turn
from services.router.state import BOT, QUEUE, ConversationState, agent_of, agent_owner
from shared.events.commands import Command
from shared.events.conversations import CommandRejected
from shared.events.shapes import Author, AuthorKind

Reason = Literal["stale_epoch", "not_owner", "closed", "no_conversation", "invalid", "left"]


class Refusal(NamedTuple):
    """A reason and its explanation."""

    reason: Reason
    explanation: str


NO_CONVERSATION = Refusal("no_conversation", "This customer has not written yet: there is no conversation.")
CLOSED = Refusal("closed", "The conversation is closed. Reopen it first, or wait until the customer writes again.")


def describe_owner(owner: str) -> str:
    """Return an owner in words."""
    agent = agent_of(owner)
    if agent is not None:
        return f"agent {agent}"
    return {BOT: "the bot", QUEUE: "the queue"}.get(owner, "nobody")


def refuse_stale(state: ConversationState, epoch: int | None) -> Refusal | None:
    """Return a refusal where the author saw an older owner than there is now."""
    if epoch is None or epoch == state.epoch:
        return None
    return Refusal(
        "stale_epoch",
        f"The conversation changed hands meanwhile: {describe_owner(state.owner)} has it now "
        f"(epoch {state.epoch}; this was written under epoch {epoch}).",
    )


def refuse_author(state: ConversationState, author: Author, epoch: int | None) -> Refusal | None:
    """Return a refusal where `author` may not answer: an agent answers what they own, the bot what it owns, with its epoch."""
    if author.kind is AuthorKind.AGENT and state.owner != agent_owner(author.id):
        return Refusal("not_owner", f"{_capital(describe_owner(state.owner))} has this conversation. Assign it to yourself to answer it.")
    if author.kind is AuthorKind.BOT and state.owner != BOT:
        return Refusal("not_owner", f"{_capital(describe_owner(state.owner))} has this conversation: the bot is silent.")
    if author.kind is AuthorKind.BOT and epoch is None:
        return Refusal("stale_epoch", "A bot's reply must carry the epoch of the owner that it saw.")
    return None


def refuse_routing(state: ConversationState, command: Command) -> Refusal | None:
    """Return a refusal where a command that moves an open conversation may not be carried out.

    Any agent and any integration may move one (desks know who may); a bot only what it owns.
    """
    if not state.number:
        return NO_CONVERSATION
    if not state.is_open:
        return CLOSED
    stale = refuse_stale(state, command.epoch)
    if stale is None and command.author.kind is AuthorKind.BOT and state.owner != BOT:
        return Refusal("not_owner", f"{_capital(describe_owner(state.owner))} has this conversation: the bot does not move it any more.")
    return stale


def permit(turn: Turn, command: Command) -> bool:
    """Return whether a command that moves an open conversation may be carried out; say why not where it may not."""
    refusal = refuse_routing(turn.state, command)
    if refusal is not None:
        reject(turn, command, *refusal)
    return refusal is None


def reject(turn: Turn, command: Command, reason: str, explanation: str) -> None:
    """Publish that `command` was not carried out."""
    turn.emit(
        CommandRejected(
            conversation_id=turn.conversation_id if turn.state.number else None,
            command=command.NAME,
            author=command.author,
            reason=reason,
            explanation=explanation,
        )
    )


def _capital(words: str) -> str:
    """Return `words` as the beginning of a sentence."""
    return words[:1].upper() + words[1:]
