"""From a customer's message to the answer on the phone: the whole way, in simulated time."""

from __future__ import annotations

from datetime import timedelta

from shared.events.commands import Assign, Close, Reply
from shared.events.conversations import ConversationClosed, ConversationOpened, MessageAppended, OwnerChanged, ReplyRejected
from shared.events.deliveries import SendAccepted, SendRefused
from shared.events.sends import Permission, SendRequested, SendWithheld
from shared.events.shapes import Author, AuthorKind, Text
from shared.events.sla import ClockBreached, ClockMet, ClockStarted, ClockWarned, WindowClosed, WindowClosing, WindowOpened
from shared.events.work import AgentSignedIn, AssignmentMade, QueuePositionChanged, WorkAccepted
from shared.topics import AGENTS, COMMANDS
from tests.flow.house import PRESS, SALES, SUPPORT, House, open_house

SUPERVISOR = Author(kind=AuthorKind.INTEGRATION, id="supervisor")
RIGA = Author(kind=AuthorKind.AGENT, id="agent.riga_1")


async def hand_to_riga(house: House, *, account: str = SUPPORT) -> tuple[str, int]:
    """Let a Latvian customer ask for a person while the Riga desk is there; return thread and epoch."""
    await house.publish(AGENTS, "customers", AgentSignedIn(agent="agent.riga_1"))
    thread = await house.customer_writes("Labdien, es vēlos runāt ar cilvēku, lūdzu", phone="37121000001", account=account)
    (made,) = house.facts(AssignmentMade, thread)
    await house.publish(AGENTS, "customers", WorkAccepted(agent=made.agent, conversation_id=made.conversation_id))
    return thread, house.facts(OwnerChanged, thread)[-1].epoch


async def test_a_question_of_the_faq_is_answered_by_the_bot_in_the_customers_language() -> None:
    """One webhook in, one answer out, in Portuguese, within the window."""
    async with open_house() as house:
        thread = await house.customer_writes("Bom dia, qual é o horário de funcionamento?")
        (send,) = house.facts(SendRequested, thread)
        assert send.permission is Permission.FREE_FORM
        assert "das 9h às 18h" in house.sent_texts()[0]
        assert len(house.facts(SendAccepted, thread)) == 1
        assert house.facts(ConversationOpened, thread)[0].department == "support"


async def test_a_webhook_that_comes_three_times_has_one_effect() -> None:
    """The provider's redelivery appends nothing and sends nothing."""
    async with open_house() as house:
        for _ in range(3):
            thread = await house.customer_writes("Qual é o prazo de entrega?", message_id="wamid.same")
        assert len([one for one in house.facts(MessageAppended, thread) if one.direction == "in"]) == 1
        assert len(house.vendor.requests) == 1


async def test_who_asks_for_a_person_gets_one_who_speaks_the_language_and_the_bot_falls_silent() -> None:
    """Latvian, support, on shift: the Riga desk; a bot's reply of before the hand-off is rejected."""
    async with open_house() as house:
        thread, epoch = await hand_to_riga(house)
        late = Reply(author=Author(kind=AuthorKind.BOT, id="bot"), epoch=1, reply_id="late", content=Text(text="?"))
        await house.publish(COMMANDS, thread, late)
        (rejected,) = house.facts(ReplyRejected, thread)
        assert rejected.reason == "stale_epoch"
        sends = len(house.vendor.requests)
        await house.publish(COMMANDS, thread, Reply(author=RIGA, epoch=epoch, reply_id="1", content=Text(text="Labdien!")))
        assert house.sent_texts()[sends:] == ["Labdien!"]


async def test_nobody_on_shift_leaves_an_away_message_and_a_running_clock() -> None:
    """The conversation waits in the queue; the promise warns, and is broken, at its moments."""
    async with open_house() as house:
        thread = await house.customer_writes("Hola, quiero hablar con una persona", phone="34612000001", account=SUPPORT)
        assert "no hay nadie" in house.sent_texts()[0]
        assert house.facts(OwnerChanged, thread)[-1].to == "queue"
        assert house.facts(QueuePositionChanged, thread)[-1].position == 1
        (clock,) = house.facts(ClockStarted, thread)
        await house.shell.advance(timedelta(minutes=44))
        assert house.facts(ClockWarned, thread) == []
        await house.shell.advance(timedelta(minutes=2))
        assert len(house.facts(ClockWarned, thread)) == 1
        await house.shell.advance(timedelta(minutes=15))
        (breached,) = house.facts(ClockBreached, thread)
        assert breached.due_at == clock.due_at


async def test_an_agents_answer_keeps_the_promise() -> None:
    """The first response is met when the answer is on its way, and nothing warns afterwards."""
    async with open_house() as house:
        thread, epoch = await hand_to_riga(house)
        await house.publish(COMMANDS, thread, Reply(author=RIGA, epoch=epoch, reply_id="1", content=Text(text="Labdien!")))
        assert len(house.facts(ClockMet, thread)) == 1
        await house.shell.advance(timedelta(hours=3))
        assert house.facts(ClockWarned, thread) == []


async def test_the_window_warns_closes_and_the_late_answer_becomes_the_template() -> None:
    """A day without a word from the customer: only the approved template may go out, in the customer's language."""
    async with open_house() as house:
        thread, epoch = await hand_to_riga(house)
        await house.shell.advance(timedelta(hours=24, minutes=1))
        marks = [closing.mark for closing in house.facts(WindowClosing, thread)]
        assert len(marks) == len(house.centre.windows["whatsapp"].warn_before_minutes)
        assert len(house.facts(WindowClosed, thread)) == 1
        await house.publish(COMMANDS, thread, Reply(author=RIGA, epoch=epoch, reply_id="late", content=Text(text="Labdien!")))
        template = house.vendor.requests[-1]["template"]
        assert (template["name"], template["language"]["code"]) == ("come_back", "lv")


async def test_an_answer_that_no_template_may_carry_is_withheld_with_the_reason() -> None:
    """The press number has no template: nothing is sent, and the author reads why."""
    async with open_house() as house:
        thread = await house.customer_writes(
            "Vai jūs varat komentēt jaunumus?", phone="37121000009", account=PRESS, ago=timedelta(hours=24)
        )
        await house.publish(COMMANDS, thread, Assign(author=SUPERVISOR, agent="agent.press_1"))
        press = Author(kind=AuthorKind.AGENT, id="agent.press_1")
        epoch = house.facts(OwnerChanged, thread)[-1].epoch
        await house.publish(COMMANDS, thread, Reply(author=press, epoch=epoch, reply_id="late", content=Text(text="Jā")))
        withheld = [one for one in house.facts(SendWithheld, thread) if one.reply_id == "late"]
        assert withheld[0].reason == "window_closed_no_template"
        assert "lv" in withheld[0].explanation
        assert house.vendor.requests == []


async def test_a_channel_that_says_the_window_is_closed_is_believed() -> None:
    """131047 closes the window here, and the same answer goes out as the template."""
    async with open_house() as house:
        house.vendor.refuse_next(131047)
        thread = await house.customer_writes("Qual é o prazo de entrega?", account=SALES)
        assert house.facts(SendRefused, thread)[0].failure.class_ == "template_needed"
        assert house.facts(WindowClosed, thread)[0].reason == "refused_by_channel"
        assert house.sent_texts()[-1] == "come_back"


async def test_a_customer_at_the_pair_limit_waits_and_gets_the_answer() -> None:
    """131056 delays this customer only: the same message goes out later, once."""
    async with open_house() as house:
        house.vendor.refuse_next(131056)
        thread = await house.customer_writes("Qual é o prazo de entrega?")
        assert house.facts(SendAccepted, thread) == []
        await house.shell.advance(timedelta(minutes=2))
        assert len(house.facts(SendAccepted, thread)) == 1


async def test_statuses_never_open_a_window_and_never_count_as_messages() -> None:
    """What the channel reports about our messages is no act of the customer."""
    async with open_house() as house:
        thread = await house.customer_writes("Vocês abrem no sábado?")
        opened = len(house.facts(WindowOpened, thread))
        await house.vendor_reports("delivered", house.vendor.requests[0])
        await house.vendor_reports("read", house.vendor.requests[0])
        assert len(house.facts(WindowOpened, thread)) == opened
        assert len([one for one in house.facts(MessageAppended, thread) if one.direction == "in"]) == 1


async def test_a_closed_conversation_is_followed_by_a_new_one() -> None:
    """The customer writes again: another conversation, the bot in charge, places counted on."""
    async with open_house() as house:
        thread, epoch = await hand_to_riga(house)
        await house.publish(COMMANDS, thread, Close(author=RIGA, epoch=epoch, reason="done"))
        assert len(house.facts(ConversationClosed, thread)) == 1
        await house.shell.advance(timedelta(minutes=5))
        await house.customer_writes("Labdien, kāds ir darba laiks?", phone="37121000001")
        first, second = house.facts(ConversationOpened, thread)
        assert first.conversation_id != second.conversation_id
        positions = [one.position for one in house.facts(MessageAppended, thread)]
        assert positions == list(range(1, len(positions) + 1))


async def test_a_day_without_anybody_leaves_no_dead_letter() -> None:
    """Whatever the flows above wrote, every event was understood by whom it was for."""
    async with open_house() as house:
        thread, _ = await hand_to_riga(house)
        await house.shell.advance(timedelta(days=3))
        assert house.shell.dead_letters(["conversation", "dispatch", "bot", "sla", "outbound"]) == []
        assert house.facts(ConversationOpened, thread)
