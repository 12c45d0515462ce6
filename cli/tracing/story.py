"""What an event says, in a few words: who did what. Written words and phone numbers only where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.masking import is_phone, mask_phone
from shared.events import commands, conversations, deliveries, inbound, rejected, sends, sla, work
from shared.events.envelope import Event
from shared.events.shapes import Author, Content, Failure, Template, text_of

FACTS_SHOWN = frozenset({"language", "department", "priority", "state", "tags"})
"""Changes whose values say nothing of what the customer wrote."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells events. `show_text`: what was written too; `show_phones`: phone numbers and names too."""

    show_text: bool = False
    show_phones: bool = False

    def who(self, event: Event[Any]) -> str:  # noqa: PLR0911 # one return per kind of source: it reads as a table
        """Return who is behind an event: the customer, an author, or the service that wrote it."""
        data = event.data
        author = getattr(data, "author", None) or getattr(data, "by", None)
        if isinstance(author, Author):
            return f"{author.kind}:{author.id}"
        if isinstance(data, conversations.MessageAppended) and data.direction == "in":
            return "customer"
        if isinstance(data, inbound.InboundData):
            return f"customer {self._customer(event.subject)}"
        if isinstance(data, work.AgentsData):
            return data.agent
        if isinstance(data, deliveries.MessageSent | deliveries.MessageDelivered | deliveries.MessageFailed):
            return "channel"
        if isinstance(data, deliveries.MessageRead | deliveries.MessagePlayed):
            return "customer"
        return event.source.removeprefix("parley/")

    def what(self, event: Event[Any]) -> str:
        """Return what an event says beyond its name."""
        replay = "" if event.replayof is None else "  (a replay)"
        kinds = (self._of_customer, self._of_conversation, self._of_command, self._of_sending, self._of_work, self._of_promise)
        return next((words for tell in kinds if (words := tell(event.data)) is not None), "") + replay

    def _of_customer(self, data: Any) -> str | None:
        """Return what a customer did."""
        match data:
            case inbound.MessageReceived():
                reply = f", answers {data.reply_to}" if data.reply_to else ""
                return f"{self.content(data.content)} on {data.channel}:{data.account}{reply}"
            case inbound.ReactionChanged():
                return f"to {data.message_id}: {data.emoji or 'taken back'}"
            case inbound.MessageEdited():
                return f"{data.message_id}: {self.content(data.content)}"
            case inbound.CustomerIdentified() | inbound.CustomerLeft():
                return data.reason or ""
            case inbound.CustomerOptedOut() | inbound.CustomerOptedIn():
                return data.scope
            case _:
                return None

    def _of_conversation(self, data: Any) -> str | None:  # noqa: PLR0911 # one case per kind of event: it reads as a table
        """Return what became of a conversation."""
        match data:
            case conversations.ConversationOpened() | conversations.ConversationReopened():
                return f"{data.conversation_id}: language {data.language or '?'}, department {data.department or '?'}"
            case conversations.ConversationClosed():
                return f"{data.reason or 'no reason given'}, {'resolved' if data.resolved else 'not resolved'}"
            case conversations.OwnerChanged():
                return f"{data.from_} → {data.to} (epoch {data.epoch}): {data.reason}"
            case conversations.ConversationUpdated():
                return ", ".join(self._change(name, *change) for name, change in data.changes.items())
            case conversations.MessageAppended():
                late = ", late" if data.late else ""
                return f"#{data.position} {data.direction}: {self.content(data.content)}{late}"
            case conversations.MessageChanged():
                return f"{data.message_id} {data.change}"
            case conversations.ReplyRejected():
                return f"{data.reply_id}: {data.reason}: {data.explanation}"
            case conversations.CommandRejected():
                return f"{data.command}: {data.reason}: {data.explanation}"
            case _:
                return None

    def _of_command(self, data: Any) -> str | None:  # noqa: PLR0911 # one case per kind of event: it reads as a table
        """Return what was asked for, or approved."""
        match data:
            case conversations.ReplyApproved() | commands.Reply():
                epoch = "" if data.epoch is None else f" (epoch {data.epoch})"
                return f"{data.reply_id}{epoch}: {self.content(data.content)}"
            case commands.HandOff():
                return ", ".join(f"{name} {value}" for name in ("department", "language", "skill") if (value := getattr(data, name)))
            case commands.Transfer():
                return f"to {data.agent or data.department or data.pool}"
            case commands.Assign():
                return f"to {data.agent}"
            case commands.SendTemplate():
                return f"{data.reply_id}: {data.name or data.purpose} ({data.language or 'any language'})"
            case commands.SetAttribute():
                return f"{data.name} = {self.text(data.value)}"
            case commands.SetLanguage():
                return data.language
            case conversations.NoteAdded() | commands.AddNote():
                return self.text(data.text)
            case _:
                return None

    def _of_sending(self, data: Any) -> str | None:  # noqa: PLR0911 # one case per kind of event: it reads as a table
        """Return what became of a send, or of a message of ours."""
        match data:
            case sends.SendRequested():
                return f"{data.send_id} as {data.permission}, lane {data.lane}: {self.content(data.content)}"
            case sends.SendWithheld():
                return f"{data.reply_id}: {data.reason}: {data.explanation}"
            case deliveries.SendAccepted():
                return f"{data.send_id} is {data.message_id} at the channel"
            case deliveries.SendRefused():
                return f"{data.send_id}: {_failure(data.failure)}{', final' if data.final else ''}"
            case deliveries.SendUnknown():
                return f"{data.send_id}: {data.explanation}"
            case deliveries.MessageFailed():
                return f"{data.message_id}: {_failure(data.failure)}"
            case deliveries.MessageSent() | deliveries.MessageDelivered() | deliveries.MessageRead() | deliveries.MessagePlayed():
                return data.message_id
            case _:
                return None

    def _of_work(self, data: Any) -> str | None:
        """Return what happens to work in a pool."""
        match data:
            case work.WorkOffered():
                return f"to the pool: language {data.language or '?'}, department {data.department or '?'}, due {_moment(data.due_at)}"
            case work.WorkUrgencyChanged():
                return f"due {_moment(data.due_at)}, priority {data.priority}"
            case work.WorkWithdrawn() | work.AssignmentLapsed():
                return data.reason or ""
            case work.AssignmentMade():
                return f"{data.agent} until {_moment(data.accept_by)}: {data.explanation}"
            case work.QueuePositionChanged():
                return f"position {data.position}"
            case _:
                return None

    def _of_promise(self, data: Any) -> str | None:
        """Return what is said of windows and clocks, or of a record that was put aside."""
        match data:
            case sla.WindowOpened() | sla.WindowClosing():
                return f"{data.permission} until {_moment(data.ends_at)}"
            case sla.WindowClosed():
                return f"{data.permission}: {data.reason}"
            case rejected.DeadLetter():
                return f"{data.topic}/{data.partition}/{data.offset} {data.reason}: {data.error}"
            case _ if hasattr(data, "clock"):
                return f"{data.clock} ({data.policy}), due {_moment(data.due_at)}"
            case _:
                return None

    def content(self, content: Content) -> str:
        """Return a message's content: its kind, and its words where they are asked for."""
        if isinstance(content, Template):
            return f"template {content.name} ({content.language})"
        words = text_of(content)
        if words is None:
            return content.kind
        return f"{content.kind} “{words}”" if self.show_text else f"{content.kind}, {len(words)} characters"

    def text(self, text: str | None) -> str:
        """Return what somebody wrote, or how long it is."""
        if text is None:
            return "nothing"
        return f"“{text}”" if self.show_text else f"{len(text)} characters"

    def _change(self, name: str, old: Any, new: Any) -> str:
        return f"{name} {old or 'none'} → {new or 'none'}" if name in FACTS_SHOWN or self.show_text else f"{name} changed"

    def _customer(self, thread: str) -> str:
        customer = thread.split(":", 2)[-1]
        return mask_phone(customer) if is_phone(customer) and not self.show_phones else customer


def _moment(moment: Any) -> str:
    return "no end" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _failure(failure: Failure) -> str:
    return f"{failure.code} {failure.class_} ({failure.explanation})"
