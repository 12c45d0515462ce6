"""Dispatch under random sequences of events: what holds whatever happens."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.router.core.floor import urgency
from services.router.state import DispatchState, Work
from shared.contact_centre.models import Pool
from shared.events.work import (
    AgentCapacityChanged,
    AgentSeen,
    AgentSignedIn,
    AgentSignedOut,
    AgentStatus,
    AgentStatusChanged,
    AssignmentLapsed,
    AssignmentMade,
    WorkAccepted,
    WorkDeclined,
    WorkFinished,
    WorkOffered,
    WorkTaken,
    WorkUrgencyChanged,
    WorkWithdrawn,
)
from tests.services.router.router_kit import NOON, POOL, Driver, agent, pool

AGENTS = {
    "ana": agent(("en", "pt"), ("sales", "support")),
    "ben": agent(("en",), ("sales",), skills=("warranty",), capacity={"messaging": 2, "live": 1}),
    "eva": agent(("lv", "en"), ("support",), capacity={"messaging": 1}),
    "mia": agent(("en",), ("sales", "support", "billing"), pool="money"),
}
WHO = st.sampled_from([*AGENTS, "nobody"])
NUMBERS = st.integers(0, 11)
TERMS = st.fixed_dictionaries(
    {
        "language": st.sampled_from(["en", "pt", "lv", "zh", None]),
        "department": st.sampled_from(["sales", "support", "billing", None]),
        "skills": st.sampled_from([(), ("warranty",)]),
        "priority": st.integers(0, 2),
        "due_at": st.one_of(st.none(), st.integers(0, 5).map(lambda hours: NOON + timedelta(hours=hours))),
        "preferred_agent": st.one_of(st.none(), WHO),
        "excluded_agents": st.sampled_from([(), ("ana",)]),
        "channel_class": st.sampled_from(["messaging", "messaging", "live"]),
    }
)


def on_shift(who: str, at: datetime) -> bool:
    """Have ben work every other hour only, and everybody else always."""
    return who in AGENTS and (who != "ben" or at.hour % 2 == 0)


def next_shift(_who: str, after: datetime) -> datetime:
    """Return the next full hour: one of the next two is ben's."""
    return after.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def able(who: str, work: Work) -> bool:
    """Return whether the configuration lets an agent do the work: written anew, not taken from the code under test."""
    known = AGENTS[who]
    return (
        (work.language in {*known.languages, None})
        and (work.department in {*known.departments, None})
        and set(work.skills) <= set(known.skills)
        and who not in work.excluded_agents
    )


class Dispatch(RuleBasedStateMachine):
    """A pool whose agents and conversations do anything in any order."""

    @initialize(
        accept_seconds=st.sampled_from([None, 20]), wrap_up_seconds=st.sampled_from([0, 40]), seen_seconds=st.sampled_from([None, 60])
    )
    def begin(self, accept_seconds: int | None, wrap_up_seconds: int, seen_seconds: int | None) -> None:
        """Open the pool."""
        settings_of_pool = Pool(accept_seconds=accept_seconds, wrap_up_seconds=wrap_up_seconds, seen_seconds=seen_seconds)
        self.seen_seconds = seen_seconds
        self.seen_at: dict[str, datetime] = {}
        self.desk: Driver[DispatchState] = pool(agents=AGENTS, pools={POOL: settings_of_pool}, on_shift=on_shift, next_shift=next_shift)
        self.running: set[str] = set()

    def take(self, data: Any) -> None:
        """Take an event twice: the first time is checked, the second must change nothing that matters."""
        self.check(self.desk.take(data))
        before = self.desk.saved
        published = self.desk.take(data)
        assert published == []
        assert self.desk.saved == before

    def check(self, published: list[Any]) -> None:
        """Check every assignment that was made against the state after the decision."""
        made = [data for data in published if isinstance(data, AssignmentMade)]
        for one in made:
            held = self.desk.state.assigned[one.conversation_id]
            assert held.agent == one.agent
            self.check_taker(one.agent, held.work)
            for waiting in self.desk.state.waiting:
                lapsed = one.agent in waiting.lapsed_agents
                more_urgent = urgency(waiting) < urgency(held.work)
                assert not (more_urgent and not lapsed and waiting.channel_class == held.work.channel_class and able(one.agent, waiting))
        assert len({one.conversation_id for one in made}) == len(made)
        for lapse in (data for data in published if isinstance(data, AssignmentLapsed)):
            assert not any(one.conversation_id == lapse.conversation_id and one.agent == lapse.agent for one in made)

    def check_taker(self, who: str, work: Work) -> None:
        """Check that an agent who was given work could do it, was there, and has no more than their capacity."""
        presence = self.desk.state.agents[who]
        assert AGENTS[who].pool == POOL
        assert able(who, work)
        assert on_shift(who, self.desk.now)
        assert presence.signed_in
        assert presence.status is AgentStatus.AVAILABLE
        assert not self.silent(who)
        assert self.load()[who, work.channel_class] <= self.capacity(who, work.channel_class)

    def silent(self, who: str) -> bool:
        """Return whether an agent sent heartbeats since they signed in, and none of late."""
        return self.seen_seconds is not None and who in self.seen_at and self.desk.now - self.seen_at[who] >= timedelta(seconds=60)

    def load(self) -> Counter[tuple[str, str]]:
        """Return the slots that are taken."""
        state = self.desk.state
        taken = Counter((held.agent, held.work.channel_class) for held in state.assigned.values())
        for who, presence in state.agents.items():
            taken.update((who, wrap_up.channel_class) for wrap_up in presence.wrap_ups)
        return taken

    def capacity(self, who: str, channel_class: str) -> int:
        """Return how many conversations an agent takes at once."""
        said = self.desk.state.agents[who].capacity
        configured = {str(name): slots for name, slots in AGENTS[who].capacity.items()}
        return said.get(channel_class, configured.get(channel_class, 0))

    @rule(number=NUMBERS, terms=TERMS)
    def offer(self, number: int, terms: dict[str, Any]) -> None:
        """A conversation wants an agent, or changes its terms."""
        self.running.add(f"c{number}")
        self.take(WorkOffered(conversation_id=f"c{number}", thread=f"t{number}", **terms))

    @rule(number=NUMBERS, priority=st.integers(0, 3))
    def change_urgency(self, number: int, priority: int) -> None:
        """A conversation becomes more or less urgent."""
        self.take(WorkUrgencyChanged(conversation_id=f"c{number}", thread=f"t{number}", priority=priority))

    @rule(number=NUMBERS)
    def withdraw(self, number: int) -> None:
        """A conversation wants no agent any more."""
        self.running.discard(f"c{number}")
        self.take(WorkWithdrawn(conversation_id=f"c{number}", thread=f"t{number}"))

    @rule(number=NUMBERS, who=WHO)
    def finish(self, number: int, who: str) -> None:
        """An agent, perhaps another one than dispatch thinks, finishes."""
        held = None if self.desk.saved is None else self.desk.saved.assigned.get(f"c{number}")
        if held is None or held.agent == who:
            self.running.discard(f"c{number}")
        self.take(WorkFinished(conversation_id=f"c{number}", thread=f"t{number}", agent=who))

    @rule(number=NUMBERS, who=WHO, channel_class=st.sampled_from(["messaging", "live"]))
    def order(self, number: int, who: str, channel_class: str) -> None:
        """Somebody gives a conversation to an agent by order: it counts, whoever that is and whatever they have."""
        self.running.add(f"c{number}")
        self.take(WorkTaken(conversation_id=f"c{number}", thread=f"t{number}", agent=who, channel_class=channel_class))
        held = self.desk.state.assigned[f"c{number}"]
        assert (held.agent, held.work.channel_class, held.accept_by) == (who, channel_class, None)

    @rule(number=NUMBERS)
    def finish_rightly(self, number: int) -> None:
        """The agent who has the work finishes."""
        held = None if self.desk.saved is None else self.desk.saved.assigned.get(f"c{number}")
        if held is not None:
            self.finish(number, held.agent)

    @rule(number=NUMBERS, who=WHO, kind=st.sampled_from([WorkAccepted, WorkDeclined]))
    def answer(self, number: int, who: str, kind: Any) -> None:
        """An agent accepts or declines, perhaps something that they were not offered."""
        self.take(kind(conversation_id=f"c{number}", agent=who))

    @rule(
        who=WHO,
        capacity=st.one_of(st.none(), st.dictionaries(st.sampled_from(["messaging", "live"]), st.integers(0, 4), min_size=1)),
        beats=st.booleans(),
    )
    def sign_in(self, who: str, capacity: dict[str, int] | None, *, beats: bool) -> None:
        """An agent signs in, at a desk that sends heartbeats or does not."""
        if who in self.seen_at:
            self.seen_at[who] = self.desk.now
        self.take(AgentSignedIn(agent=who, capacity=capacity))
        if beats:
            self.beat(who)

    @rule(who=WHO)
    def sign_out(self, who: str) -> None:
        """An agent signs out."""
        self.seen_at.pop(who, None)
        self.take(AgentSignedOut(agent=who))

    @rule(who=WHO)
    def beat(self, who: str) -> None:
        """An agent's desk sends a heartbeat."""
        presence = (self.desk.saved or DispatchState()).agents.get(who)
        if presence is not None and presence.signed_in:
            self.seen_at[who] = self.desk.now
        self.take(AgentSeen(agent=who))

    @rule(who=WHO, status=st.sampled_from(AgentStatus))
    def change_status(self, who: str, status: AgentStatus) -> None:
        """An agent changes status."""
        self.take(AgentStatusChanged(agent=who, status=status))

    @rule(who=WHO, slots=st.integers(0, 4))
    def change_capacity(self, who: str, slots: int) -> None:
        """An agent takes more or fewer conversations."""
        self.take(AgentCapacityChanged(agent=who, capacity={"messaging": slots}))

    @rule(seconds=st.sampled_from([1, 20, 45, 3600]))
    def wait(self, seconds: int) -> None:
        """Time passes; every timer on the way fires at its moment, and none fires for ever."""
        end = self.desk.now + timedelta(seconds=seconds)
        fired = 0
        while self.desk.saved is not None and (due := self.desk.reducer.due(self.desk.state)) is not None and due <= end:
            before = self.desk.now
            self.check(self.desk.passes(seconds=max((due - self.desk.now).total_seconds(), 0)))
            fired += 1
            assert self.desk.now >= before
            assert fired < 500
        self.desk.passes(seconds=(end - self.desk.now).total_seconds())

    @invariant()
    def every_offer_is_somewhere_exactly_once(self) -> None:
        """What was offered and has not ended waits or is assigned, never both, never lost; what ended is neither."""
        state = self.desk.saved or DispatchState()
        places = Counter([*(work.conversation_id for work in state.waiting), *state.assigned])
        assert places == Counter(self.running)

    @invariant()
    def the_queue_is_in_order(self) -> None:
        """Waiting work is always in order of urgency, whatever changed."""
        waiting = (self.desk.saved or DispatchState()).waiting
        assert list(waiting) == sorted(waiting, key=urgency)

    @invariant()
    def nobody_is_idle_while_they_could_work(self) -> None:
        """After every decision no work waits that somebody who is there, has room and did not let it lapse could do."""
        state = self.desk.saved or DispatchState()
        for who, presence in state.agents.items():
            if not presence.signed_in or presence.status is not AgentStatus.AVAILABLE or not on_shift(who, self.desk.now):
                continue
            if self.silent(who):
                continue
            for work in state.waiting:
                room = self.capacity(who, work.channel_class) - self.load()[who, work.channel_class]
                assert room <= 0 or who in work.lapsed_agents or not able(who, work)

    @invariant()
    def nobody_who_is_silent_is_waited_for(self) -> None:
        """What an agent has not accepted is taken back when they are not heard of any more."""
        state = self.desk.saved or DispatchState()
        assert not any(held.accept_by is not None and self.silent(held.agent) for held in state.assigned.values())

    @invariant()
    def only_people_who_matter_are_remembered(self) -> None:
        """Nobody unknown signs in; nobody who is gone and has nothing."""
        state = self.desk.saved or DispatchState()
        assert not any(state.agents[who].signed_in for who in {"mia", "nobody"} & set(state.agents))
        busy = {held.agent for held in state.assigned.values()}
        assert all(presence.signed_in or presence.wrap_ups or who in busy for who, presence in state.agents.items())


TestDispatch = Dispatch.TestCase
TestDispatch.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
