"""Who gets which conversation, on the whole house: capacity, urgency, acquaintance, acceptance and orders."""

from __future__ import annotations

from datetime import timedelta

from shared.events.commands import Assign, Close, HandOff, Reopen, SetPriority, Transfer
from shared.events.conversations import ConversationOpened, OwnerChanged
from shared.events.shapes import Author, AuthorKind
from shared.events.work import AgentSignedIn, AssignmentLapsed, AssignmentMade, QueuePositionChanged, WorkAccepted
from shared.ids import thread_id
from shared.topics import AGENTS, COMMANDS
from tests.flow.house import SUPPORT, House, open_house

SUPERVISOR = Author(kind=AuthorKind.INTEGRATION, id="supervisor")
POOL = "customers"
RIGA_1, RIGA_2 = "agent.riga_1", "agent.riga_2"
ASKS = "Labdien, es vēlos runāt ar cilvēku, lūdzu"
"""Latvian, support: both Riga desks of the day can take it."""
REDUCERS = ("conversation", "dispatch", "bot", "sla", "outbound")


def phone(number: int) -> str:
    """Return the phone of the customer with this number."""
    return f"371210000{number:02}"


async def sign_in(house: House, agent: str, slots: int) -> None:
    """Let an agent of the customers' pool sign in with so many slots."""
    await house.publish(AGENTS, POOL, AgentSignedIn(agent=agent, capacity={"messaging": slots}))


async def ask(house: House, number: int, words: str = ASKS) -> str:
    """Let one customer write; return the thread."""
    return await house.customer_writes(words, phone=phone(number))


async def ask_at_once(house: House, numbers: range) -> list[str]:
    """Let many customers ask for a person in one webhook; return their threads."""
    moment = str(int(house.clock.now().timestamp()))
    contacts = [{"profile": {"name": "A customer"}, "wa_id": phone(number)} for number in numbers]
    messages = [
        {"from": phone(number), "id": f"wamid.burst{number}", "timestamp": moment, "type": "text", "text": {"body": ASKS}}
        for number in numbers
    ]
    await house.webhook(SUPPORT, {"contacts": contacts, "messages": messages})
    return [thread_id("whatsapp", SUPPORT, phone(number)) for number in numbers]


async def accept(house: House, made: AssignmentMade) -> None:
    """Let the agent accept what they were offered."""
    await house.publish(AGENTS, POOL, WorkAccepted(agent=made.agent, conversation_id=made.conversation_id))


async def close(house: House, thread: str) -> None:
    """End a conversation."""
    await house.publish(COMMANDS, thread, Close(author=SUPERVISOR, reason="done"))


def owner(house: House, thread: str) -> str:
    """Return who has a conversation now."""
    return house.facts(OwnerChanged, thread)[-1].to


def taker(house: House, thread: str) -> str:
    """Return the agent whom dispatch gave the thread's conversation to last."""
    return house.facts(AssignmentMade, thread)[-1].agent


async def test_burst_of_customers_is_given_out_to_the_capacity_and_the_rest_waits_in_places() -> None:
    """Ten ask in one webhook, one desk has three slots: seven wait, in places one to seven, each hearing theirs."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 3)
        threads = await ask_at_once(house, range(10))
        assert len(house.facts(ConversationOpened)) == 10
        assert [made.agent for made in house.facts(AssignmentMade)] == [RIGA_1] * 3
        waiting = [thread for thread in threads if owner(house, thread) == "queue"]
        assert sorted(house.facts(QueuePositionChanged, thread)[-1].position for thread in waiting) == list(range(1, 8))
        assert house.shell.dead_letters(REDUCERS) == []


async def test_freed_slot_pulls_the_most_urgent_at_once() -> None:
    """Priority first, then the promise that ends earliest; without a moment in between."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 1)
        threads = []
        for number in range(5):
            threads.append(await ask(house, number))
            await house.shell.advance(timedelta(seconds=1))
        first, second, third, fourth, raised = threads
        await accept(house, house.facts(AssignmentMade, first)[0])
        await house.publish(COMMANDS, raised, SetPriority(author=SUPERVISOR, priority=5))
        moment = house.clock.now()
        given = [first]
        for expected in (raised, second, third, fourth):
            await close(house, given[-1])
            assert owner(house, expected) == f"agent:{RIGA_1}"
            given.append(expected)
        assert house.clock.now() == moment
        assert len(house.facts(AssignmentMade)) == 5


async def test_returning_customer_gets_the_agent_they_know() -> None:
    """Also where that desk is the busier one."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 3)
        await sign_in(house, RIGA_2, 3)
        thread = await ask(house, 0)
        known = taker(house, thread)
        await accept(house, house.facts(AssignmentMade, thread)[0])
        await close(house, thread)
        other = await ask(house, 1)
        await house.publish(COMMANDS, other, Assign(author=SUPERVISOR, agent=known))
        await house.shell.advance(timedelta(hours=1))
        await ask(house, 0)
        assert len(house.facts(ConversationOpened, thread)) == 2
        made = house.facts(AssignmentMade, thread)[-1]
        assert (made.agent, "who answered this customer before" in made.explanation) == (known, True)


async def test_offer_that_is_not_accepted_in_time_goes_to_the_next_agent() -> None:
    """After the pool's sixty seconds, not before; the second desk has it then."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 3)
        await sign_in(house, RIGA_2, 3)
        thread = await ask(house, 0)
        first = taker(house, thread)
        await house.shell.advance(timedelta(seconds=59))
        assert house.facts(AssignmentLapsed, thread) == []
        await house.shell.advance(timedelta(seconds=1))
        (lapsed,) = house.facts(AssignmentLapsed, thread)
        assert (lapsed.agent, lapsed.reason) == (first, "not_accepted")
        assert {first, taker(house, thread)} == {RIGA_1, RIGA_2}
        assert owner(house, thread) == f"agent:{taker(house, thread)}"


async def test_conversation_that_a_supervisor_assigns_counts_as_load() -> None:
    """The desk is full with it: who asks next waits until it is closed."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 1)
        assigned = await ask(house, 0, "Labdien, kāds ir darba laiks?")
        await house.publish(COMMANDS, assigned, Assign(author=SUPERVISOR, agent=RIGA_1))
        thread = await ask(house, 1)
        assert owner(house, thread) == "queue"
        assert house.facts(QueuePositionChanged, thread)[-1].position == 1
        await close(house, assigned)
        assert owner(house, thread) == f"agent:{RIGA_1}"


async def test_orders_go_beyond_the_capacity_and_dispatch_does_not() -> None:
    """Two by order on one slot; what waits is given out when both are gone."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 1)
        ordered = [await ask(house, number, "Labdien, kāds ir darba laiks?") for number in range(2)]
        for thread in ordered:
            await house.publish(COMMANDS, thread, Assign(author=SUPERVISOR, agent=RIGA_1))
        waits = await ask(house, 2)
        await close(house, ordered[0])
        assert owner(house, waits) == "queue"
        await close(house, ordered[1])
        assert owner(house, waits) == f"agent:{RIGA_1}"


async def test_transfer_and_reopening_take_slots_like_an_assignment() -> None:
    """A colleague who gets a conversation passed on, and one who reopens their own, are full with it."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 1)
        passed_on = await ask(house, 0)
        await house.publish(COMMANDS, passed_on, Transfer(author=Author(kind=AuthorKind.AGENT, id=RIGA_1), agent=RIGA_2))
        await sign_in(house, RIGA_2, 1)
        second = await ask(house, 1)
        assert owner(house, second) == f"agent:{RIGA_1}"
        await close(house, second)
        await house.publish(COMMANDS, second, Reopen(author=Author(kind=AuthorKind.AGENT, id=RIGA_1)))
        third = await ask(house, 2)
        assert owner(house, third) == "queue"
        await close(house, passed_on)
        assert owner(house, third) == f"agent:{RIGA_2}"


async def test_assigned_conversation_that_goes_back_to_the_queue_frees_its_slot() -> None:
    """It waits for somebody else, and the desk takes the next customer."""
    async with open_house() as house:
        await sign_in(house, RIGA_1, 1)
        assigned = await ask(house, 0)
        waits = await ask(house, 1)
        assert owner(house, assigned) == f"agent:{RIGA_1}"
        await house.publish(COMMANDS, assigned, HandOff(author=SUPERVISOR, department="support"))
        assert owner(house, assigned) == "queue"
        assert owner(house, waits) == f"agent:{RIGA_1}"
        assert house.shell.dead_letters(REDUCERS) == []
