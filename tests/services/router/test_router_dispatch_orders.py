"""Dispatch and what it did not give out itself: conversations that agents have by somebody's order."""

from __future__ import annotations

import pytest

from services.router.core.offers import FINISHED_EARLY_MAX
from services.router.state import DispatchState
from shared.contact_centre.models import Pool
from shared.events.work import AgentSignedIn, AgentSignedOut, AssignmentMade, QueuePositionChanged, WorkFinished, WorkOffered, WorkTaken
from tests.services.router.router_kit import POOL, Driver, names, only, pool


def offered(number: int) -> WorkOffered:
    """Return an offer of the conversation of thread `number`."""
    return WorkOffered(conversation_id=f"{number}/1", thread=str(number), language="en")


def taken(number: int, who: str = "ana", channel_class: str = "messaging") -> WorkTaken:
    """Return the order that gives it to an agent."""
    return WorkTaken(conversation_id=f"{number}/1", thread=str(number), agent=who, channel_class=channel_class)


def finished(number: int, who: str = "ana") -> WorkFinished:
    """Return its end."""
    return WorkFinished(conversation_id=f"{number}/1", thread=str(number), agent=who)


def staffed(*agents: str, slots: int = 1, accept_seconds: int | None = None, wrap_up_seconds: int = 0) -> Driver[DispatchState]:
    """Return a pool whose agents signed in with so many slots each."""
    desk = pool(pools={POOL: Pool(accept_seconds=accept_seconds, wrap_up_seconds=wrap_up_seconds)})
    for who in agents:
        desk.take(AgentSignedIn(agent=who, capacity={"messaging": slots}))
        desk.passes(seconds=1)
    return desk


def holders(desk: Driver[DispatchState]) -> dict[str, str]:
    """Return who has what, as dispatch sees it."""
    return {name: held.agent for name, held in desk.state.assigned.items()}


def test_order_takes_a_slot_until_the_work_is_finished() -> None:
    """What waits goes out when the slot is free again."""
    desk = staffed("ana")
    assert desk.take(taken(1)) == []
    assert desk.take(taken(1)) == []
    assert names(desk.take(offered(2))) == ["queue.position_changed"]
    assert only(desk.take(finished(1)), AssignmentMade).conversation_id == "2/1"


def test_order_counts_beyond_the_capacity() -> None:
    """A person decided so; nothing more is given out before there is room again."""
    desk = staffed("ana", slots=2)
    for number in (1, 2, 3):
        assert desk.take(taken(number)) == []
    desk.take(offered(4))
    assert names(desk.take(finished(1))) == []
    assert only(desk.take(finished(2)), AssignmentMade).agent == "ana"


def test_order_takes_a_slot_of_its_channel_class_only() -> None:
    """A live conversation leaves the slots for messages free, also where it waited as something else."""
    desk = staffed("ana")
    desk.take(taken(1, channel_class="live"))
    assert only(desk.take(offered(2)), AssignmentMade).agent == "ana"
    desk.take(taken(2, channel_class="live"))
    assert only(desk.take(offered(3)), AssignmentMade).agent == "ana"


def test_order_takes_work_out_of_the_queue() -> None:
    """The others move up."""
    desk = pool()
    desk.take(offered(1))
    desk.take(offered(2))
    place = only(desk.take(taken(1)), QueuePositionChanged)
    assert (place.conversation_id, place.position) == ("2/1", 1)
    assert holders(desk) == {"1/1": "ana"}


def test_order_moves_work_from_the_agent_whom_dispatch_gave_it_to() -> None:
    """Their slot is free at once, and the end of the first one's part changes nothing any more."""
    desk = staffed("ana", "ben")
    desk.take(offered(1))
    assert holders(desk) == {"1/1": "ana"}
    desk.take(taken(1, "ben"))
    assert desk.take(finished(1, "ana")) == []
    assert holders(desk) == {"1/1": "ben"}
    assert only(desk.take(offered(2)), AssignmentMade).agent == "ana"


def test_order_accepts_what_the_same_agent_was_offered() -> None:
    """It does not lapse."""
    desk = staffed("ana", "ben", accept_seconds=20)
    desk.take(offered(1))
    desk.take(taken(1, "ana"))
    assert desk.passes(hours=1) == []


@pytest.mark.parametrize("who", ["ana", "mia", "nobody"], ids=["signed out", "of another pool", "unknown"])
def test_order_to_somebody_who_is_not_there_counts_too(who: str) -> None:
    """They are remembered as long as they have it, and its end frees what it took."""
    desk = pool()
    desk.take(taken(1, who))
    assert holders(desk) == {"1/1": who}
    assert not desk.state.agents[who].signed_in
    desk.take(finished(1, who))
    assert desk.state.agents == {}


def test_agent_finds_what_they_were_ordered_to_do_when_they_sign_in() -> None:
    """The slot is taken from the first moment, and stays so when they go."""
    desk = pool()
    desk.take(taken(1))
    desk.take(offered(2))
    assert desk.take(AgentSignedIn(agent="ana", capacity={"messaging": 1})) == []
    desk.take(AgentSignedOut(agent="ana"))
    assert holders(desk) == {"1/1": "ana"}


def test_end_of_ordered_work_is_wrapped_up_like_any_other() -> None:
    """The slot is free after the pool's time."""
    desk = staffed("ana", wrap_up_seconds=30)
    desk.take(taken(1))
    desk.take(offered(2))
    assert desk.take(finished(1)) == []
    assert only(desk.passes(seconds=30), AssignmentMade).agent == "ana"


def test_order_makes_an_agent_the_last_who_is_idle() -> None:
    """Once: hearing of it again changes nothing."""
    desk = staffed("ana", "ben", slots=3)
    desk.take(taken(1, "ana"))
    desk.passes(seconds=1)
    before = desk.state
    desk.take(taken(1, "ana"))
    assert desk.state == before
    desk.take(finished(1))
    assert only(desk.take(offered(2)), AssignmentMade).agent == "ben"


def test_order_that_was_replayed_after_its_end_counts_for_nothing() -> None:
    """A dead letter comes late; a later order to the same conversation counts again."""
    desk = staffed("ana")
    desk.take(finished(1), seq=9)
    desk.take(taken(1), seq=7)
    assert desk.state.assigned == {}
    desk.take(taken(1), seq=11)
    assert holders(desk) == {"1/1": "ana"}
    assert desk.state.finished_early == {}


def test_ends_that_came_early_are_bounded() -> None:
    """The oldest is forgotten."""
    desk = staffed("ana")
    for number in range(FINISHED_EARLY_MAX + 3):
        desk.take(finished(number), seq=number + 1)
    assert len(desk.state.finished_early) == FINISHED_EARLY_MAX
