"""The bot of the example contact centre, as the demo plays it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.bot.app import ConfiguredStaff, build_reducer
from services.bot.state import BotState
from shared.contact_centre.loader import load_contact_centre
from shared.engine.reducer import Reducer
from tests.services.bot.bot_driver import Driver, hand_off_in, kinds, options, said

CENTRE = load_contact_centre(Path(__file__).parents[3] / "config")
ACCOUNTS = dict(zip(("sales", "support", "billing", "press"), (name.partition(":")[2] for name in CENTRE.accounts), strict=True))
SUNDAY_NIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)


def conversation(language: str, department: str, *, now: datetime = SUNDAY_NIGHT) -> Driver:
    """Return a conversation on the department's number, owned by the bot."""
    driver = Driver(CENTRE, bot=build_reducer(CENTRE))
    driver.now = now
    driver.channel = "whatsapp"
    return driver.begins(language=language, account=ACCOUNTS[department], department=department)


def test_a_portuguese_question_is_answered_in_portuguese() -> None:
    """One reply: greeting, disclosure, answer."""
    commands = conversation("pt", "sales").writes("Olá, qual é o prazo de entrega?")
    assert kinds(commands) == ["reply"]
    assert said(commands) == (
        "Olá! Bem-vindo à Example Store.\n\nSou um assistente automático; escreva “atendente” para falar com uma pessoa.\n\n"
        "A entrega demora de 3 a 5 dias úteis. Você recebe o código de rastreio quando o pedido sai do armazém."
    )


@pytest.mark.parametrize(
    ("language", "department", "text", "connecting"),
    [
        ("zh", "sales", "你好，我想找人工客服", "正在为您转接会说中文的客服人员。"),
        ("lv", "support", "Labdien, gribu runāt ar cilvēku", "Savienoju Jūs ar darbinieku, kurš atbildēs latviski."),
        ("is", "billing", "Góðan dag, ég vil tala við manneskju", "Ég gef þér samband við starfsmann sem svarar á íslensku."),
    ],
)
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_who_asks_for_a_person_is_connected_at_any_hour(language: str, department: str, text: str, connecting: str, hour: int) -> None:
    """In the customer's language, to the department of the number."""
    commands = conversation(language, department, now=SUNDAY_NIGHT + timedelta(hours=hour)).writes(text)
    assert kinds(commands) == ["reply", "hand_off"]
    assert said(commands).endswith(connecting)
    assert (hand_off_in(commands).department, hand_off_in(commands).language) == (department, language)


@pytest.mark.parametrize(
    ("department", "ending"),
    [
        ("sales", "Volvemos el lunes a las 10:00 (hora de Riga) y le responderemos aquí."),
        ("support", "Volvemos el martes a las 14:00 (hora de Reykjavik) y le responderemos aquí."),
        ("billing", "Ahora mismo no hay nadie disponible en español. Le responderemos aquí lo antes posible."),
    ],
)
def test_spanish_speakers_hear_when_somebody_is_back(department: str, ending: str) -> None:
    """On Sunday night both desks are away, and billing has none; the conversation is handed over all the same."""
    commands = conversation("es", department).writes("Quiero hablar con una persona")
    assert kinds(commands) == ["reply", "hand_off"]
    assert said(commands).endswith(ending)


def test_a_greeting_brings_the_menu() -> None:
    """Three options, which fit buttons."""
    commands = conversation("lv", "support").writes("Labdien!")
    assert options(commands) == ["Mans pasūtījums", "Jautājums", "Cilvēks"]


@pytest.mark.parametrize(("department", "target"), [("sales", "support"), ("support", "support"), ("billing", "billing")])
def test_an_order_goes_to_support_or_stays_with_billing(department: str, target: str) -> None:
    """The bot asks for the number, marks the conversation and hands over."""
    driver = conversation("en", department)
    driver.writes("hello")
    assert said(driver.taps("welcome/order")) == "What is the order number?"
    commands = driver.writes("A-1234")
    assert kinds(commands) == ["set_attribute", "tag", "set_attribute", "reply", "hand_off"]
    assert hand_off_in(commands).department == target
    assert "order_number: A-1234" in (hand_off_in(commands).summary or "")


def test_the_press_is_asked_for_its_medium() -> None:
    """Then people of the press office take over."""
    driver = conversation("en", "press")
    assert said(driver.writes("hello")).endswith("Which medium do you write for?")
    commands = driver.writes("The Morning Paper")
    assert hand_off_in(commands).department == "press"


def test_goodbye_closes_in_the_customers_language() -> None:
    """With thanks."""
    driver = conversation("is", "sales")
    driver.writes("hvenær opnið þið")
    commands = driver.writes("Takk fyrir, bless!")
    assert said(commands) == "Takk fyrir að hafa samband. Bless!"
    assert kinds(commands) == ["reply", "close"]


def test_the_staff_knows_who_is_there() -> None:
    """By department and language; a department without anybody has no return."""
    staff = ConfiguredStaff(CENTRE)
    assert staff(department="sales", language="zh", at=SUNDAY_NIGHT).staffed
    assert staff(department="billing", language="es", at=SUNDAY_NIGHT) == (False, None, "")


def test_the_bot_is_a_reducer() -> None:
    """It has the shape that the engine runs."""
    bot: Reducer[BotState] = build_reducer(CENTRE)
    assert bot.state is BotState
