"""Conversations and dispatch together, with everything between them delivered late and in any order that Kafka allows."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from services.router.core.ownership import waiting_pool
from services.router.state import ConversationState, DispatchState, agent_of
from shared.contact_centre.models import Pool
from shared.events.commands import Assign, Close, Command, HandOff, Reopen, Reply, SetLanguage, SetPriority, Snooze, Transfer
from shared.events.envelope import EventData
from shared.events.shapes import Author, AuthorKind, Text
from shared.events.work import AgentSeen, AgentSignedIn, AgentSignedOut, AssignmentMade, WorkAccepted, WorkDeclined
from tests.services.router.router_kit import BOT, CRM, POOL, Driver, message, pool, thread

THREADS = [f"chat:1:{number}" for number in range(3)]
PEOPLE = {"ana": POOL, "ben": POOL, "mia": "money"}
THREAD = st.sampled_from(THREADS)
WHO = st.sampled_from(sorted(PEOPLE))
DELIVERIES_MAX = 5_000
"""More deliveries than that without an event from outside are a loop."""
CAPACITY = {"messaging": 1}
"""One conversation at a time: with three threads, orders go beyond it, and dispatch must not."""


class Router(RuleBasedStateMachine):
    """Three threads and two pools. What one publishes lies in a queue per topic and key until a rule delivers it."""

    @initialize(accept_seconds=st.sampled_from([None, 20]), seen_seconds=st.sampled_from([None, 30]))
    def begin(self, accept_seconds: int | None, seen_seconds: int | None) -> None:
        """Start with everybody there and a conversation in every thread."""
        kind = Pool(accept_seconds=accept_seconds, seen_seconds=seen_seconds)
        house: dict[str, Any] = {"pools": {POOL: kind, "money": kind}}
        self.threads: dict[str, Driver[ConversationState]] = {key: thread(key=key, **house) for key in THREADS}
        self.pools: dict[str, Driver[DispatchState]] = {key: pool(key=key, **house) for key in (POOL, "money")}
        self.queues: dict[tuple[str, str], deque[tuple[str, EventData]]] = defaultdict(deque)
        self.messages = 0
        for who, key in PEOPLE.items():
            self.pools[key].take(AgentSignedIn(agent=who, capacity=CAPACITY))
        for key in THREADS:
            self.write(key)

    def publish(self, one: Driver[Any]) -> None:
        """Put what was published last behind what lies in its queues; nobody is given more than their capacity."""
        for output in one.outputs:
            if isinstance(output.data, AssignmentMade):
                load = Counter(held.agent for held in one.state.assigned.values())[output.data.agent]
                assert load <= CAPACITY["messaging"]
            if output.topic.name in {"work", "assignments", "agents"}:
                self.queues[output.topic.name, output.key].append((one.key, output.data))

    def tell(self, key: str, data: EventData) -> None:
        """Let a thread decide about something."""
        self.threads[key].take(data)
        self.publish(self.threads[key])

    def deliver_from(self, topic: str, key: str) -> None:
        """Deliver the oldest of a queue."""
        emitter, data = self.queues[topic, key].popleft()
        reader: Driver[Any] = self.threads[key] if topic == "assignments" else self.pools[key]
        reader.take(data, emitter=emitter)
        self.publish(reader)

    @rule(key=THREAD)
    def write(self, key: str) -> None:
        """A customer writes."""
        self.messages += 1
        self.tell(key, message(number=self.messages))

    @rule(key=THREAD, department=st.sampled_from([None, "support", "billing"]), language=st.sampled_from([None, "pt", "lv"]))
    def hand_off(self, key: str, department: str | None, language: str | None) -> None:
        """The bot, or an integration, gives a conversation to people."""
        self.tell(key, HandOff(author=CRM, department=department, language=language))

    @rule(key=THREAD, who=WHO, department=st.sampled_from(["sales", "billing"]))
    def move(self, key: str, who: str, department: str) -> None:
        """An agent transfers a conversation."""
        self.tell(key, Transfer(author=Author(kind=AuthorKind.AGENT, id=who), department=department))

    @rule(key=THREAD, who=WHO, kind=st.sampled_from([Assign, Transfer]))
    def order(self, key: str, who: str, kind: Any) -> None:
        """Somebody gives a conversation to an agent, of this pool or the other."""
        self.tell(key, kind(author=CRM, agent=who))

    @rule(key=THREAD, who=st.sampled_from([None, *sorted(PEOPLE)]))
    def begin_again(self, key: str, who: str | None) -> None:
        """A conversation is closed, and reopened by an agent or by somebody else before dispatch has heard of it."""
        self.tell(key, Close(author=CRM))
        self.tell(key, Reopen(author=CRM if who is None else Author(kind=AuthorKind.AGENT, id=who)))

    @rule(
        key=THREAD,
        command=st.sampled_from(
            [
                Close(author=CRM),
                Snooze(author=CRM, until_reply=True),
                SetLanguage(author=CRM, language="pt"),
                SetPriority(author=CRM, priority=3),
                HandOff(author=BOT),
            ]
        ),
    )
    def command(self, key: str, command: Command) -> None:
        """Somebody commands something."""
        self.tell(key, command)

    @rule(key=THREAD, number=st.integers(0, 10_000), who=WHO)
    def answer(self, key: str, number: int, who: str) -> None:
        """An agent answers, which accepts what they were given."""
        self.tell(key, Reply(author=Author(kind=AuthorKind.AGENT, id=who), reply_id=str(number), content=Text(text="x")))

    @rule(who=WHO, there=st.booleans())
    def sign(self, who: str, *, there: bool) -> None:
        """An agent signs in or out."""
        self.queues["agents", PEOPLE[who]].append(
            ("desk", AgentSignedIn(agent=who, capacity=CAPACITY) if there else AgentSignedOut(agent=who))
        )

    @rule(who=WHO)
    def beat(self, who: str) -> None:
        """An agent's desk sends a heartbeat."""
        self.queues["agents", PEOPLE[who]].append(("desk", AgentSeen(agent=who)))

    @rule(key=THREAD, kind=st.sampled_from([WorkAccepted, WorkDeclined]))
    def judge(self, key: str, kind: Any) -> None:
        """The agent who has a conversation accepts or declines it."""
        state = self.threads[key].saved
        who = None if state is None else agent_of(state.owner)
        if state is not None and who is not None:
            self.queues["agents", PEOPLE[who]].append(("desk", kind(agent=who, conversation_id=f"{key}/{state.number}")))

    @rule(choices=st.lists(st.integers(0, 20), min_size=1, max_size=8))
    def deliver(self, choices: list[int]) -> None:
        """Some records arrive somewhere."""
        for choice in choices:
            full = [name for name, queue in sorted(self.queues.items()) if queue]
            if full:
                self.deliver_from(*full[choice % len(full)])

    @rule()
    def deliver_all(self) -> None:
        """Everything that lies anywhere arrives."""
        delivered = 0
        while full := [name for name, queue in sorted(self.queues.items()) if queue]:
            self.deliver_from(*full[0])
            delivered += 1
            assert delivered < DELIVERIES_MAX, "they never come to rest"
        self.check_story()

    @rule(seconds=st.sampled_from([1, 20, 1000]))
    def wait(self, seconds: int) -> None:
        """Time passes for all."""
        everybody: list[Driver[Any]] = [*self.threads.values(), *self.pools.values()]
        for one in everybody:
            self.pass_time(one, seconds)

    def pass_time(self, one: Driver[Any], seconds: int) -> None:
        """Fire the timers of one key, and publish what each of them says."""
        left = float(seconds)
        while one.saved is not None and (due := one.reducer.due(one.saved)) is not None:
            step = max((due - one.now).total_seconds(), 0.0)
            if step > left:
                break
            one.passes(seconds=step)
            self.publish(one)
            left -= step
        one.passes(seconds=left)

    def teardown(self) -> None:
        """Deliver everything at the end."""
        if hasattr(self, "queues"):
            self.deliver_all()

    def check_story(self) -> None:
        """Check that both sides, when nothing is on its way, say the same of who waits and of who has what, by whoever's word."""
        waiting = {
            (where, f"{key}/{one.state.number}")
            for key, one in self.threads.items()
            if one.saved is not None and (where := waiting_pool(one.state)) is not None
        }
        owned = {
            (one.state.pool, f"{key}/{one.state.number}", who)
            for key, one in self.threads.items()
            if one.saved is not None and (who := agent_of(one.state.owner)) is not None
        }
        states = [(key, one.saved) for key, one in self.pools.items() if one.saved is not None]
        assert waiting == {(key, work.conversation_id) for key, state in states for work in state.waiting}
        assert owned == {(key, name, held.agent) for key, state in states for name, held in state.assigned.items()}


TestRouter = Router.TestCase
TestRouter.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
