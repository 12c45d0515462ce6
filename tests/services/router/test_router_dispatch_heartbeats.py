"""Dispatch and the desks' heartbeats: whoever is not heard of any more counts as signed out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.router.state import DispatchState
from shared.contact_centre.models import Pool
from shared.events.work import (
    AgentSeen,
    AgentSignedIn,
    AgentSignedOut,
    AssignmentLapsed,
    AssignmentMade,
    WorkAccepted,
    WorkDeclined,
    WorkFinished,
    WorkOffered,
)
from tests.services.router.router_kit import POOL, Driver, names, only, pool

SEEN_SECONDS = 60


def offered(number: int = 1, **terms: Any) -> WorkOffered:
    """Return an offer of the conversation of thread `number`."""
    return WorkOffered(conversation_id=f"{number}/1", thread=str(number), language="en", **terms)


def staffed(*agents: str, seen_seconds: int | None = SEEN_SECONDS, accept_seconds: int | None = 3600) -> Driver[DispatchState]:
    """Return a pool whose agents signed in, a second apart."""
    desk = pool(pools={POOL: Pool(accept_seconds=accept_seconds, seen_seconds=seen_seconds)})
    for who in agents:
        desk.take(AgentSignedIn(agent=who))
        desk.passes(seconds=1)
    return desk


def test_work_of_an_agent_who_is_not_heard_of_goes_to_the_next_at_its_moment() -> None:
    """What was not accepted lapses as with a sign-out, and nothing is given to them any more."""
    desk = staffed("ana", "ben")
    desk.take(AgentSeen(agent="ana"))
    desk.take(offered(preferred_agent="ana"))
    assert desk.passes(seconds=SEEN_SECONDS - 1) == []
    lapsed, made = desk.passes(seconds=1)
    assert lapsed == AssignmentLapsed(conversation_id="1/1", agent="ana", reason="signed_out")
    assert made.agent == "ben"
    assert only(desk.take(offered(2, preferred_agent="ana")), AssignmentMade).agent == "ben"
    assert desk.take(AgentSeen(agent="ana")) == []


def test_heartbeats_keep_an_agent_there() -> None:
    """Each one counts anew."""
    desk = staffed("ana")
    for _ in range(5):
        desk.take(AgentSeen(agent="ana"))
        assert desk.passes(seconds=SEEN_SECONDS - 1) == []
    assert only(desk.take(offered()), AssignmentMade).agent == "ana"


def test_accepted_conversations_stay_with_an_agent_who_is_not_heard_of() -> None:
    """Their slots are taken until the work is finished."""
    desk = staffed("ana")
    desk.take(offered())
    desk.take(WorkAccepted(agent="ana", conversation_id="1/1"))
    desk.take(AgentSeen(agent="ana"))
    assert desk.passes(hours=1) == []
    assert desk.state.assigned["1/1"].agent == "ana"
    assert names(desk.take(WorkFinished(conversation_id="1/1", thread="1", agent="ana"))) == []


@pytest.mark.parametrize("event", [AgentSeen(agent="ana"), AgentSignedIn(agent="ana")], ids=["heartbeat", "sign-in"])
def test_agent_who_is_heard_of_again_is_back(event: Any) -> None:
    """They get what waits, and are the last who is idle."""
    desk = staffed("ana", "ben")
    desk.take(AgentSeen(agent="ana"))
    desk.passes(seconds=SEEN_SECONDS)
    desk.take(event)
    assert only(desk.take(offered(1)), AssignmentMade).agent == "ben"
    assert only(desk.take(offered(2)), AssignmentMade).agent == "ana"


def test_heartbeats_are_expected_from_who_sends_them() -> None:
    """A desk that sends none, and a pool that expects none, lose nobody."""
    without_any = staffed("ana")
    without_any.passes(hours=1)
    assert only(without_any.take(offered()), AssignmentMade).agent == "ana"
    none_expected = staffed("ana", seen_seconds=None)
    before = none_expected.state
    none_expected.take(AgentSeen(agent="ana"))
    assert none_expected.state == before
    none_expected.passes(hours=1)
    assert only(none_expected.take(offered()), AssignmentMade).agent == "ana"


def test_signing_in_again_goes_on_with_the_heartbeats_that_were() -> None:
    """It is a sign of life, and not the last that is expected."""
    desk = staffed("ana")
    desk.take(AgentSeen(agent="ana"))
    desk.passes(seconds=SEEN_SECONDS - 1)
    desk.take(AgentSignedIn(agent="ana"))
    assert only(desk.take(offered(1)), AssignmentMade).agent == "ana"
    assert desk.passes(seconds=SEEN_SECONDS - 1) == []
    assert "assignment.lapsed" in names(desk.passes(seconds=1))


def test_heartbeat_that_comes_after_the_sign_out_brings_nobody_back() -> None:
    """The next sign-in begins without any."""
    desk = staffed("ana", "ben")
    desk.take(AgentSeen(agent="ana"))
    desk.take(AgentSignedOut(agent="ana"))
    desk.take(AgentSeen(agent="ana"))
    assert list(desk.state.agents) == ["ben"]
    desk.take(AgentSignedIn(agent="ana"))
    desk.passes(hours=1)
    assert only(desk.take(offered(preferred_agent="ana")), AssignmentMade).agent == "ana"


def test_work_that_waits_for_a_colleague_comes_back_when_the_colleague_falls_silent() -> None:
    """Ben is busy and did not let it lapse: as long as he is there it waits for him."""
    desk = staffed("ana", "ben")
    desk.take(AgentSignedIn(agent="ben", capacity={"messaging": 1}))
    desk.take(offered(1, preferred_agent="ben"))
    desk.take(WorkAccepted(agent="ben", conversation_id="1/1"))
    desk.take(AgentSeen(agent="ben"))
    desk.take(offered(2))
    desk.take(WorkDeclined(agent="ana", conversation_id="2/1"))
    assert [data for data in desk.passes(seconds=SEEN_SECONDS - 1) if isinstance(data, AssignmentMade)] == []
    assert only(desk.passes(seconds=1), AssignmentMade).agent == "ana"


def test_heartbeat_before_its_late_timer_counts() -> None:
    """The timer of an outage comes when it can; who was heard of meanwhile is there."""
    desk = staffed("ana")
    desk.take(AgentSeen(agent="ana"))
    desk.take(offered())
    desk.now += timedelta(seconds=SEEN_SECONDS + 5)
    assert desk.take(AgentSeen(agent="ana")) == []
    assert desk.state.assigned["1/1"].agent == "ana"


def test_pool_does_not_expect_heartbeats_faster_than_desks_send_them() -> None:
    """Less than ten seconds is a mistake in the configuration."""
    with pytest.raises(ValidationError):
        Pool(seen_seconds=9)
