"""Who owns a conversation: hand-off, assignment by order, transfer, close, reopen, snooze."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.router.core.ownership import OFFER_AGAIN_SECONDS
from services.router.core.routing import SKILLS_MAX
from services.router.state import ConversationState
from shared.engine.reducer import TimerFired
from shared.events.commands import Assign, Close, Command, HandOff, Reopen, SetLanguage, SetPriority, Snooze, Transfer
from shared.events.conversations import (
    CommandRejected,
    ConversationClosed,
    ConversationReopened,
    ConversationUpdated,
    NoteAdded,
    OwnerChanged,
)
from shared.events.shapes import Author, AuthorKind, Customer
from shared.events.work import WorkFinished, WorkOffered, WorkTaken, WorkUrgencyChanged, WorkWithdrawn
from tests.services.router.router_kit import ANA, BEN, BOT, CRM, NOON, POOL, THREAD, Driver, message, names, only, thread

CONVERSATION = f"{THREAD}/1"


def opened(**changes: Any) -> Driver[ConversationState]:
    """Return a thread whose bot has its first conversation."""
    one = thread(**changes)
    one.take(message())
    return one


def taken(agent: str, channel_class: str = "messaging") -> WorkTaken:
    """Return what dispatch hears of an agent who has the first conversation by order."""
    return WorkTaken(conversation_id=CONVERSATION, thread=THREAD, agent=agent, channel_class=channel_class)


def rejection(published: list[Any]) -> tuple[str, str]:
    """Return reason and explanation of the rejection, which is all that was published."""
    assert names(published) == ["command.rejected"]
    return published[0].reason, published[0].explanation


def test_hand_off_puts_the_conversation_into_its_pool() -> None:
    """The queue owns it under the next epoch, and dispatch hears everything that an agent must be able to do."""
    one = opened()
    command = HandOff(author=BOT, epoch=1, department="support", language="lv", skill="warranty", priority=5, summary="Broken")
    published = one.take(command)
    assert [only(published, kind) for kind in (OwnerChanged, WorkOffered)] == [
        OwnerChanged(conversation_id=CONVERSATION, from_="bot", to="queue", epoch=2, reason="hand_off", summary="Broken"),
        WorkOffered(
            conversation_id=CONVERSATION,
            thread=THREAD,
            language="lv",
            department="support",
            skills=("warranty",),
            priority=5,
        ),
    ]
    assert [data.changes for data in published if isinstance(data, ConversationUpdated)] == [
        {"language": ("en", "lv"), "priority": (1, 5), "skills": ([], ["warranty"])},
        {"department": ("sales", "support")},
    ]
    assert one.routed()[-1] == ("work", POOL)


def test_hand_off_without_terms_keeps_what_is_known() -> None:
    """Department and language stay; nothing but the owner changes."""
    one = opened()
    assert names(one.take(HandOff(author=BOT))) == ["conversation.owner_changed", "work.offered"]
    assert names(opened().take(HandOff(author=BOT, language="en", priority=1))) == ["conversation.owner_changed", "work.offered"]


def test_second_hand_off_only_brings_the_offer_up_to_date() -> None:
    """The owner stays the queue: no epoch passes; in another pool the first offer is withdrawn."""
    one = opened()
    one.take(HandOff(author=BOT, skill="warranty"))
    assert names(one.take(HandOff(author=CRM, skill="warranty"))) == ["work.offered"]
    published = one.take(HandOff(author=CRM, department="billing"))
    assert names(published) == ["work.withdrawn", "conversation.updated", "work.offered"]
    assert [key for topic, key in one.routed() if topic == "work"] == [POOL, "money"]
    assert one.state.epoch == 2


def test_hand_off_of_an_unconfigured_account_goes_to_the_first_department() -> None:
    """Nobody is lost because a number was taken out of the configuration; without departments the reason is given."""
    one = thread()
    one.take(message(account="9"))
    assert only(one.take(HandOff(author=BOT)), WorkOffered).department == "sales"
    two = thread(departments={})
    two.take(message(account="9"))
    assert rejection(two.take(HandOff(author=BOT)))[0] == "invalid"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (HandOff(author=BOT, department="press"), "no department press"),
        (HandOff(author=BOT, language="de"), "no language de"),
        (HandOff(author=BOT, skill=""), "1 to 64 characters"),
        (HandOff(author=BOT, priority=11), "0 (normal) to 10"),
        (Assign(author=ANA, agent="zoe"), "no agent zoe"),
        (Transfer(author=ANA, agent="zoe"), "no agent zoe"),
        (Transfer(author=ANA, department="press"), "no department press"),
        (Transfer(author=ANA, pool="press"), "no pool press"),
        (Transfer(author=ANA), "one of"),
        (Transfer(author=ANA, agent="ana", pool=POOL), "one of"),
        (Snooze(author=ANA), "until when"),
        (Snooze(author=ANA, until=NOON), "has passed"),
    ],
)
def test_command_that_makes_no_sense_is_explained(command: Command, words: str) -> None:
    """Nothing changes, and the author reads what to do instead."""
    one = opened()
    before = one.state
    reason, explanation = rejection(one.take(command))
    assert reason == "invalid"
    assert words in explanation
    assert one.state == before


EVERY = (
    HandOff(author=BOT, epoch=1),
    Assign(author=BOT, epoch=1, agent="ana"),
    Transfer(author=BOT, epoch=1, pool=POOL),
    Close(author=BOT, epoch=1),
    Snooze(author=BOT, epoch=1, until_reply=True),
    SetLanguage(author=BOT, epoch=1, language="pt"),
    SetPriority(author=BOT, epoch=1, priority=2),
)


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.NAME)
def test_commands_that_move_a_conversation_need_an_open_one_and_the_current_epoch(command: Command) -> None:
    """No conversation, closed, stale epoch, and a bot that owns nothing any more: each is refused with its reason."""
    one = thread()
    assert rejection(one.take(command))[0] == "no_conversation"
    assert one.saved is None
    one.take(message())
    one.take(Assign(author=ANA, agent="ana"))
    assert rejection(one.take(command))[0] == "stale_epoch"
    assert rejection(one.take(command.model_copy(update={"epoch": None})))[0] == "not_owner"
    one.take(Close(author=ANA))
    assert rejection(one.take(command))[0] == "closed"


def test_agent_takes_over_by_assigning_to_themselves() -> None:
    """The bot loses it, dispatch hears that a slot is taken, and doing it again changes nothing."""
    one = opened()
    published = one.take(Assign(author=ANA, agent="ana"))
    changed = OwnerChanged(conversation_id=CONVERSATION, from_="bot", to="agent:ana", epoch=2, reason="assign")
    assert published == [changed, taken("ana")]
    assert one.routed()[-1] == ("work", POOL)
    assert one.take(Assign(author=ANA, agent="ana")) == []


def test_assigning_what_waits_withdraws_it_from_dispatch() -> None:
    """Nobody else is given what an agent picked from the queue."""
    one = opened()
    one.take(HandOff(author=BOT))
    published = one.take(Assign(author=BEN, agent="ben"))
    assert published[0] == WorkWithdrawn(conversation_id=CONVERSATION, thread=THREAD)
    assert only(published, OwnerChanged).to == "agent:ben"
    assert published[-1] == taken("ben")


def test_order_counts_in_the_pool_of_the_agent_and_for_the_class_of_the_channel() -> None:
    """The first pool frees its slot, the other one counts it."""
    one = thread()
    one.take(message().model_copy(update={"channel": "shop"}))
    one.take(Assign(author=CRM, agent="ana"))
    published = one.take(Transfer(author=ANA, agent="mia"))
    assert [data for data in published if data.NAME.startswith("work")] == [
        WorkFinished(conversation_id=CONVERSATION, thread=THREAD, agent="ana"),
        taken("mia", "live"),
    ]
    assert [key for topic, key in one.routed() if topic == "work"] == [POOL, "money"]


def test_transfer_to_a_colleague_frees_the_first_agent() -> None:
    """Dispatch hears that the first one is done, and the note goes along."""
    one = opened()
    one.take(Assign(author=ANA, agent="ana"))
    published = one.take(Transfer(author=ANA, agent="ben", note="Knows him"))
    assert published == [
        WorkFinished(conversation_id=CONVERSATION, thread=THREAD, agent="ana"),
        OwnerChanged(conversation_id=CONVERSATION, from_="agent:ana", to="agent:ben", epoch=3, reason="transfer"),
        taken("ben"),
        NoteAdded(conversation_id=CONVERSATION, author=ANA, text="Knows him"),
    ]


def test_agent_who_passes_a_conversation_on_does_not_get_it_back() -> None:
    """The offer excludes them, also when it is repeated."""
    one = opened()
    one.take(Assign(author=ANA, agent="ana"))
    published = one.take(Transfer(author=ANA, department="support"))
    assert names(published) == ["work.finished", "conversation.updated", "conversation.owner_changed", "work.offered"]
    offer = only(published, WorkOffered)
    assert (offer.excluded_agents, offer.preferred_agent) == (("ana",), None)
    assert only(one.take(SetLanguage(author=CRM, language="pt")), WorkOffered).excluded_agents == ("ana",)


@pytest.mark.parametrize(("pool", "department"), [(POOL, "sales"), ("money", "billing"), ("spare", None)])
def test_transfer_to_a_pool_takes_a_department_that_it_serves(pool: str, department: str | None) -> None:
    """Its own where the pool serves it, else the pool's first, else any agent of the pool will do."""
    offer = only(opened().take(Transfer(author=CRM, pool=pool)), WorkOffered)
    assert offer.department == department


def test_close_ends_the_conversation_of_an_agent() -> None:
    """Dispatch frees the slot, nobody owns it, and who closed it is told."""
    one = opened()
    one.take(Assign(author=ANA, agent="ana"))
    assert one.take(Close(author=ANA, reason="done", resolved=False)) == [
        WorkFinished(conversation_id=CONVERSATION, thread=THREAD, agent="ana"),
        OwnerChanged(conversation_id=CONVERSATION, from_="agent:ana", to="nobody", epoch=3, reason="closed"),
        ConversationClosed(conversation_id=CONVERSATION, reason="done", by=ANA, resolved=False),
    ]


def test_close_of_what_waits_withdraws_it() -> None:
    """Nobody is given a closed conversation, and nothing is offered later."""
    one = opened()
    one.take(HandOff(author=BOT))
    assert names(one.take(Close(author=CRM))) == ["work.withdrawn", "conversation.owner_changed", "conversation.closed"]
    assert one.reducer.due(one.state) is None


@pytest.mark.parametrize(
    ("hours", "department", "expected"),
    [(24, "sales", "ana"), (25, "sales", None), (1, "billing", None)],
    ids=["soon", "late", "other pool"],
)
def test_returning_customer_prefers_the_agent_they_know(hours: int, department: str, expected: str | None) -> None:
    """Within the pool's sticky hours since the agent let go, and only in that agent's pool."""
    one = opened()
    one.take(Assign(author=ANA, agent="ana"))
    one.passes(days=3)
    one.take(Close(author=ANA))
    one.passes(hours=hours)
    one.take(message(number=2))
    assert only(one.take(HandOff(author=BOT, department=department)), WorkOffered).preferred_agent == expected


@pytest.mark.parametrize(
    ("author", "owner", "told"),
    [(ANA, "agent:ana", [taken("ana")]), (CRM, "bot", []), (Author(kind=AuthorKind.AGENT, id="unknown"), "bot", [])],
    ids=["agent", "crm", "unknown"],
)
def test_reopened_conversation_goes_to_the_agent_who_reopens_it(author: Author, owner: str, told: list[WorkTaken]) -> None:
    """Anybody else's goes to the bot; the number of the conversation stays, and an agent's slot is taken."""
    one = opened()
    one.take(Close(author=BOT))
    reopened, changed, *rest = one.take(Reopen(author=author))
    assert rest == told
    assert reopened == ConversationReopened(
        conversation_id=CONVERSATION,
        channel="chat",
        account="1",
        customer=Customer(id="customer"),
        language="en",
        department="sales",
        priority=1,
    )
    assert (changed.to, changed.reason, one.state.is_open) == (owner, "reopened", True)


def test_reopen_is_refused_where_there_is_nothing_to_reopen() -> None:
    """No conversation, an open one, or an old epoch."""
    one = thread()
    assert rejection(one.take(Reopen(author=ANA)))[0] == "no_conversation"
    one.take(message())
    assert rejection(one.take(Reopen(author=ANA)))[0] == "open"
    one.take(Close(author=BOT))
    assert rejection(one.take(Reopen(author=ANA, epoch=1)))[0] == "stale_epoch"


def test_snooze_ends_at_its_moment() -> None:
    """The state is published at both ends, and snoozing again moves the moment only."""
    one = opened()
    until = NOON + timedelta(hours=1)
    assert only(one.take(Snooze(author=BOT, until=until)), ConversationUpdated).changes == {"state": ("open", "snoozed")}
    assert one.take(Snooze(author=BOT, until=until + timedelta(hours=1))) == []
    assert one.passes(minutes=119) == []
    assert only(one.passes(minutes=1), ConversationUpdated).changes == {"state": ("snoozed", "open")}


def test_snoozed_conversation_leaves_the_queue_meanwhile() -> None:
    """Dispatch forgets it while it sleeps and hears of it again afterwards."""
    one = opened()
    one.take(HandOff(author=BOT))
    assert names(one.take(Snooze(author=CRM, until=NOON + timedelta(hours=2)))) == ["work.withdrawn", "conversation.updated"]
    assert names(one.take(SetPriority(author=CRM, priority=3))) == ["conversation.updated"]
    assert only(one.passes(hours=2), WorkOffered).priority == 3


def test_snooze_until_the_customer_writes_has_no_moment() -> None:
    """A close ends it too."""
    one = opened()
    one.take(Snooze(author=BOT, until_reply=True))
    assert one.reducer.due(one.state) is None
    one.take(Close(author=BOT))
    assert not one.state.snoozed


@pytest.mark.parametrize("command", [HandOff(author=CRM), Assign(author=ANA, agent="ana"), Transfer(author=CRM, pool=POOL)])
def test_giving_a_snoozed_conversation_to_somebody_wakes_it(command: Command) -> None:
    """It is open before it changes hands, and nobody is offered what was asleep."""
    one = opened()
    one.take(HandOff(author=BOT))
    one.take(Snooze(author=CRM, until_reply=True))
    published = one.take(command)
    assert published[0].changes == {"state": ("snoozed", "open")}
    assert "work.withdrawn" not in names(published)


def test_conversation_that_waits_long_is_offered_again() -> None:
    """A pool that lost it, or was full, hears of it again; one that does not wait is not offered."""
    one = opened()
    one.take(HandOff(author=BOT))
    assert names(one.passes(seconds=2 * OFFER_AGAIN_SECONDS)) == ["work.offered", "work.offered"]
    one.take(Assign(author=ANA, agent="ana"))
    assert one.passes(days=1) == []


def test_both_timers_of_a_conversation_are_kept() -> None:
    """The earlier of snooze and offer is due; a stray timer changes nothing."""
    both = ConversationState(snoozed_until=NOON + timedelta(hours=1), offer_again_at=NOON)
    one = opened()
    assert one.reducer.due(both) == NOON
    before = one.state
    assert one.take(TimerFired(due_at=NOON)) == []
    assert one.state == before


def test_priority_of_what_waits_is_told_to_dispatch() -> None:
    """Elsewhere it is only published."""
    one = opened()
    assert names(one.take(SetPriority(author=BOT, priority=4))) == ["conversation.updated"]
    one.take(HandOff(author=BOT))
    assert only(one.take(SetPriority(author=CRM, priority=9)), WorkUrgencyChanged).priority == 9


def test_skills_of_one_conversation_are_bounded() -> None:
    """The oldest demands are forgotten."""
    one = opened()
    for number in range(SKILLS_MAX + 3):
        one.take(HandOff(author=CRM, skill=f"s{number}"))
    assert len(one.state.skills) == SKILLS_MAX


def test_rejection_names_command_and_author() -> None:
    """A desk can show it to whoever asked."""
    published = thread().take(Close(author=ANA))
    assert published == [
        CommandRejected(
            command="close",
            author=ANA,
            reason="no_conversation",
            explanation="This customer has not written yet: there is no conversation.",
        )
    ]
