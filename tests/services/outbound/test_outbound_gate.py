"""Whose turn it is on an account."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outbound.core.answers import Answer, Lost, NotSent, NotTaken, Taken
from services.outbound.core.breaker import BreakerPolicy
from services.outbound.core.bucket import TokenBucket
from services.outbound.core.effects import report_of
from services.outbound.core.gate import AccountGate, Effect, Report, Verdict
from shared.events.sends import Lane
from shared.events.shapes import FailureClass
from tests.services.outbound.outbound_values import NOON, failure_of

SECOND = timedelta(seconds=1)
WORKED = Report(Effect.WORKED)
FAILED = Report(Effect.FAILED, failure_of(FailureClass.RETRY))
STOPPED = Report(Effect.STOPPED, failure_of(FailureClass.STOP_ACCOUNT))
POLICY = BreakerPolicy()


def gate(rate: float = 1000, requests_max: int = 100) -> AccountGate:
    """Return a rested gate."""
    return AccountGate(TokenBucket.full(rate, NOON), POLICY, requests_max=requests_max)


def test_answers_go_before_automatic_ones_and_these_before_bulk() -> None:
    """Whatever the order of arrival; within a lane first come, first served."""
    account = gate()
    for ticket, lane in enumerate([Lane.BULK, Lane.AUTOMATIC, Lane.ANSWER, Lane.BULK, Lane.ANSWER]):
        account.enter(ticket, lane, None)
    assert account.admit(NOON) == [(ticket, Verdict.GO) for ticket in (2, 4, 1, 0, 3)]


def test_the_bucket_holds_the_queue_and_names_the_next_moment() -> None:
    """At ten per second the second send goes a tenth of a second later."""
    account = gate(rate=10)
    account.enter(1, Lane.ANSWER, None)
    account.enter(2, Lane.ANSWER, None)
    assert account.admit(NOON) == [(1, Verdict.GO)]
    next_at = account.next_at(NOON)
    assert next_at is not None
    assert (next_at - NOON).total_seconds() == pytest.approx(0.1, abs=1e-5)
    assert account.admit(next_at) == [(2, Verdict.GO)]
    assert account.next_at(next_at) is None


def test_requests_under_way_are_bounded() -> None:
    """The third of two waits for a report, not for a moment."""
    account = gate(requests_max=2)
    for ticket in (1, 2, 3):
        account.enter(ticket, Lane.ANSWER, None)
    assert [ticket for ticket, _ in account.admit(NOON)] == [1, 2]
    assert account.next_at(NOON) is None
    account.report(1, WORKED, NOON)
    assert account.admit(NOON) == [(3, Verdict.GO)]


def test_a_send_whose_time_has_passed_is_told_so() -> None:
    """It takes no token, and its moment is one to ask again at."""
    account = gate(rate=0.1)
    account.enter(1, Lane.ANSWER, None)
    account.enter(2, Lane.ANSWER, NOON + SECOND)
    account.admit(NOON)
    assert account.next_at(NOON) == NOON + SECOND
    assert account.admit(NOON + SECOND) == [(2, Verdict.EXPIRED)]


def test_who_leaves_is_passed_over() -> None:
    """Its place is not waited for."""
    account = gate()
    for ticket in (1, 2):
        account.enter(ticket, Lane.ANSWER, None)
    account.leave(1)
    assert account.admit(NOON) == [(2, Verdict.GO)]


def opened_gate() -> AccountGate:
    """Return a gate whose breaker is open, with sends 10 and 11 waiting."""
    account = gate()
    account.enter(0, Lane.ANSWER, None)
    account.admit(NOON)
    account.report(0, STOPPED, NOON)
    account.enter(10, Lane.BULK, None)
    account.enter(11, Lane.ANSWER, None)
    return account


def test_a_stopped_account_tries_one_send_and_waits_for_its_answer() -> None:
    """Nothing before the probe's moment, one at it, and all after its success."""
    account = opened_gate()
    assert account.admit(NOON) == []
    assert account.next_at(NOON) == NOON + 30 * SECOND
    later = NOON + 30 * SECOND
    assert account.admit(later) == [(11, Verdict.GO)]
    assert (account.admit(later), account.next_at(later)) == ([], None)
    account.report(11, WORKED, later)
    assert account.admit(later) == [(10, Verdict.GO)]


def test_a_failed_probe_opens_again() -> None:
    """For twice as long; the others keep waiting."""
    account = opened_gate()
    later = NOON + 30 * SECOND
    account.admit(later)
    account.report(11, STOPPED, later)
    assert account.admit(later) == []
    assert account.next_at(later) == NOON + 90 * SECOND


def test_a_probe_that_made_no_request_leaves_its_place_to_the_next() -> None:
    """Its claim failed: the account is as unknown as before."""
    account = opened_gate()
    later = NOON + 30 * SECOND
    account.admit(later)
    account.report(11, Report(Effect.NONE), later)
    assert account.admit(later) == [(10, Verdict.GO)]


def test_stragglers_do_not_lengthen_the_pause_but_may_end_it() -> None:
    """What was under way when the breaker opened fails without effect; a success shows that the account works."""
    account = gate()
    for ticket in range(10):
        account.enter(ticket, Lane.ANSWER, None)
    account.admit(NOON)
    for ticket in range(8):
        account.report(ticket, FAILED, NOON)
    account.report(8, STOPPED, NOON)
    assert account.breaker.probe_at == NOON + 5 * SECOND
    account.report(9, WORKED, NOON)
    assert account.breaker.probe_at is None


def test_after_long_trouble_sends_are_refused_at_once() -> None:
    """They would hold back other accounts; but whoever comes at the probe's moment still tries."""
    account = opened_gate()
    now = NOON + 30 * SECOND
    for _ in range(20):
        account.admit(now)
        account.report(11, STOPPED, now)
        account.enter(11, Lane.ANSWER, None)
        probe_at = account.breaker.probe_at
        assert probe_at is not None
        if account.breaker.gives_up(now, POLICY):
            break
        now = probe_at
    assert account.breaker.gives_up(now, POLICY)
    assert account.admit(now) == [(11, Verdict.STOPPED), (10, Verdict.STOPPED)]
    account.enter(12, Lane.ANSWER, None)
    probe_at = account.breaker.probe_at
    assert probe_at is not None
    assert account.next_at(now) == NOON + timedelta(seconds=POLICY.wait_seconds_max)
    assert account.admit(probe_at) == [(12, Verdict.GO)]


def test_too_fast_slows_the_account_and_resets_the_breaker() -> None:
    """A limit is a sign of life."""
    account = gate()
    for ticket in (1, 2, 3):
        account.enter(ticket, Lane.ANSWER, None)
    account.admit(NOON)
    account.report(1, FAILED, NOON)
    account.report(2, Report(Effect.SLOWED, pause_seconds=10), NOON)
    assert account.breaker.failures == 0
    account.enter(4, Lane.ANSWER, None)
    assert account.admit(NOON + 9 * SECOND) == []
    next_at = account.next_at(NOON)
    assert next_at is not None
    assert next_at >= NOON + 10 * SECOND


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (Taken("m1"), Effect.WORKED),
        (NotSent("no line"), Effect.FAILED),
        (NotSent("no address", permanent=True), Effect.NONE),
        (Lost("gone"), Effect.FAILED),
        (NotTaken(failure_of(FailureClass.RETRY)), Effect.FAILED),
        (NotTaken(failure_of(FailureClass.STOP_ACCOUNT)), Effect.STOPPED),
        (NotTaken(failure_of(FailureClass.SUPPRESS)), Effect.WORKED),
        (NotTaken(failure_of(FailureClass.WAIT)), Effect.WORKED),
    ],
)
def test_an_answer_says_something_about_its_account(answer: Answer, effect: Effect) -> None:
    """A refusal of one send is a sign of life; trouble and lost answers count against the account."""
    assert report_of(answer, slow_seconds=10).effect is effect


def test_the_pause_of_a_slow_lane_is_the_channels_or_ours() -> None:
    """Its Retry-After where there is one."""
    slow = failure_of(FailureClass.SLOW_LANE)
    assert report_of(NotTaken(slow), slow_seconds=10) == Report(Effect.SLOWED, slow, 10)
    assert report_of(NotTaken(slow, 90), slow_seconds=10) == Report(Effect.SLOWED, slow, 90)


ACTS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "report", "pass"]), st.sampled_from(Lane), st.sampled_from(Effect), st.floats(0, 40)),
    max_size=80,
)


class Play:
    """A gate under random acts, and what must be true of it."""

    def __init__(self) -> None:
        self.account, self.now = gate(rate=5, requests_max=3), NOON
        self.tickets = 0
        self.waiting: list[int] = []
        self.going: list[int] = []
        self.told: Counter[int] = Counter()

    def act(self, name: str, lane: Lane, effect: Effect, seconds: float) -> None:
        """Do one thing, and let through who may."""
        if name == "enter":
            self.tickets += 1
            self.waiting.append(self.tickets)
            self.account.enter(self.tickets, lane, self.now + timedelta(seconds=seconds) if seconds > 20 else None)
        elif name == "leave" and self.waiting:
            self.account.leave(self.waiting.pop(0))
        elif name == "report" and self.going:
            self.account.report(self.going.pop(0), Report(effect, failure_of(FailureClass.RETRY), 10), self.now)
        elif name == "pass":
            self.now += timedelta(seconds=seconds)
        self.admit()

    def admit(self) -> None:
        """Let through who may; never more than the bound."""
        for ticket, verdict in self.account.admit(self.now):
            self.told[ticket] += 1
            self.waiting.remove(ticket)
            if verdict is Verdict.GO:
                self.going.append(ticket)
        assert len(self.going) <= 3

    def end(self, rounds: int) -> None:
        """Report success of all, and come at every moment that the gate names."""
        for _ in range(rounds):
            self.act("report", Lane.ANSWER, Effect.WORKED, 0)
            self.now = max(self.now, self.account.next_at(self.now) or self.now)
            self.admit()


@given(ACTS)
def test_everybody_is_told_exactly_once_and_never_too_many_go(acts: list[tuple[str, Lane, Effect, float]]) -> None:
    """Under any interleaving of arrivals, departures, reports and time the bounds hold, and the queue ends empty."""
    play = Play()
    for act in acts:
        play.act(*act)
    play.end(10 * len(acts) + 10)
    assert not play.waiting
    assert not play.going
    assert set(play.told.values()) <= {1}
