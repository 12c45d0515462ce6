"""Dispatch: who gets which work, when it lapses, when a slot is free again, and who stands where."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.router.core import matching, offers
from services.router.core.floor import LAPSED_REST_SECONDS, PLACE_SECONDS_MAX
from services.router.core.places import PLACES_PUBLISHED_MAX
from services.router.state import DispatchState
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
    QueuePositionChanged,
    WorkAccepted,
    WorkDeclined,
    WorkFinished,
    WorkOffered,
    WorkTaken,
    WorkUrgencyChanged,
    WorkWithdrawn,
)
from tests.services.router.router_kit import NOON, POOL, Driver, agent, names, only, pool

ACCEPTING = {POOL: Pool(accept_seconds=20)}


def work(number: int = 1, **terms: Any) -> WorkOffered:
    """Return an offer of the first conversation of thread `number`."""
    return WorkOffered(**{"conversation_id": f"chat:1:{number}/1", "thread": f"chat:1:{number}", "language": "en"} | terms)


def finished(number: int, who: str) -> WorkFinished:
    """Return the end of that work."""
    return WorkFinished(conversation_id=f"chat:1:{number}/1", thread=f"chat:1:{number}", agent=who)


def taken(number: int, who: str, channel_class: str = "messaging") -> WorkTaken:
    """Return the order that gives that work to an agent."""
    return WorkTaken(conversation_id=f"chat:1:{number}/1", thread=f"chat:1:{number}", agent=who, channel_class=channel_class)


def withdrawn(number: int) -> WorkWithdrawn:
    """Return the withdrawal of that work."""
    return WorkWithdrawn(conversation_id=f"chat:1:{number}/1", thread=f"chat:1:{number}")


def signed_in(who: str, **capacity: int) -> AgentSignedIn:
    """Return a sign-in, with another capacity than the configured one where given."""
    return AgentSignedIn(agent=who, capacity=capacity or None)


def given(published: list[Any]) -> list[tuple[str, str]]:
    """Return the assignments: number of the thread, and agent."""
    return [
        (data.conversation_id.removesuffix("/1").removeprefix("chat:1:"), data.agent)
        for data in published
        if isinstance(data, AssignmentMade)
    ]


def staffed(*agents: str, **more: Any) -> Driver[DispatchState]:
    """Return a pool with these agents signed in, a second apart."""
    desk = pool(**more)
    for who in agents:
        desk.take(signed_in(who))
        desk.passes(seconds=1)
    return desk


def test_work_goes_at_once_to_an_agent_who_is_there() -> None:
    """The assignment is published under the thread and says in words why this agent."""
    desk = staffed("ana")
    published = desk.take(work(department="sales"))
    assert published == [
        AssignmentMade(
            conversation_id="chat:1:1/1",
            agent="ana",
            explanation="Desk A: speaks en, works in sales; the only one who is free; had 0 of 3 conversations.",
        )
    ]
    assert desk.routed() == [("assignments", "chat:1:1")]


def test_waiting_work_goes_to_whoever_signs_in() -> None:
    """Until then its place in the queue is published."""
    desk = pool()
    assert desk.take(work()) == [QueuePositionChanged(conversation_id="chat:1:1/1", position=1)]
    assert given(desk.take(signed_in("ana"))) == [("1", "ana")]
    assert desk.state.waiting == ()


@pytest.mark.parametrize(
    ("terms", "takers"),
    [
        ({"language": "pt"}, {"ana"}),
        ({"language": "pt-BR"}, {"ana"}),
        ({"language": "zh"}, set()),
        ({"language": None}, {"ana", "ben"}),
        ({"department": "billing"}, set()),
        ({"skills": ("warranty",)}, {"ben"}),
        ({"skills": ("warranty", "welding")}, set()),
        ({"excluded_agents": ("ana",)}, {"ben"}),
        ({"channel_class": "live"}, set()),
    ],
)
def test_only_who_can_do_the_work_gets_it(terms: dict[str, Any], takers: set[str]) -> None:
    """Language, department, every skill, a slot of the channel's class, and not excluded."""
    desk = staffed("ana", "ben")
    assert {who for number in range(1, 7) for _, who in given(desk.take(work(number, **terms)))} == takers


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (AgentStatusChanged(agent="ana", status=AgentStatus.AWAY), []),
        (AgentStatusChanged(agent="ana", status=AgentStatus.AVAILABLE), [("1", "ana")]),
        (AgentSignedOut(agent="ana"), []),
        (AgentCapacityChanged(agent="ana", capacity={"messaging": 0}), []),
        (AgentCapacityChanged(agent="ana", capacity={"messaging": -5, "fax": 3}), []),
        (AgentCapacityChanged(agent="ana", capacity={"live": 1}), [("1", "ana")]),
        (AgentSeen(agent="ana"), [("1", "ana")]),
    ],
)
def test_only_available_agents_with_room_get_work(event: Any, expected: list[tuple[str, str]]) -> None:
    """Away, signed out and without capacity get nothing; a heartbeat that nobody expects changes nothing."""
    desk = staffed("ana")
    desk.take(event)
    assert given(desk.take(work())) == expected


@pytest.mark.parametrize(
    "event",
    [
        signed_in("nobody"),
        signed_in("mia"),
        AgentSignedOut(agent="ana"),
        AgentSeen(agent="ana"),
        AgentStatusChanged(agent="ana", status=AgentStatus.AVAILABLE),
        AgentCapacityChanged(agent="ana", capacity={"messaging": 1}),
        WorkAccepted(agent="ana", conversation_id="x"),
        WorkDeclined(agent="ana", conversation_id="x"),
        finished(1, "ana"),
        withdrawn(1),
        WorkUrgencyChanged(conversation_id="x", thread="y"),
    ],
)
def test_what_concerns_nobody_here_leaves_no_trace(event: Any) -> None:
    """Unknown agents, agents of other pools, agents who are not signed in, and work that was never offered."""
    desk = pool()
    assert desk.take(event) == []
    assert desk.saved is None


def test_event_that_is_no_matter_of_dispatch_leaves_the_pool_as_it_is() -> None:
    """Its own words, should they ever come back, say nothing to it."""
    desk = staffed("ana")
    before = desk.state
    assert desk.take(QueuePositionChanged(conversation_id="x", position=1)) == []
    assert desk.state == before


def test_nobody_is_given_more_than_the_capacity() -> None:
    """The fourth conversation waits; the capacity at sign-in counts more than the configured one."""
    desk = staffed("ana")
    assert [len(given(desk.take(work(number)))) for number in range(1, 5)] == [1, 1, 1, 0]
    assert given(desk.take(signed_in("ana", messaging=4))) == [("4", "ana")]
    desk.take(AgentCapacityChanged(agent="ana", capacity={"messaging": 1}))
    desk.take(finished(1, "ana"))
    assert given(desk.take(work(5))) == []


def test_freed_slot_takes_the_most_urgent_work_at_once() -> None:
    """Priority first, then the earliest deadline, then age, then the thread."""
    desk = pool()
    later = NOON + timedelta(hours=2)
    urgencies: list[dict[str, Any]] = [{}, {"due_at": later}, {"due_at": NOON + timedelta(hours=1)}, {"priority": 1}, {"due_at": later}]
    for number, terms in enumerate(urgencies, start=1):
        desk.take(work(number, **terms))
        desk.passes(seconds=1)
    taken = given(desk.take(signed_in("ana", messaging=1)))
    while desk.state.waiting:
        taken += given(desk.take(finished(int(taken[-1][0]), "ana")))
    assert [number for number, _ in taken] == ["4", "3", "2", "5", "1"]


def test_urgent_work_that_nobody_can_do_does_not_hold_up_the_rest() -> None:
    """It keeps its place and waits for somebody who can."""
    desk = pool()
    desk.take(work(1, language="zh", priority=9))
    desk.take(work(2))
    assert given(desk.take(signed_in("ana"))) == [("2", "ana")]
    assert [one.thread for one in desk.state.waiting] == ["chat:1:1"]


def test_changed_urgency_moves_work_in_the_queue() -> None:
    """Places are published for those who moved."""
    desk = pool()
    desk.take(work(1))
    desk.take(work(2))
    published = desk.take(WorkUrgencyChanged(conversation_id="chat:1:2/1", thread="chat:1:2", priority=3))
    assert [(data.conversation_id, data.position) for data in published] == [("chat:1:2/1", 1), ("chat:1:1/1", 2)]


def test_returning_customer_gets_the_agent_they_know() -> None:
    """Even one who is busier, as long as there is room."""
    desk = staffed("ana", "ben")
    for number in (1, 2):
        desk.take(work(number, preferred_agent="ana"))
    published = desk.take(work(3, preferred_agent="ana"))
    assert given(published) == [("3", "ana")]
    assert "who answered this customer before; had 2 of 3" in published[0].explanation
    assert given(desk.take(work(4, preferred_agent="ana"))) == [("4", "ben")]


def test_least_loaded_share_goes_first_then_the_longest_idle() -> None:
    """One of two is a lighter load than one of one; among equals the one who waited longest, then by name."""
    desk = staffed("ana", "ben")
    desk.take(AgentCapacityChanged(agent="ben", capacity={"messaging": 1}))
    published = desk.take(work(1))
    assert given(published) == [("1", "ana")]
    assert "idle longest of 2 who are equally busy" in published[0].explanation
    published = desk.take(work(2))
    assert given(published) == [("2", "ben")]
    assert "the least busy of 2 who are free" in published[0].explanation


def test_idle_time_begins_when_work_ends() -> None:
    """Who has just finished is last among the equally loaded; signing in again does not make anybody first."""
    desk = staffed("ana", "ben")
    desk.take(work(1))
    desk.passes(seconds=5)
    desk.take(finished(1, "ana"))
    desk.take(signed_in("ben"))
    assert given(desk.take(work(2))) == [("2", "ben")]
    tied = pool()
    tied.take(signed_in("ben"))
    tied.take(signed_in("ana"))
    assert given(tied.take(work(1))) == [("1", "ana")]


def test_coming_back_from_a_break_begins_idle_time_anew() -> None:
    """Saying the same status twice does not."""
    desk = staffed("ana", "ben")
    desk.take(AgentStatusChanged(agent="ana", status=AgentStatus.AWAY))
    desk.take(AgentStatusChanged(agent="ana", status=AgentStatus.AVAILABLE))
    desk.take(AgentStatusChanged(agent="ana", status=AgentStatus.AVAILABLE))
    assert given(desk.take(work(1))) == [("1", "ben")]


def test_assignment_that_is_not_accepted_lapses_to_the_next() -> None:
    """After the pool's time, and the first agent is passed over."""
    desk = staffed("ana", "ben", pools=ACCEPTING)
    assert only(desk.take(work()), AssignmentMade).accept_by == desk.now + timedelta(seconds=20)
    assert desk.passes(seconds=19) == []
    lapsed, made = desk.passes(seconds=1)
    assert lapsed == AssignmentLapsed(conversation_id="chat:1:1/1", agent="ana", reason="not_accepted")
    assert made.agent == "ben"


def test_accepted_assignment_stays() -> None:
    """Another agent's word does not count, and what was accepted cannot be declined any more."""
    desk = staffed("ana", "ben", pools=ACCEPTING)
    desk.take(work())
    desk.take(WorkAccepted(agent="ben", conversation_id="chat:1:1/1"))
    assert desk.state.assigned["chat:1:1/1"].accept_by is not None
    desk.take(WorkAccepted(agent="ana", conversation_id="chat:1:1/1"))
    assert desk.take(WorkDeclined(agent="ana", conversation_id="chat:1:1/1")) == []
    assert desk.passes(hours=1) == []


def test_an_offer_that_becomes_an_order_does_not_lapse() -> None:
    """A supervisor gave the work to the very agent who had the offer."""
    desk = staffed("ana", "ben", pools=ACCEPTING)
    desk.take(work())
    assert desk.take(WorkTaken(conversation_id="chat:1:1/1", thread="chat:1:1", agent="ana")) == []
    assert desk.passes(hours=1) == []
    assert desk.state.assigned["chat:1:1/1"].agent == "ana"


@pytest.mark.parametrize(
    ("event", "reason"),
    [(WorkDeclined(agent="ana", conversation_id="chat:1:1/1"), "declined"), (AgentSignedOut(agent="ana"), "signed_out")],
)
def test_refused_work_goes_to_the_next_at_once(event: Any, reason: str) -> None:
    """Declining and signing out do not wait for the time to pass."""
    desk = staffed("ana", "ben", pools=ACCEPTING)
    desk.take(work())
    published = desk.take(event)
    assert only(published, AssignmentLapsed).reason == reason
    assert given(published) == [("1", "ben")]


def test_work_comes_back_to_who_let_it_lapse_only_when_nobody_else_is_there() -> None:
    """A busy colleague is waited for; alone, the agent gets it again after a rest."""
    desk = staffed("ana", pools=ACCEPTING)
    desk.take(work())
    assert names(desk.take(WorkDeclined(agent="ana", conversation_id="chat:1:1/1"))) == ["assignment.lapsed", "queue.position_changed"]
    assert given(desk.passes(seconds=LAPSED_REST_SECONDS - 1)) == []
    assert given(desk.passes(seconds=1)) == [("1", "ana")]
    desk.take(signed_in("ben", messaging=1))
    desk.take(work(2, preferred_agent="ben"))
    desk.take(WorkAccepted(agent="ben", conversation_id="chat:1:2/1"))
    desk.take(WorkDeclined(agent="ana", conversation_id="chat:1:1/1"))
    assert given(desk.passes(hours=1)) == []
    assert given(desk.take(finished(2, "ben"))) == [("1", "ben")]


def test_agent_who_signs_out_keeps_what_they_accepted() -> None:
    """Its slot is still taken after they are back; with nothing left they are forgotten."""
    desk = staffed("ana")
    desk.take(work(1))
    assert desk.take(AgentSignedOut(agent="ana")) == []
    desk.take(signed_in("ana", messaging=1))
    assert given(desk.take(work(2))) == []
    desk.take(AgentSignedOut(agent="ana"))
    desk.take(finished(1, "ana"))
    assert desk.state.agents == {}


def test_slot_is_free_after_the_wrap_up_time() -> None:
    """The next work comes when it is over, not before."""
    desk = staffed("ana", pools={POOL: Pool(wrap_up_seconds=30)})
    desk.take(signed_in("ana", messaging=1))
    desk.take(work(1))
    desk.take(work(2))
    assert given(desk.take(finished(1, "ana"))) == []
    assert given(desk.passes(seconds=29)) == []
    assert given(desk.passes(seconds=1)) == [("2", "ana")]


def test_wrap_up_of_somebody_who_left_ends_too() -> None:
    """Then nothing is remembered of them."""
    desk = staffed("ana", pools={POOL: Pool(wrap_up_seconds=30)})
    desk.take(work(1))
    desk.take(finished(1, "ana"))
    desk.take(AgentSignedOut(agent="ana"))
    assert list(desk.state.agents) == ["ana"]
    desk.passes(seconds=30)
    assert desk.state.agents == {}


def test_agents_get_work_on_their_shift_only() -> None:
    """Work that waits goes out when the shift of somebody who signed in early begins."""
    start = NOON + timedelta(hours=1)

    def on_shift(_who: str, at: datetime) -> bool:
        return at >= start

    desk = staffed("ana", on_shift=on_shift, next_shift=lambda _who, _after: start)
    assert desk.reducer.due(desk.state) is None
    desk.take(work())
    assert desk.reducer.due(desk.state) == start
    assert given(desk.passes(hours=1)) == [("1", "ana")]


def test_no_shift_to_come_is_nothing_to_wait_for() -> None:
    """An agent without a next shift sets no timer; neither does one who is away."""
    desk = staffed("ana", on_shift=lambda _who, _at: False)
    desk.take(work())
    assert desk.reducer.due(desk.state) is None
    away = staffed("ana", on_shift=lambda _who, _at: False, next_shift=lambda _who, after: after + timedelta(hours=1))
    away.take(AgentStatusChanged(agent="ana", status=AgentStatus.AWAY))
    away.take(work())
    assert away.reducer.due(away.state) is None


def test_agent_taken_out_of_the_configuration_gets_nothing() -> None:
    """A state may be older than the configuration; what they had goes to the next when it is offered again."""
    old = staffed("ana", "ben")
    old.take(work(1, preferred_agent="ana"))
    desk = pool(agents={"ben": agent(("en",), ("sales",))}, on_shift=lambda who, _at: who == "ben")
    desk.saved = old.state
    assert given(desk.take(work(2, preferred_agent="ana"))) == [("2", "ben")]
    assert given(desk.take(work(1))) == [("1", "ben")]


def test_offer_repeated_while_it_waits_keeps_its_age() -> None:
    """Terms are brought up to date, the place stays."""
    desk = pool()
    desk.take(work(1))
    desk.passes(minutes=1)
    desk.take(work(2))
    before = desk.state
    assert desk.take(work(1)) == []
    assert desk.state == before
    desk.take(work(1, language="zh"))
    assert [one.language for one in desk.state.waiting] == ["zh", "en"]


def test_offer_that_crossed_with_its_assignment_stands_if_the_agent_fits() -> None:
    """Else the assignment lapses and somebody who fits the new terms gets it."""
    desk = staffed("ana", "ben")
    desk.take(work(1, preferred_agent="ana"))
    assert desk.take(work(1, language="pt")) == []
    published = desk.take(work(1, skills=("warranty",)))
    assert names(published) == ["assignment.lapsed", "assignment.made"]
    assert published[0].reason == "withdrawn"
    assert given(published) == [("1", "ben")]


def test_withdrawn_work_frees_its_slot_without_wrap_up() -> None:
    """The next work is given out with it; withdrawn work that waits is forgotten."""
    desk = staffed("ana", pools={POOL: Pool(wrap_up_seconds=30)})
    desk.take(signed_in("ana", messaging=1))
    desk.take(work(1))
    desk.take(work(2))
    desk.take(work(3))
    assert given(desk.take(withdrawn(1))) == [("2", "ana")]
    desk.take(withdrawn(3))
    assert desk.state.waiting == ()


def test_work_finished_before_it_was_accepted_does_not_lapse() -> None:
    """Events of agent and conversation may cross."""
    desk = staffed("ana", pools=ACCEPTING)
    desk.take(work())
    desk.take(finished(1, "ana"))
    assert desk.passes(hours=1) == []
    assert desk.state.assigned == {}


def test_work_finished_by_somebody_while_it_waits_is_forgotten() -> None:
    """A lapse crossed with the end; the end of work that somebody else has meanwhile changes nothing."""
    desk = staffed("ana", pools=ACCEPTING)
    desk.take(work())
    desk.take(WorkDeclined(agent="ana", conversation_id="chat:1:1/1"))
    desk.take(finished(1, "ana"))
    assert desk.state.waiting == ()
    other = staffed("ana")
    other.take(work())
    other.take(finished(1, "ben"))
    assert other.state.assigned["chat:1:1/1"].agent == "ana"


def test_urgency_that_changed_after_the_assignment_counts_if_it_lapses() -> None:
    """The work comes back to the place that it deserves now."""
    desk = staffed("ana", pools=ACCEPTING)
    desk.take(signed_in("ana", messaging=1))
    desk.take(work(1))
    desk.take(work(2, priority=2))
    desk.take(WorkUrgencyChanged(conversation_id="chat:1:1/1", thread="chat:1:1", priority=7))
    desk.take(AgentSignedOut(agent="ana"))
    assert [one.priority for one in desk.state.waiting] == [7, 2]


def test_places_are_published_at_the_head_and_at_the_entrance() -> None:
    """A long queue does not publish all of itself at every step."""
    desk = pool()
    size = PLACES_PUBLISHED_MAX + 5
    for number in range(size):
        assert only(desk.take(work(number, priority=1)), QueuePositionChanged).position == number + 1
        desk.passes(seconds=1)
    published = desk.take(work(99, priority=9))
    assert [data.position for data in published] == list(range(1, PLACES_PUBLISHED_MAX + 1))
    assert desk.take(WorkUrgencyChanged(conversation_id="chat:1:99/1", thread="chat:1:99", priority=8)) == []


def test_expected_wait_follows_from_recent_waits() -> None:
    """Without one it is not said; then it is what one place took lately, times the places."""
    desk = pool()
    desk.take(work(1))
    desk.take(work(2))
    desk.passes(seconds=60)
    desk.take(signed_in("ana", messaging=1))
    assert only(desk.take(work(3)), QueuePositionChanged).expected_wait_seconds == 120
    for number in range(4, 40):
        desk.take(work(number))
        desk.passes(seconds=10)
        held = next(iter(desk.state.assigned.values())).work.conversation_id
        desk.take(WorkFinished(conversation_id=held, thread="t", agent="ana"))
    assert len(desk.state.place_seconds) == PLACE_SECONDS_MAX


def test_pool_that_is_full_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversation stays in its own queue and offers itself again; what is known already is still brought up to date."""
    monkeypatch.setattr(offers, "WAITING_MAX", 2)
    desk = pool()
    for number in range(4):
        desk.take(work(number))
    desk.take(work(0, language="zh"))
    assert [one.language for one in desk.state.waiting] == ["zh", "en"]


def test_many_assignments_are_made_in_several_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """One decision stays small; the rest follows at once by timer."""
    monkeypatch.setattr(matching, "ASSIGNMENTS_MAX", 2)
    desk = pool()
    for number in range(4):
        desk.take(work(number))
    assert len(given(desk.take(signed_in("ana", messaging=4)))) == 2
    assert desk.reducer.due(desk.state) == desk.now
    assert len(given(desk.passes(seconds=0))) == 2


def test_pool_that_is_not_configured_lets_work_wait() -> None:
    """An integration may publish anywhere: nobody is there, nothing fails."""
    desk = pool(key="elsewhere")
    assert names(desk.take(work())) == ["queue.position_changed"]
    desk.passes(hours=1)
    assert len(desk.state.waiting) == 1


def test_work_that_waits_in_an_idle_pool_sets_no_timer() -> None:
    """There is nothing to come back for."""
    desk = pool()
    desk.take(work())
    assert desk.reducer.due(desk.state) is None
