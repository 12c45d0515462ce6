"""What holds for every order and choice of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.app import build_reducer
from services.sla.core.thread import SlaReducer
from services.sla.core.windows import window_of
from shared.events.envelope import EventData
from shared.events.sends import Permission, SendRequested, SendWithheld
from shared.events.shapes import AuthorKind, FailureClass
from shared.events.sla import ClockBreached, ClockCancelled, ClockMet, ClockStarted, ClockWarned, WindowClosed, WindowClosing, WindowOpened
from tests.services.sla.sla_world import DAY, HOUR, MINUTE, NOON, POLICIES, World, contact_centre, of_kind

REDUCER = build_reducer(contact_centre(), POLICIES)
UNPROMISING = build_reducer(contact_centre(promises=[]), POLICIES)
MARGIN = timedelta(seconds=120)
STEPS = (
    "write",
    "write late",
    "agent",
    "bot",
    "accept",
    "accept again",
    "sent",
    "needed",
    "other",
    "snooze",
    "wake",
    "to bot",
    "to queue",
    "vip",
    "back",
    "close",
    "open",
    "timer",
)
Story = list[tuple[str, int]]
stories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(min_value=0, max_value=20 * 60)), min_size=1, max_size=25)


class Player(World):
    """A world that plays a story: steps, each some minutes after the one before."""

    def __init__(self, reducer: SlaReducer, *, outages: bool) -> None:
        """With `outages` timers fire only where the story says so."""
        super().__init__(reducer)
        self.outages = outages
        self.sends: list[SendRequested] = []
        self.conversation = 0
        self.approved: list[str] = []
        self.decided_at: list[tuple[SendRequested, datetime]] = []

    def tell(self, data: EventData, *, time: datetime | None = None) -> list[EventData]:
        """Tell as the world does, and remember what was requested when."""
        facts = super().tell(data, time=time)
        self.sends += of_kind(SendRequested, facts)
        self.decided_at += [(send, self.now) for send in of_kind(SendRequested, facts)]
        return facts

    def play(self, story: Story) -> None:
        """Play `story` from an open conversation."""
        self.begin()
        for step, minutes in story:
            if self.outages:
                self.now += minutes * MINUTE
            else:
                self.pass_time(minutes * MINUTE)
            self.take(step)

    def begin(self) -> None:
        """Open the next conversation."""
        self.conversation += 1
        self.opens(conversation_id=f"c{self.conversation}")

    def take(self, step: str) -> None:
        """Take one step of a story."""
        steps: dict[str, Callable[[], object]] = {
            "write": self.customer_writes,
            "write late": lambda: self.customer_writes(ago=5 * HOUR),
            "agent": lambda: self.reply(AuthorKind.AGENT),
            "bot": lambda: self.reply(AuthorKind.BOT),
            "snooze": lambda: self.updated(state="snoozed"),
            "wake": lambda: self.updated(state="open"),
            "to bot": lambda: self.owned_by("bot"),
            "to queue": lambda: self.owned_by("queue"),
            "vip": lambda: self.updated(department="vip"),
            "back": lambda: self.updated(department=None),
            "close": lambda: self.closes(conversation=f"c{self.conversation}"),
            "open": self.begin,
            "timer": self.wake_up,
        }
        on_sends: dict[str, Callable[[SendRequested], object]] = {
            "accept": self.accepted,
            "accept again": self.accepted,
            "sent": self.sent,
            "needed": lambda send: self.failed(send, FailureClass.TEMPLATE_NEEDED),
            "other": lambda send: self.failed(send, FailureClass.OTHER_CHANNEL),
        }
        if step in steps:
            steps[step]()
        elif self.sends:
            on_sends[step](self.sends[-1])

    def reply(self, author: AuthorKind) -> None:
        """Approve one more reply."""
        self.approved.append(f"r{len(self.approved)}")
        self.replies(self.approved[-1], by=author)

    def wake_up(self) -> None:
        """Fire the timer, as after an outage."""
        self.wake()


@given(st.permutations([(hour, position) for position, hour in enumerate((0, 3, 3, 9, 30), start=1)]))
def test_arrival_order_does_not_matter_to_windows(acts: list[tuple[int, int]]) -> None:
    """Webhooks come late, twice and in any order: the window still ends a day after the customer's last act."""
    world = World(UNPROMISING, now=NOON + 31 * HOUR)
    for hour, position in acts:
        world.customer_writes(ago=timedelta(hours=31 - hour), position=position)
    assert world.state is not None
    window = window_of(world.state.windows, "free_form")
    assert window is not None
    assert window.ends_at == NOON + 54 * HOUR
    assert of_kind(WindowOpened, world.published)[-1].ends_at == NOON + 54 * HOUR


@given(st.permutations([5, 12, 12, 40]))
def test_arrival_order_does_not_matter_to_the_wait(minutes: list[int]) -> None:
    """However the unanswered messages arrive, the promise counts from the first that was sent."""
    world = World(REDUCER)
    world.opens()
    for ago in minutes:
        world.customer_writes(ago=ago * MINUTE)
    assert [fact for fact in world.published if isinstance(fact, ClockStarted)][-1].due_at == NOON + 20 * MINUTE


@settings(max_examples=60, deadline=None)
@given(stories, st.booleans())
def test_each_approved_reply_has_exactly_one_outcome(story: Story, outages: bool) -> None:  # noqa: FBT001 # hypothesis passes it by position
    """Requested or withheld, once; a refused window may give a second outcome to the same reply, never a third."""
    player = Player(REDUCER, outages=outages)
    player.play(story)
    outcomes = [fact for fact in player.published if isinstance(fact, SendRequested | SendWithheld)]
    count = Counter(outcome.reply_id for outcome in outcomes)
    assert set(count) == set(player.approved)
    refusals = sum(step == "needed" for step, _ in story)
    assert sum(count.values()) <= len(player.approved) + refusals
    assert all(times <= 2 for times in count.values())
    assert len({send.send_id for send in player.sends}) == len(player.sends)


@settings(max_examples=60, deadline=None)
@given(stories)
def test_nothing_goes_out_free_form_outside_the_window(story: Story) -> None:
    """Every free answer is ordered with the safety margin to spare before an end that was published, and says that end."""
    player = Player(UNPROMISING, outages=True)
    player.play(story)
    ends = {fact.ends_at for fact in player.published if isinstance(fact, WindowOpened)}
    for send, at in player.decided_at:
        assert (send.permission is Permission.FREE_FORM) == (send.not_after is not None)
        if send.not_after is not None:
            assert send.not_after in ends
            assert at + MARGIN < send.not_after <= at + DAY


@settings(max_examples=60, deadline=None)
@given(stories, st.booleans())
def test_no_mark_fires_twice(story: Story, outages: bool) -> None:  # noqa: FBT001 # hypothesis passes it by position
    """Between the start of a clock and its end each warning and the breach are said once at most; so are a window's marks and its end."""
    player = Player(REDUCER, outages=outages)
    player.play([*story, ("timer", 0)])
    breached: set[str] = set()
    warned: Counter[str] = Counter()
    for fact in player.published:
        match fact:
            case ClockMet(clock=clock) | ClockCancelled(clock=clock):
                warned.pop(clock, None)
                breached.discard(clock)
            case ClockBreached(clock=clock):
                assert clock not in breached
                breached.add(clock)
            case ClockWarned(clock=clock):
                assert clock not in breached
                warned[clock] += 1
                assert warned[clock] <= 2
            case _:
                pass
    windows = [fact for fact in player.published if isinstance(fact, WindowOpened | WindowClosing | WindowClosed)]
    for before, after in pairwise(windows):
        assert not isinstance(after, WindowClosed) or not isinstance(before, WindowClosed)
        assert not isinstance(after, WindowClosing) or after.ends_at == getattr(before, "ends_at", None)
    assert len(of_kind(WindowClosing, windows)) == len({(fact.ends_at, fact.mark) for fact in of_kind(WindowClosing, windows)})


@settings(max_examples=40, deadline=None)
@given(stories)
def test_every_event_told_twice_in_a_row_has_one_effect(story: Story) -> None:
    """Replies, messages, acceptances and failures that come again say nothing and change nothing."""
    player = Player(REDUCER, outages=False)
    told: list[tuple[EventData, datetime]] = []
    tell = player.tell

    def twice(data: EventData, *, time: datetime | None = None) -> list[EventData]:
        """Tell, then tell again, which must change nothing."""
        facts = tell(data, time=time)
        after = player.state
        assert tell(data, time=time) == []
        assert player.state == after
        told.append((data, player.now))
        return facts

    player.tell = twice  # type: ignore[method-assign] # every event of the story passes here
    player.play(story)
    assert told


@settings(max_examples=40, deadline=None)
@given(stories)
def test_the_same_events_give_the_same_decisions(story: Story) -> None:
    """A replay says the same things in the same order: nothing but the events and the time decides."""
    first, second = Player(REDUCER, outages=False), Player(REDUCER, outages=False)
    first.play(story)
    second.play(story)
    assert (first.state, first.published) == (second.state, second.published)
