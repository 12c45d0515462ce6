"""The life of one send, as a table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.outbound.core.answers import Answer, Lost, NotSent, NotTaken, Taken
from services.outbound.core.outcome import outcome_of
from services.outbound.core.retry import RetryPolicy
from services.outbound.core.send import (
    EXPLANATION_LENGTH_MAX,
    NO_MEMORY,
    Claimant,
    Memory,
    Proceed,
    Save,
    Step,
    Tell,
    WaitUntil,
    after,
    claim,
    expired,
    next_step,
    refused_before,
    stopped,
)
from services.outbound.state import SETTLED, LedgerEntry, Phase
from shared.events.deliveries import SendAccepted, SendRefused, SendUnknown
from shared.events.sends import Permission
from shared.events.shapes import FailureClass
from tests.services.outbound.outbound_values import NOON, OWNER, entry, failure_of, requested, send

SECOND = timedelta(seconds=1)
ME = Claimant(OWNER, claim_seconds=40)
POLICY = RetryPolicy()
IN_FLIGHT = entry(Phase.IN_FLIGHT)
ACCEPTED = entry(Phase.ACCEPTED, message_id="m1")
WAITING = entry(Phase.WAITING, next_attempt_at=NOON + SECOND, failure=failure_of(FailureClass.RETRY))


@pytest.mark.parametrize(
    ("stored", "memory", "expected"),
    [
        (None, NO_MEMORY, Proceed(0)),
        (ACCEPTED, NO_MEMORY, Tell(ACCEPTED)),
        (WAITING, NO_MEMORY, WaitUntil(NOON + SECOND)),
        (entry(Phase.WAITING, next_attempt_at=NOON), NO_MEMORY, Proceed(1)),
        (entry(Phase.WAITING), NO_MEMORY, Proceed(1)),
        (IN_FLIGHT, Memory(claim=IN_FLIGHT), Proceed(0)),
        (IN_FLIGHT, Memory(result=ACCEPTED), Save(ACCEPTED)),
        (IN_FLIGHT, Memory(under_way=True), WaitUntil(NOON + 2 * SECOND, look_again=True)),
        (entry(Phase.UNKNOWN), Memory(result=ACCEPTED), Save(ACCEPTED)),
        (entry(Phase.UNKNOWN), Memory(result=WAITING), Tell(entry(Phase.UNKNOWN))),
        (entry(Phase.REFUSED), Memory(result=ACCEPTED), Tell(entry(Phase.REFUSED))),
    ],
)
def test_the_next_step_follows_from_the_ledger_and_from_what_this_process_knows(
    stored: LedgerEntry | None, memory: Memory, expected: Step
) -> None:
    """Settled: tell; waiting: wait; claimed with the answer at hand: save it; nothing yet, or a claim nothing followed: go on."""
    assert next_step(stored, send(), NOON, claimant=ME, memory=memory) == expected


@pytest.mark.parametrize(
    ("stored", "memory"),
    [
        (IN_FLIGHT, NO_MEMORY),
        (entry(Phase.IN_FLIGHT, owner="outbound-1", since=NOON - 40 * SECOND), NO_MEMORY),
        (IN_FLIGHT, Memory(claim=entry(Phase.IN_FLIGHT, attempts=2))),
        (entry(Phase.IN_FLIGHT, since=NOON - 40 * SECOND), Memory(under_way=True)),
    ],
)
def test_a_claim_without_an_answer_becomes_unknown_and_is_never_sent_again(stored: LedgerEntry, memory: Memory) -> None:
    """Our own claim of an earlier life at once, another process's or a stuck one after its time."""
    step = next_step(stored, send(), NOON, claimant=ME, memory=memory)
    assert isinstance(step, Save)
    assert step.entry.phase is Phase.UNKNOWN
    assert "process ended" in (step.entry.explanation or "")


def test_another_process_is_given_time_to_finish_its_request() -> None:
    """Its claim is looked at again every two seconds, the last time when it is given up."""
    other = entry(Phase.IN_FLIGHT, owner="outbound-1")
    assert next_step(other, send(), NOON, claimant=ME) == WaitUntil(NOON + 2 * SECOND, look_again=True)
    assert next_step(other, send(), NOON + 39 * SECOND, claimant=ME) == WaitUntil(NOON + 40 * SECOND, look_again=True)


@pytest.mark.parametrize("stored", [None, WAITING, IN_FLIGHT])
def test_what_is_no_longer_allowed_is_refused_with_the_reason(stored: LedgerEntry | None) -> None:
    """The last word of the channel is part of the explanation."""
    step = next_step(stored, send(not_after=NOON), NOON, claimant=ME, memory=Memory(claim=IN_FLIGHT))
    assert isinstance(step, Save)
    assert step.entry.phase is Phase.REFUSED
    assert step.entry.failure is not None
    assert step.entry.failure.code == "expired"
    assert step.entry.failure.class_ is FailureClass.TEMPLATE_NEEDED
    assert ("The channel said no." in step.entry.failure.explanation) is (stored is WAITING)


def test_a_template_that_expired_does_not_ask_for_a_template() -> None:
    """There is no freer form to fall back to."""
    late = expired(send(permission=Permission.TEMPLATE), None, NOON, owner=OWNER)
    assert late.failure is not None
    assert late.failure.class_ is FailureClass.DEAD_LETTER


@pytest.mark.parametrize(
    ("answer", "phase", "code"),
    [
        (Taken("m1"), Phase.ACCEPTED, None),
        (Lost("The line went dead."), Phase.UNKNOWN, None),
        (NotSent("No connection."), Phase.WAITING, "not_sent"),
        (NotSent("No such address.", permanent=True), Phase.REFUSED, "not_sent"),
        (NotTaken(failure_of(FailureClass.RETRY)), Phase.WAITING, "131000"),
        (NotTaken(failure_of(FailureClass.SLOW_LANE)), Phase.WAITING, "131000"),
        (NotTaken(failure_of(FailureClass.WAIT)), Phase.WAITING, "131000"),
        (NotTaken(failure_of(FailureClass.STOP_ACCOUNT)), Phase.WAITING, "131000"),
        (NotTaken(failure_of(FailureClass.TEMPLATE_NEEDED)), Phase.REFUSED, "131000"),
        (NotTaken(failure_of(FailureClass.OTHER_CHANNEL)), Phase.REFUSED, "131000"),
        (NotTaken(failure_of(FailureClass.DEAD_LETTER)), Phase.REFUSED, "131000"),
        (NotTaken(failure_of(FailureClass.SUPPRESS)), Phase.REFUSED, "131000"),
        (NotTaken(failure_of(FailureClass.WAIT), retry_after_seconds=86_400), Phase.REFUSED, "131000"),
    ],
)
def test_every_answer_leads_to_one_phase(answer: Answer, phase: Phase, code: str | None) -> None:
    """Only a definite refusal that may pass leads to another attempt."""
    result = after(IN_FLIGHT, answer, send(), NOON, policy=POLICY)
    assert result.phase is phase
    assert (result.failure.code if result.failure is not None else None) == code
    assert (result.next_attempt_at is not None) is (phase is Phase.WAITING)


def test_the_last_attempt_says_how_often_it_was_tried() -> None:
    """An agent reads that it was not given up lightly."""
    result = after(
        entry(Phase.IN_FLIGHT, attempts=POLICY.attempts_max), NotTaken(failure_of(FailureClass.RETRY)), send(), NOON, policy=POLICY
    )
    assert result.phase is Phase.REFUSED
    assert result.failure is not None
    assert result.failure.explanation == "The channel said no. It was tried 8 times."


def test_a_retry_that_would_come_too_late_is_refused_at_once() -> None:
    """Waiting for a moment that is not allowed any more would only hold the thread."""
    result = after(IN_FLIGHT, NotTaken(failure_of(FailureClass.WAIT)), send(not_after=NOON + SECOND), NOON, policy=POLICY)
    assert result.phase is Phase.REFUSED
    assert result.failure is not None
    assert "too late" in result.failure.explanation


def test_an_explanation_has_a_bound() -> None:
    """A page of HTML in an answer does not make a record that the broker refuses."""
    result = after(IN_FLIGHT, Lost("x" * 100_000), send(), NOON, policy=POLICY)
    assert result.explanation is not None
    assert len(result.explanation) == EXPLANATION_LENGTH_MAX


def test_a_stopped_account_says_why_where_the_channel_did() -> None:
    """The channel's last word is passed on; without one the sentence stands alone."""
    with_cause = stopped(send(), None, failure_of(FailureClass.STOP_ACCOUNT), NOON, owner=OWNER)
    without = stopped(send(), WAITING, None, NOON, owner=OWNER)
    assert with_cause.failure is not None
    assert with_cause.failure.explanation.endswith("The channel said no.")
    assert without.failure is not None
    assert without.failure.explanation.endswith("look at it.")


@pytest.mark.parametrize(
    ("settled", "kind", "name"),
    [
        (ACCEPTED, SendAccepted, "accepted"),
        (entry(Phase.REFUSED, failure=failure_of(FailureClass.SUPPRESS)), SendRefused, "refused"),
        (entry(Phase.REFUSED), SendRefused, "refused"),
        (entry(Phase.ACCEPTED), SendAccepted, "accepted"),
        (entry(Phase.UNKNOWN, explanation="Lost."), SendUnknown, "unknown"),
        (entry(Phase.UNKNOWN), SendUnknown, "unknown"),
    ],
)
def test_an_outcome_is_the_same_event_however_often_it_is_told(settled: LedgerEntry, kind: type, name: str) -> None:
    """Id, time and bytes follow from the entry and the request alone, so a consumer can drop the second."""
    request = requested(send())
    event = outcome_of(settled, request)
    assert isinstance(event.data, kind)
    assert event.id == f"outbound/s1/{name}"
    assert (event.source, event.subject, event.time) == ("parley/outbound", request.subject, settled.since)
    assert (event.causationid, event.traceparent, event.seq) == (request.id, request.traceparent, None)
    assert event.to_json() == outcome_of(settled, request).to_json()


def test_an_unsettled_send_has_no_outcome() -> None:
    """Asking for one is a mistake of ours."""
    with pytest.raises(ValueError, match="no outcome yet"):
        outcome_of(WAITING, requested(send()))


ANSWERS = st.one_of(
    st.just(Taken("m1")),
    st.just(Lost("lost")),
    st.builds(NotSent, st.just("no line"), st.booleans()),
    st.builds(NotTaken, st.builds(failure_of, st.sampled_from(FailureClass)), st.none() | st.floats(0, 10_000)),
)


@given(answers=st.lists(ANSWERS, max_size=12), crashes=st.booleans())
def test_a_send_ends_after_a_bounded_number_of_requests(answers: list[Answer], *, crashes: bool) -> None:
    """Whatever the channel answers, nothing follows acceptance or a lost answer, and the bound of attempts holds."""
    stored: LedgerEntry | None = None
    now, requests = NOON, 0
    for answer in answers:
        step = next_step(stored, send(), now, claimant=ME)
        if isinstance(step, WaitUntil):
            now = step.moment
            step = next_step(stored, send(), now, claimant=ME)
        if isinstance(step, Tell):
            break
        assert isinstance(step, Proceed)
        claimed = claim(send(), step.attempts, now, owner=OWNER)
        requests += 1
        stored = after(claimed, answer, send(), now, policy=POLICY)
        if crashes and isinstance(answer, Lost | Taken):
            recovered = next_step(claimed, send(), now, claimant=ME)
            assert isinstance(recovered, Save)
            stored = recovered.entry
        assert stored.settled is (stored.phase in SETTLED)
        assert not (isinstance(answer, Taken | Lost) and not stored.settled)
    assert requests <= POLICY.attempts_max


def test_refusing_before_a_request_counts_no_attempt() -> None:
    """The ledger tells a send that was never tried from one that was."""
    assert refused_before(send(), None, failure_of(FailureClass.DEAD_LETTER), NOON, owner=OWNER).attempts == 0
