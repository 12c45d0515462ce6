"""The scenes of the day: what each customer does, and what must follow. Every one waits for facts on the topics, none for time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from devstack.demo.day import Day, SceneFailedError
from devstack.demo.desk import author
from shared.events.commands import Assign, Reply
from shared.events.conversations import MessageAppended, OwnerChanged, ReplyRejected
from shared.events.deliveries import MessageDelivered, MessageRead, SendAccepted
from shared.events.rejected import WebhookRejected
from shared.events.sends import SendRequested, SendWithheld
from shared.events.shapes import Author, AuthorKind, Text, text_of
from shared.events.sla import ClockStarted, WindowClosed, WindowClosing
from shared.events.work import AssignmentMade, QueuePositionChanged
from shared.topics import COMMANDS

WINDOW_SECONDS = 24 * 3600
WINDOW_LEFT_SECONDS = 38
"""What is left of the window in the scenes about it: the safety margin and some seconds, in which the bot answers; less than patience."""
SUPERVISOR = Author(kind=AuthorKind.INTEGRATION, id="supervisor", name="Supervisor")


@dataclass(frozen=True, slots=True)
class Plan:
    """A scene's title and its play; the play returns what there was to see."""

    title: str
    play: Callable[[Day], Awaitable[str]]


async def faq_in_portuguese(day: Day) -> str:
    """A question that the FAQ answers."""
    thread = await day.customer("Lisbon", "+351912000001", "support")
    await day.writes("Lisbon", "support", "Bom dia, qual é o horário de funcionamento?")
    send = await day.until_event(thread, SendRequested)
    await day.until_event(thread, MessageRead)
    row = day.board.rows[thread]
    if row.language != "pt" or row.owner != "bot" or "9h às 18h" not in (text_of(send.content) or ""):
        raise SceneFailedError(f"the bot should have answered in Portuguese; language {row.language}, owner {row.owner}")
    return "the bot answered from the FAQ in Portuguese; delivered and read came back"


def person_in(language: str, name: str, phone: str, department: str, words: str) -> Callable[[Day], Awaitable[str]]:
    """Return the scene of a customer who asks for a person and gets one who speaks the language."""

    async def play(day: Day) -> str:
        thread = await day.customer(name, phone, department)
        await day.writes(name, department, words)
        assigned = await day.until_event(thread, AssignmentMade)
        agent = day.stack.centre.agents[assigned.agent]
        if language not in agent.languages or department not in agent.departments or not day.staffing.on_shift(assigned.agent, day.now()):
            raise SceneFailedError(f"{assigned.agent} does not fit: {language}, {department}, on shift now")
        await day.until_event(thread, SendRequested, where=lambda send: send.lane == "answer")
        await day.until(
            f"the agent's answer read by {name}",
            lambda: len({event.data.message_id for event in day.board.of_thread(thread, MessageRead)}) >= 2,  # noqa: PLR2004 # bot and agent
        )
        return f"{agent.name} answered ({assigned.explanation})"

    return play


async def nobody_on_shift(day: Day) -> str:
    """A language that nobody on shift speaks: an away message, and the queue with its clock running."""
    department = next(name for name in ("support", "sales") if not day.staffing.agents_on_shift(day.now(), department=name, language="es"))
    thread = await day.customer("Madrid", "+34612000005", department)
    await day.writes("Madrid", department, "Hola, quiero hablar con una persona del equipo, por favor")
    send = await day.until_event(thread, SendRequested)
    await day.until_event(thread, OwnerChanged, where=lambda change: change.to == "queue")
    await day.until_event(thread, QueuePositionChanged)
    clock = await day.until_event(thread, ClockStarted)
    row = day.board.rows[thread]
    if row.owner != "queue" or "no hay nadie" not in (text_of(send.content) or ""):
        raise SceneFailedError(f"expected an away message in Spanish and the queue; owner {row.owner}, language {row.language}")
    return f"away message in Spanish from {department}; waits in the queue, {clock.clock.replace('_', ' ')} due {clock.due_at:%H:%M} UTC"


async def _old_window(day: Day, name: str, *, phone: str, department: str, words: str, agent: str) -> tuple[str, str]:
    """Let a customer's message be 23 h 59 min old, give it to `agent`, wait until the window has closed, and answer late."""
    thread = await day.customer(name, phone, department)
    day.held.add(thread)
    await day.writes(name, department, words, ago_seconds=WINDOW_SECONDS - WINDOW_LEFT_SECONDS)
    await day.until_event(thread, MessageAppended)
    await day.publish(COMMANDS, thread, Assign(author=SUPERVISOR, agent=agent))
    owner = await day.until_event(thread, OwnerChanged, where=lambda change: change.to == f"agent:{agent}")
    await day.until_event(thread, WindowClosing)
    await day.until_event(thread, WindowClosed)
    reply_id = f"desk/late/{thread}"
    await day.publish(
        COMMANDS,
        thread,
        Reply(author=author(day, agent), epoch=owner.epoch, reply_id=reply_id, content=Text(text="Here is the answer you waited for.")),
    )
    return thread, reply_id


async def window_closes(day: Day) -> str:
    """The window closes before the agent answers: the template goes out instead.

    It asks once. Where the bot's own answer was late as well (its service was killed), that may be the one in whose place it went.
    """
    thread, reply_id = await _old_window(
        day, "Porto", phone="+351912000006", department="billing", words="A fatura deste mês está errada", agent="agent.riga_2"
    )
    send = await day.until_event(thread, SendRequested, where=lambda send: send.permission == "template")
    await day.until_event(thread, SendAccepted, where=lambda accepted: accepted.send_id == send.send_id)
    await day.until_event(thread, MessageDelivered)
    if not send.content.language.startswith("pt"):
        raise SceneFailedError(f"expected the template in Portuguese, got {send.content.language}")
    template = f"template {send.content.name} ({send.content.language})"
    if send.reply_id == reply_id:
        return f"warned, closed; the late answer went out as {template}"
    withheld = await day.until_event(thread, SendWithheld, where=lambda one: one.reply_id == reply_id)
    return f"warned, closed; the bot was late too and its answer went out as {template}; the agent's was withheld ({withheld.reason})"


async def window_closes_without_template(day: Day) -> str:
    """The same on the press number, which has no template: withheld, and the author is told why."""
    thread, reply_id = await _old_window(
        day, "Riga", phone="+37121000007", department="press", words="Vai jūs varat komentēt jaunumus?", agent="agent.press_1"
    )
    withheld = await day.until_event(thread, SendWithheld, where=lambda one: one.reply_id == reply_id)
    return f"withheld ({withheld.reason}): {withheld.explanation}"


async def redelivered_three_times(day: Day) -> str:
    """The provider posts the same webhook three times."""
    thread = await day.customer("Faro", "+351912000008", "sales")
    await day.writes("Faro", "sales", "Quanto custa a entrega?", copies=3, wait="acknowledged")
    await day.until_event(thread, MessageRead)
    count = len(day.board.of_thread(thread, MessageAppended))
    if count != 2:  # noqa: PLR2004 # the question and its answer
        raise SceneFailedError(f"one question and one answer expected, {count} messages appended")
    return "posted three times, appended once, answered once"


async def several_in_one_post(day: Day) -> str:
    """Three customers and one malformed item in one POST: the neighbours pass, the item is quarantined."""
    account = day.account_of("support")
    names = ("Braga", "Coimbra", "Évora")
    threads = [await day.customer(name, f"+35191200010{index}", "support") for index, name in enumerate(names)]
    items = [{"type": "message", "customer": name, "phone_number_id": account, "content": "Qual é o prazo de entrega?"} for name in names]
    malformed = {"type": "raw", "phone_number_id": account, "payload": {"id": ["not", "an", "id"], "type": 7}}
    await day.emulator.webhook([items[0], malformed, *items[1:]])
    for thread in threads:
        await day.until_event(thread, SendAccepted)
    rejected = await day.until(
        "the malformed item in quarantine",
        lambda: [event.data for event in day.board.events(WebhookRejected) if event.data.reason in {"unparseable", "unknown_kind"}],
    )
    return f"three answered from one POST; the malformed one is on `rejected`: {rejected[0].explanation}"


async def statuses_before_the_answer(day: Day) -> str:
    """The channel reports delivery before it has answered the send call."""
    thread = await day.customer("Setúbal", "+351912000011", "sales")
    await day.emulator.fault("early_statuses", customer="Setúbal", count=1)
    await day.writes("Setúbal", "sales", "Vocês abrem no sábado?")
    accepted = await day.until_event(thread, SendAccepted)
    await day.until_event(thread, MessageRead, where=lambda status: status.message_id == accepted.message_id)
    return "statuses came first; one send, one outcome"


async def bad_signature(day: Day) -> str:
    """A webhook that somebody else signed."""
    thread = await day.customer("Nobody", "+351912000012", "sales")
    answer = await day.emulator.webhook(
        [{"type": "message", "customer": "Nobody", "phone_number_id": day.account_of("sales"), "content": "forged"}], signature="bad"
    )
    status = answer["webhooks"][0]["http_status"]
    if status != HTTPStatus.UNAUTHORIZED:
        raise SceneFailedError(f"a bad signature was answered {status}")
    if day.board.of_thread(thread, MessageAppended):
        raise SceneFailedError("a webhook with a bad signature was taken in")
    return "answered 401, nothing on the topics"


async def unknown_number(day: Day) -> str:
    """A webhook for a number that is not ours."""
    await day.customer("Stranger", "+351912000013", "sales")
    await day.emulator.webhook([{"type": "message", "customer": "Stranger", "phone_number_id": "199999999999999", "content": "?"}])
    rejected = await day.until(
        "the unknown number in quarantine",
        lambda: [event.data for event in day.board.events(WebhookRejected) if event.data.reason == "unknown_account"],
    )
    return f"answered 200, on `rejected`: {rejected[0].explanation}"


async def late_bot(day: Day) -> str:
    """A bot's reply that was written before the hand-off and arrives after it."""
    thread = await day.customer("Jelgava", "+37121000014", "sales")
    await day.writes("Jelgava", "sales", "Labdien, es gribu runāt ar cilvēku")
    handed = await day.until_event(thread, OwnerChanged, where=lambda change: change.from_ == "bot")
    late = Reply(
        author=Author(kind=AuthorKind.BOT, id="bot"),
        epoch=handed.epoch - 1,
        reply_id=f"late/{thread}",
        content=Text(text="Vēl viens jautājums?"),
    )
    await day.publish(COMMANDS, thread, late)
    rejected = await day.until_event(thread, ReplyRejected, where=lambda one: one.reply_id == late.reply_id)
    return f"rejected ({rejected.reason}): {rejected.explanation}"


SCENES: tuple[Plan, ...] = (
    Plan("Portuguese, answered by the FAQ", faq_in_portuguese),
    Plan("Chinese, asks for a person", person_in("zh", "Macau", "+85366000002", "sales", "你好，我想转人工客服，谢谢")),
    Plan("Latvian, asks for a person", person_in("lv", "Liepāja", "+37121000003", "support", "Labdien, es vēlos runāt ar cilvēku, lūdzu")),
    Plan(
        "Icelandic, asks for a person", person_in("is", "Akureyri", "+3546100004", "billing", "Góðan dag, ég vil tala við manneskju, takk")
    ),
    Plan("Spanish, nobody on shift", nobody_on_shift),
    Plan("The window closes before the answer", window_closes),
    Plan("… and there is no template", window_closes_without_template),
    Plan("The same webhook three times", redelivered_three_times),
    Plan("Several customers and a malformed item in one POST", several_in_one_post),
    Plan("Statuses before the send's answer", statuses_before_the_answer),
    Plan("A bad signature", bad_signature),
    Plan("A number that is not ours", unknown_number),
    Plan("A bot's reply after the hand-off", late_bot),
)
