"""What holds for every course of events."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from services.bot.core.ports import Shift
from services.bot.core.turn import OUTPUTS_PER_EVENT_MAX
from services.bot.state import BotState
from shared.events.commands import Close, Command, HandOff, Reply
from shared.events.conversations import CommandRejected, MessageAppended, OwnerChanged, ReplyRejected
from shared.events.envelope import EventData
from shared.events.shapes import Choice, Content, Location, Media, Text, Unsupported
from tests.services.bot.bot_driver import NOON, Driver
from tests.services.bot.bot_house import CENTRE

contents = st.one_of(
    st.sampled_from(["hello", "when open", "quando", "a person", "bye", "1", "2", "3", "Order", "hm"]).map(lambda text: Text(text=text)),
    st.text(max_size=20).map(lambda text: Text(text=text)),
    st.sampled_from(["menu/order", "menu/listen", "menu/leave", "menu/news", "old/gone"]).map(
        lambda one: Choice(choice_id=one, via="list")
    ),
    st.sampled_from([Location(latitude=0, longitude=0), Media(media_kind="sticker"), Media(media_kind="image"), Unsupported(raw_kind="x")]),
)
owners = st.sampled_from(["bot", "bot", "queue", "agent:desk", "nobody"])


def opening(account: str, language: str | None, *, again: bool) -> Callable[[Driver], list[Command]]:
    """Return the act of opening the conversation."""
    return lambda driver: driver.opens(account=account, language=language, again=again)


def owning(owner: str, epoch: int) -> Callable[[Driver], list[Command]]:
    """Return the act of giving it to somebody."""
    return lambda driver: driver.owned_by(owner, epoch=epoch)


def writing(content: Content, position: int, *, late: bool) -> Callable[[Driver], list[Command]]:
    """Return the act of writing a message; a late one is an hour old."""
    return lambda driver: driver.writes(content, position=position, late=late, minutes_ago=60 if late else 0)


acts = st.one_of(
    st.builds(
        opening,
        st.sampled_from(["main", "portuguese", "bare", "silent", "gone"]),
        st.sampled_from(["en", "pt", "zh", None]),
        again=st.booleans(),
    ),
    st.builds(owning, owners, st.integers(1, 12)),
    st.builds(writing, contents, st.integers(1, 40), late=st.booleans()),
    st.builds(writing, contents, st.integers(1, 40), late=st.just(value=False)),
    st.sampled_from(
        [
            Driver.closes,
            Driver.refuses_reply,
            lambda driver: driver.refuses_command("hand_off"),
            lambda driver: driver.changes(language="pt"),
            lambda driver: driver.changes(attributes={"vip": "yes"}),
        ]
    ),
)
shifts = st.sampled_from([Shift(staffed=True), Shift(staffed=False), Shift(staffed=False, back=NOON, place="Riga")])


class Watched(Driver):
    """A driver that checks every single decision."""

    def play(self, data: EventData) -> list[Command]:
        """Play the event, twice for the bot, and hold the decision to the rules."""
        before = self.state
        commands = super().play(data)
        self._hold(before, data, commands)
        repeated = self.bot.decide(self.state, self.event(data), self.now)
        assert repeated.outputs == ()
        if not isinstance(data, ReplyRejected | CommandRejected):  # those are counted
            assert repeated.state == self.state
        return commands

    def _hold(self, before: BotState | None, data: EventData, commands: list[Command]) -> None:
        """Check what must hold for one decision."""
        assert len(commands) <= OUTPUTS_PER_EVENT_MAX
        if not commands:
            return
        assert isinstance(data, MessageAppended | OwnerChanged)
        assert before is not None
        assert before.leaving is None or isinstance(data, OwnerChanged)
        assert self.known.owner == "bot"
        assert {command.epoch for command in commands} == {self.known.epoch}
        assert len([command for command in commands if isinstance(command, Reply)]) <= 1
        assert all(not isinstance(command, HandOff | Close) for command in commands[:-1])
        assert (self.known.leaving is not None) is isinstance(commands[-1], HandOff | Close)


@settings(deadline=None, max_examples=300)
@given(shifts, st.lists(acts, max_size=25))
def test_every_course_of_events_keeps_the_rules(shift: Shift, course: list[Callable[[Driver], list[Command]]]) -> None:
    """Only as owner, under its epoch, one reply, a bounded number of commands, the hand-off last; a repeated event says nothing more."""
    driver = Watched(CENTRE, shift=shift)
    replies: list[str] = []
    for act in course:
        replies += [command.reply_id for command in act(driver) if isinstance(command, Reply)]
    assert len(replies) == len(set(replies))


@settings(deadline=None)
@given(shifts, st.lists(acts, max_size=25))
def test_the_same_course_leads_to_the_same_end(shift: Shift, course: list[Callable[[Driver], list[Command]]]) -> None:
    """Decisions depend on state, event and time alone, and the state survives being written and read."""
    one, other = Driver(CENTRE, shift=shift), Driver(CENTRE, shift=shift)
    for act in course:
        if other.state is not None:
            other.state = BotState.model_validate_json(other.state.model_dump_json())
        assert act(one) == act(other)
    assert one.state == other.state
