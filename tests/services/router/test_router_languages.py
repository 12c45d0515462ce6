"""Which language and department a conversation gets: accounts, locales, texts, keywords, referrals."""

from __future__ import annotations

import pytest

from services.router.core.departments import KeywordIndex
from services.router.core.languages import bounded
from shared.contact_centre.models import Department
from shared.events.commands import Close
from shared.events.conversations import ConversationOpened, ConversationUpdated
from shared.events.shapes import Origin
from tests.services.router.router_kit import BOT, message, names, only, thread


def heard(text: str) -> tuple[str, float] | None:
    """Detect a language as the text asks: `lv 0.95`."""
    language, _, confidence = text.partition(" ")
    return (language, float(confidence)) if confidence else None


@pytest.mark.parametrize(
    ("text", "language", "certain"),
    [
        ("lv 0.95", "lv", True),
        ("lv 0.6", "lv", False),
        ("lv 0.4", "en", False),
        ("de 0.99", "en", False),
        ("hm", "en", False),
        ("", "en", False),
    ],
)
def test_first_text_decides_as_far_as_it_is_sure(text: str, language: str, *, certain: bool) -> None:
    """A good guess is taken, a sure one is settled, a poor one or an unconfigured language leaves the fall-back."""
    one = thread(detect=heard)
    assert only(one.take(message(text)), ConversationOpened).language == language
    assert one.state.language_certain is certain


def test_settled_language_stays() -> None:
    """Once a text was sure, later ones are not looked at."""
    one = thread(detect=heard)
    one.take(message("lv 0.95", number=1))
    assert names(one.take(message("pt 0.99", number=2))) == ["message.appended"]


def test_unsettled_language_follows_the_customer() -> None:
    """A better text changes it; one of the same language settles it without a change to publish."""
    one = thread(detect=heard)
    one.take(message("pt 0.6", number=1))
    assert names(one.take(message("pt 0.55", number=2))) == ["message.appended"]
    assert only(one.take(message("lv 0.6", number=3)), ConversationUpdated).changes == {"language": ("pt", "lv")}
    assert names(one.take(message("lv 0.9", number=4))) == ["message.appended"]
    assert one.state.language_certain


def test_language_of_an_account_is_settled() -> None:
    """Whoever writes to a number of one language is answered in it."""
    one = thread(detect=heard)
    assert only(one.take(message("lv 0.99", account="2")), ConversationOpened).language == "pt"


def test_locale_and_last_conversation_are_a_beginning() -> None:
    """The next conversation begins in the last one's language, and hears again."""
    one = thread(detect=heard)
    assert only(one.take(message("hm", number=1, locale="pt_BR")), ConversationOpened).language == "pt"
    one.take(message("lv 0.95", number=2))
    one.take(Close(author=BOT))
    assert only(one.take(message("hm", number=3)), ConversationOpened).language == "lv"
    assert only(one.take(message("pt 0.95", number=4)), ConversationUpdated).changes == {"language": ("lv", "pt")}


def test_locale_that_nobody_configured_is_ignored() -> None:
    """The fall-back answers it."""
    assert only(thread().take(message(locale="de_AT")), ConversationOpened).language == "en"


@pytest.mark.parametrize(
    ("language", "expected"), [("pt-BR", "pt-BR"), ("pt", "pt-BR"), ("pt_PT", "pt-BR"), ("EN-gb", "en"), ("de", None), ("", None)]
)
def test_language_is_bounded_to_the_configured_ones(language: str, expected: str | None) -> None:
    """The same tag, else the first of the same language."""
    assert bounded(language, ("en", "pt-BR", "pt-AO")) == expected


INDEX = KeywordIndex(
    {
        "sales": Department(pool="p", keywords={"en": ("Price", "ON SALE"), "lv": ("cena",)}),
        "support": Department(pool="p", keywords={"en": ("sale",), "zh": ("坏了",), "lv": ("nedarbojās",)}),
        "press": Department(pool="p", keywords={"en": ()}),
    }
)


@pytest.mark.parametrize(
    ("text", "department"),
    [
        ("What PRICE?", "sales"),
        ("is it on sale", "sales"),
        ("for sale", "support"),
        ("wholesale", None),
        ("我的手机坏了!", "support"),
        ("nedarbojās!", "support"),
        ("nedarbojāsies", None),
        ("Kāda cena un price for sale", "sales"),
        ("x" * 1000 + " price", None),
        ("", None),
    ],
)
def test_words_name_a_department(text: str, department: str | None) -> None:
    """Whole words where a script has them, anywhere where it has none; the department configured first wins."""
    assert INDEX.of_text(text) == department


@pytest.mark.parametrize(
    ("origin", "department"),
    [
        (Origin(kind="link", payload="PRESS"), "press"),
        (Origin(kind="link", payload="x", id="support"), "support"),
        (Origin(kind="ad", title="Our best price", body="Now"), "sales"),
        (Origin(kind="ad", id="17", body="Now"), None),
    ],
)
def test_referral_names_a_department(origin: Origin, department: str | None) -> None:
    """By payload or id, else by the words of the ad."""
    assert INDEX.of_origin(origin) == department


def test_house_without_keywords_asks_no_text() -> None:
    """Nothing is searched where nothing is configured."""
    assert KeywordIndex({"sales": Department(pool="p")}).of_text("price") is None


def test_origin_with_the_first_message_chooses_the_department() -> None:
    """An ad for billing leads to billing, whatever the number's department."""
    opened = only(thread().take(message(origin=Origin(kind="ad", payload="billing"))), ConversationOpened)
    assert opened.department == "billing"
