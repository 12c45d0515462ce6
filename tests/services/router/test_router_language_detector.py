"""The adapter round py3langid: bounded, calm about short texts, helped by scripts and greetings."""

from __future__ import annotations

import pytest

from services.router.core.languages import CONFIDENCE_CERTAIN, CONFIDENCE_MIN
from services.router.core.rules import Detect
from services.router.greetings import GREETINGS
from services.router.language import SCRIPTS, TEXT_CHARACTERS_MAX, WRITTEN_IN, LanguageDetector, build_detector

SIX = ("pt", "zh", "lv", "is", "en", "es")


@pytest.fixture(scope="module")
def detect() -> Detect:
    """Return the detector of six languages, with the real model."""
    return build_detector(SIX)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Quero falar com uma pessoa", "pt"),
        ("quando abre a loja em Lisboa?", "pt"),
        ("我想和人说话", "zh"),
        ("请问 order 553 在哪里？谢谢", "zh"),
        ("Es gribu runāt ar cilvēku", "lv"),
        ("Ég vil tala við manneskju", "is"),
        ("I want to talk to a person", "en"),
        ("quiero hablar con una persona", "es"),
        ("QUIERO HABLAR CON UNA PERSONA", "es"),
    ],
)
def test_sentence_is_certain(detect: Detect, text: str, language: str) -> None:
    """A sentence of each language settles it."""
    found = detect(text)
    assert found is not None
    assert found[0] == language
    assert found[1] >= CONFIDENCE_CERTAIN


@pytest.mark.parametrize(
    ("text", "language"),
    [("Labdien!", "lv"), ("Sveiki", "lv"), ("bom dia", "pt"), ("Olá, Maria", "pt"), ("Hæ", "is"), ("hola amigo", "es"), ("Hi 👋", "en")],
)
def test_greeting_is_a_good_guess_and_settles_nothing(detect: Detect, text: str, language: str) -> None:
    """A word or two that only one of the languages says, alone or with a name."""
    found = detect(text)
    assert found is not None
    assert found[0] == language
    assert CONFIDENCE_MIN <= found[1] < CONFIDENCE_CERTAIN


def test_han_script_is_chinese_however_short(detect: Detect) -> None:
    """Where one configured language is written in a script, two letters of it are certain."""
    assert detect("你好") == ("zh", 0.99)


@pytest.mark.parametrize("text", ["", "   ", "12345", "👍👍", "???", "https://example.org/quero-falar", "someone@example.org"])
def test_text_without_words_tells_nothing(detect: Detect, text: str) -> None:
    """Numbers, pictures and addresses are no language."""
    assert detect(text) is None


@pytest.mark.parametrize("text", ["ok", "já", "no", "PT", "si", "vai"])
def test_short_word_is_never_certain(detect: Detect, text: str) -> None:
    """Languages share short words."""
    found = detect(text)
    assert found is None or found[1] < CONFIDENCE_CERTAIN


def test_answer_depends_on_the_text_alone(detect: Detect) -> None:
    """Asked again, after other texts, it says the same: a replayed decision is the same decision."""
    texts = ["Es gribu runāt ar cilvēku", "hola", "I want to talk to a person", "halló"]
    assert [detect(text) for text in texts] == [detect(text) for text in texts]


def test_long_text_is_cut(detect: Detect) -> None:
    """What follows the first part changes nothing."""
    text = ("Es gribu runāt ar cilvēku. " * 40)[:TEXT_CHARACTERS_MAX]
    assert detect(text) == detect(text + " I want to talk to a person" * 40)


def test_region_of_a_configured_language_is_kept() -> None:
    """The answer is the configured tag, the first of its language."""
    assert build_detector(("en", "pt-BR", "pt-PT"))("Quero falar com uma pessoa") == pytest.approx(("pt-BR", 1.0), abs=0.01)


def test_languages_that_the_model_does_not_know_have_scripts_and_greetings() -> None:
    """The model is not asked, and nothing is invented."""
    unknown = build_detector(("xx", "yy"))
    assert unknown("I want to talk to a person") is None
    assert LanguageDetector(("de", "xx"), None)("Guten Tag") == ("de", 0.8)


@pytest.mark.parametrize(
    ("languages", "text", "expected"),
    [
        (("ja", "zh"), "これは本です", "ja"),
        (("ja", "en"), "日本", "ja"),
        (("el", "ru"), "Καλημέρα", "el"),
        (("ru", "en"), "Привет", "ru"),
        (("ru", "uk"), "Привет", None),
        (("en", "es"), "Привет", None),
    ],
)
def test_script_decides_where_one_language_uses_it(languages: tuple[str, ...], text: str, expected: str | None) -> None:
    """Kana among Han is Japanese; a script that two of the languages share, or none, tells nothing."""
    found = LanguageDetector(languages, None)(text)
    assert found == (None if expected is None else (expected, 0.99))


def test_greeting_that_two_languages_share_tells_nothing() -> None:
    """Only the words of the configured languages are compared."""
    assert LanguageDetector(("sv", "da"), None)("hej") is None
    assert LanguageDetector(("sv", "en"), None)("hej") == ("sv", 0.8)


def test_tables_fit_together() -> None:
    """Every script has languages, blocks are in order, greetings are in lower case."""
    assert [name for name, _, _ in SCRIPTS] == list(WRITTEN_IN)
    assert all(first < last for _, first, last in SCRIPTS)
    assert [first for _, first, _ in SCRIPTS] == sorted(first for _, first, _ in SCRIPTS)
    assert all(word == word.casefold() for words in GREETINGS.values() for word in words)
