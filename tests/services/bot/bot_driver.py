"""Plays a thread to the bot: one call per event, the commands come back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.bot.core.ports import Shift
from services.bot.core.reducer import BotReducer
from services.bot.core.rules import Rules
from services.bot.state import BotState
from shared.contact_centre.models import ContactCentre, FaqEntry, Flow
from shared.events.commands import Close, Command, HandOff, Reply
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
from shared.events.envelope import Event, EventData, new_event
from shared.events.shapes import Author, AuthorKind, Choice, Content, Customer, Menu, Text

THREAD = "chat:main:customer"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOT = Author(kind=AuthorKind.BOT, id="bot", name="House")
AGENT = Author(kind=AuthorKind.AGENT, id="desk")


class PlainUnderstanding:
    """Understands exactly: `person` anywhere asks for one, `bye` is goodbye, a question is as listed, an option by number or title."""

    def __init__(self, centre: ContactCentre) -> None:
        self._faq = {entry.id: entry for entry in centre.faq}

    def wants_person(self, flow: Flow, language: str, text: str) -> bool:  # noqa: ARG002  # the port's shape
        """Return whether `person` occurs."""
        return "person" in text

    def says_goodbye(self, flow: Flow, language: str, text: str) -> bool:  # noqa: ARG002  # the port's shape
        """Return whether this is `bye`."""
        return text == "bye"

    def faq(self, flow: Flow, language: str, text: str) -> FaqEntry | None:
        """Return the entry with exactly this question."""
        return next((self._faq[name] for name in flow.faq if text in self._faq[name].questions.get(language, ())), None)

    def option(self, titles: Mapping[str, str], text: str) -> str | None:
        """Return the option with this number or title."""
        names = list(titles)
        return next((name for number, name in enumerate(names, 1) if text in {str(number), titles[name]}), None)


class FixedStaff:
    """Gives the answer it was told, and remembers for whom it was asked."""

    def __init__(self, shift: Shift | None = None) -> None:
        self.shift = shift or Shift(staffed=True)
        self.asked: list[tuple[str | None, str]] = []

    def __call__(self, *, department: str | None, language: str, at: datetime) -> Shift:  # noqa: ARG002  # the port's shape
        """Return the fixed shift."""
        self.asked.append((department, language))
        return self.shift


class Driver:
    """One thread with the bot. Every method plays an event and returns the commands it brought about."""

    def __init__(self, centre: ContactCentre, *, bot: BotReducer | None = None, shift: Shift | None = None) -> None:
        self.staff = FixedStaff(shift)
        self.bot = bot or BotReducer(Rules(centre, PlainUnderstanding(centre), self.staff))
        self.state: BotState | None = None
        self.now = NOON
        self.channel = "chat"
        self.position = 0
        self.seq = 0

    def play(self, data: EventData) -> list[Command]:
        """Hand `data` to the bot and keep its state."""
        event = self.event(data)
        decision = self.bot.decide(self.state, event, self.now)
        assert all(output.key == THREAD and output.topic.name == "commands" for output in decision.outputs)
        self.state = decision.state
        return [output.data for output in decision.outputs if isinstance(output.data, Command)]

    def event(self, data: EventData) -> Event[Any]:
        """Return `data` in its envelope."""
        self.seq += 1
        return new_event(data, event_id=str(self.seq), source="test", subject=THREAD, time=self.now, seq=self.seq)

    def opens(
        self, *, language: str | None = "en", account: str = "main", department: str | None = "sales", again: bool = False
    ) -> list[Command]:
        """The router opens (or reopens) the conversation."""
        model = ConversationReopened if again else ConversationOpened
        return self.play(
            model(
                conversation_id="c1",
                channel=self.channel,
                account=account,
                customer=Customer(id="customer"),
                language=language,
                department=department,
            )
        )

    def owned_by(self, owner: str = "bot", *, epoch: int = 1) -> list[Command]:
        """The router gives the conversation to somebody."""
        return self.play(OwnerChanged(conversation_id="c1", from_="nobody", to=owner, epoch=epoch, reason="test"))

    def begins(self, **opening: Any) -> Driver:
        """The conversation is open and the bot's."""
        self.opens(**opening)
        self.owned_by()
        return self

    def writes(self, content: Content | str, *, position: int | None = None, late: bool = False, minutes_ago: float = 0) -> list[Command]:
        """The customer's next message is appended."""
        self.position = self.position + 1 if position is None else position
        return self.play(
            MessageAppended(
                conversation_id="c1",
                position=self.position,
                direction="in",
                message_id=f"m{self.position}",
                content=Text(text=content) if isinstance(content, str) else content,
                sent_at=self.now - timedelta(minutes=minutes_ago),
                late=late,
            )
        )

    def taps(self, choice_id: str, title: str | None = None) -> list[Command]:
        """The customer taps something."""
        return self.writes(Choice(choice_id=choice_id, title=title, via="button"))

    def closes(self) -> list[Command]:
        """The router closes the conversation."""
        return self.play(ConversationClosed(conversation_id="c1", by=AGENT))

    def changes(self, **changes: Any) -> list[Command]:
        """The router tells of changed facts."""
        return self.play(ConversationUpdated(conversation_id="c1", changes={name: (None, new) for name, new in changes.items()}))

    def refuses_reply(self, author: Author = BOT) -> list[Command]:
        """The router refuses somebody's reply."""
        return self.play(ReplyRejected(conversation_id="c1", reply_id="x", author=author, reason="stale_epoch", explanation="Too late."))

    def refuses_command(self, command: str, author: Author = BOT) -> list[Command]:
        """The router refuses somebody's command."""
        return self.play(CommandRejected(conversation_id="c1", command=command, author=author, reason="invalid", explanation="No."))

    @property
    def known(self) -> BotState:
        """Return the state, which there must be."""
        assert self.state is not None
        return self.state


def said(commands: list[Command]) -> str:
    """Return the text of the one reply among `commands`."""
    (reply,) = [command for command in commands if isinstance(command, Reply)]
    assert isinstance(reply.content, Text | Menu)
    return reply.content.text


def options(commands: list[Command]) -> list[str]:
    """Return the titles of the menu in the one reply among `commands`."""
    (reply,) = [command for command in commands if isinstance(command, Reply)]
    assert isinstance(reply.content, Menu)
    return [option.title for option in reply.content.options]


def kinds(commands: list[Command]) -> list[str]:
    """Return what was asked for, in order."""
    return [command.NAME for command in commands]


def hand_off_in(commands: list[Command]) -> HandOff:
    """Return the hand-off, which must be the last command."""
    assert isinstance(commands[-1], HandOff)
    return commands[-1]


def close_in(commands: list[Command]) -> Close:
    """Return the close, which must be the last command."""
    assert isinstance(commands[-1], Close)
    return commands[-1]
