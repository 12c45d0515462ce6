"""What the bot understands of the words of customers, with the example contact centre."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.bot.matching import QUESTION_CHARACTERS_MAX, Matcher, likeness, plain
from shared.contact_centre.loader import load_contact_centre

CENTRE = load_contact_centre(Path(__file__).parents[3] / "config")
MATCHER = Matcher(CENTRE)
RECEPTION = CENTRE.flows["reception"]
TITLES = {"order": "My order", "question": "A question", "person": "A person"}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("pt", "Qual é o prazo de entrega?", "delivery_time"),
        ("pt", "Bom dia! Vocês abrem no sábado?", "opening_hours"),
        ("pt-BR", "aceitam pix?", "payment_methods"),
        ("pt", "quanto custa o frete", "delivery_cost"),
        ("zh", "请问多久能送到？", "delivery_time"),
        ("zh", "怎么退货？", "returns"),
        ("zh", "可以刷卡吗", "payment_methods"),
        ("lv", "Kāds ir jūsu darba laiks?", "opening_hours"),
        ("lv", "kad pienaks mans pasutijums", "delivery_time"),
        ("is", "Hver er opnunartíminn ykkar?", "opening_hours"),
        ("is", "get ég borgað með korti?", "payment_methods"),
        ("en", "hi, when do you open tomorrow?", "opening_hours"),
        ("en", "how do I retrun a product", "returns"),
        ("es", "¿a que hora abren?", "opening_hours"),
        ("es", "quiero devolver un articulo", "returns"),
    ],
)
def test_a_question_is_found_in_the_customers_words(language: str, text: str, expected: str) -> None:
    """Without accents, with a slip, with a greeting before it: the nearest entry answers."""
    entry = MATCHER.faq(RECEPTION, language, text)
    assert entry is not None
    assert entry.id == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "hello"),
        ("en", "how"),
        ("en", "when"),
        ("en", "my order arrived broken"),
        ("en", "do you sell candles"),
        ("pt", "tenho um problema com o produto"),
        ("pt", "bom dia"),
        ("zh", "你好"),
        ("zh", "我的灯坏了"),
        ("lv", "man ir problēma ar preci"),
        ("is", "varan er biluð"),
        ("es", "quiero comprar una mesa"),
        ("xx", "what are your opening hours"),
        ("en", ""),
        ("en", "?!"),
        ("en", "what are your opening hours " * 20),
    ],
)
def test_what_no_entry_answers_is_left_to_people(language: str, text: str) -> None:
    """A wrong answer is worse than none: single words, other matters, languages without entries and long stories match nothing."""
    assert MATCHER.faq(RECEPTION, language, text) is None


def test_every_listed_question_finds_its_own_answer() -> None:
    """In all six languages."""
    for entry in CENTRE.faq:
        for language, questions in entry.questions.items():
            for question in questions:
                found = MATCHER.faq(RECEPTION, language, question.upper() + "?")
                assert found is not None
                assert found.id == entry.id, (language, question)


def test_an_entry_that_does_not_exist_answers_nothing() -> None:
    """The loader refuses such a reference; here it is passed over."""
    flow = RECEPTION.model_copy(update={"faq": ("gone", "warranty")})
    assert MATCHER.faq(flow, "en", "what are your opening hours") is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pt", "Quero falar com um atendente, por favor"),
        ("zh", "我要找真人客服"),
        ("zh", "请帮我转 人工"),
        ("lv", "Gribu runāt ar cilvēku"),
        ("lv", "vai varu runat ar operatoru"),
        ("is", "Ég vil tala við manneskju"),
        ("is", "get ég fengið að tala við fulltrúa?"),
        ("en", "can i speek to a person"),
        ("en", "AGENT!!!"),
        ("es", "necesito hablar con una persona"),
        ("zh", "agent please"),
    ],
)
def test_a_wish_for_a_person_is_heard(language: str, text: str) -> None:
    """In the customer's language, with slips and politeness around it, and in the fallback language."""
    assert MATCHER.wants_person(RECEPTION, language, text)


def test_a_wish_of_one_word_is_heard_whatever_language_the_word_seemed_to_be_in() -> None:
    """One word is too short to tell its language by: the phrase alone counts everywhere, within a sentence only in its language."""
    for phrases in RECEPTION.person_words.values():
        for phrase in phrases:
            assert MATCHER.wants_person(RECEPTION, "en", f"{phrase}!")
    spanish = RECEPTION.person_words["es"][0]
    assert not MATCHER.wants_person(RECEPTION, "en", f"the word {spanish} stands here")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pt", "Qual é o prazo de entrega?"),
        ("en", "hello there"),
        ("en", "agentic ai"),
        ("en", "two agents"),
        ("zh", "营业时间是几点"),
        ("lv", "Labdien"),
        ("en", ""),
    ],
)
def test_anything_else_is_no_wish_for_a_person(language: str, text: str) -> None:
    """Neither a question nor part of a longer word; a short word must be written exactly."""
    assert not MATCHER.wants_person(RECEPTION, language, text)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("pt", "Obrigado, tchau!", True),
        ("zh", "谢谢，再见", True),
        ("lv", "Paldies!", True),
        ("lv", "uz redzesanas", True),
        ("is", "takk fyrir, bless", True),
        ("en", "thanks, bye", True),
        ("es", "Muchas gracias", True),
        ("en", "thanks, but where is my order", False),
        ("zh", "谢谢，可以退货吗", False),
        ("en", "", False),
        ("en", "🙂", False),
    ],
)
def test_goodbye_is_goodbye_only_by_itself(language: str, text: str, expected: object) -> None:
    """Thanks before a question are not the end."""
    assert MATCHER.says_goodbye(RECEPTION, language, text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "order"),
        ("３.", "person"),
        ("0", None),
        ("4", None),
        ("123", None),
        ("my ordr", "order"),
        ("A QUESTION", "question"),
        ("where is my order", None),
        ("", None),
    ],
)
def test_an_option_is_chosen_by_number_or_title(text: str, expected: str | None) -> None:
    """Numbers count from 1, titles may hold a slip."""
    assert MATCHER.option(TITLES, text) == expected
    assert MATCHER.option({}, text) is None


def test_a_phrase_of_signs_is_not_heard_in_everything() -> None:
    """It has no words, so it stands in no message."""
    flow = RECEPTION.model_copy(update={"person_words": {"en": ("☎",)}, "goodbye_words": {"en": ("👋",)}})
    assert not MATCHER.wants_person(flow, "en", "hello")
    assert not MATCHER.says_goodbye(flow, "en", "hello")


def test_a_title_of_signs_is_not_chosen_by_silence() -> None:
    """Two texts without letters are not alike."""
    assert MATCHER.option({"up": "👍"}, "") is None


@settings(deadline=None)
@given(st.text(max_size=QUESTION_CHARACTERS_MAX * 4))
def test_any_text_can_be_read(text: str) -> None:
    """Whatever customers send, reading it raises nothing and gives the same twice; plain text stays as it is."""
    assert plain(plain(text)) == plain(text)
    for language in CENTRE.languages:
        first = (MATCHER.wants_person(RECEPTION, language, text), MATCHER.says_goodbye(RECEPTION, language, text))
        assert first == (MATCHER.wants_person(RECEPTION, language, text), MATCHER.says_goodbye(RECEPTION, language, text))
        assert MATCHER.faq(RECEPTION, language, text) == MATCHER.faq(RECEPTION, language, text)
        assert MATCHER.option(TITLES, text) in {None, *TITLES}


@given(st.text(alphabet="abc 开店", max_size=30), st.text(alphabet="abc 开店", min_size=1, max_size=30))
def test_likeness_is_between_none_and_all(said: str, question: str) -> None:
    """From 0 to 100, and 100 for the same."""
    assert 0 <= likeness(said, question) <= 100
    assert likeness(plain(question), plain(question)) == 100 or not plain(question)
