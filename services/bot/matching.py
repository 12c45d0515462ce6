"""Finds meaning in a customer's words with rapidfuzz: near enough to what the configuration lists, in the customer's language.

People write without accents, capitals and punctuation and with slips of the finger, so both sides are made plain first. Languages
written without spaces are compared by characters. The time one message takes is bounded by the bounds below.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

from rapidfuzz import fuzz

from shared.contact_centre.models import ContactCentre, FaqEntry, Flow

PHRASES_CACHED_MAX = 16_384
"""How many of the configuration's phrases are remembered in their plain form."""
MESSAGES_CACHED_MAX = 4
"""How many messages are: the rules ask several times about the same one."""
WORDS_MAX = 100
"""How many words of a message are searched for a phrase."""
FUZZY_CHARACTERS_MIN = 6
"""Shorter phrases must be written exactly: one letter makes them another word."""
PHRASE_SCORE_MIN = 88.0
"""How alike a phrase and the customer's words must be, out of 100: about one slip in eight letters."""
TITLE_SCORE_MIN = 85.0
"""How alike an option's title and a whole message must be, out of 100."""
QUESTION_CHARACTERS_MAX = 300
"""A longer message is a story, not a question of the FAQ: people should read it."""
OPTION_DIGITS_MAX = 2
"""Longest number that is read as the number of an option."""

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Scripts without spaces between words: Thai, Lao, Khmer, kana, Han."""


def plain(text: str) -> str:
    """Return `text` in small letters without accents and punctuation, words apart by one space."""
    # Compatibility forms may unfold to capitals and back: twice is enough to come to rest.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = (character if _is_of_a_word(character) else " " for character in folded if not unicodedata.combining(character))
    return " ".join("".join(letters).split())


def _is_of_a_word(character: str) -> bool:
    """Return whether the character is a letter, a digit, or a vowel sign as many scripts write them."""
    return unicodedata.category(character)[0] in "LMN"


_plain_phrase = lru_cache(maxsize=PHRASES_CACHED_MAX)(plain)
_plain_message = lru_cache(maxsize=MESSAGES_CACHED_MAX)(plain)


class Matcher:
    """What the bot understands, of one contact centre."""

    def __init__(self, centre: ContactCentre) -> None:
        self._fallback = centre.fallback_language
        self._faq: Mapping[str, FaqEntry] = {entry.id: entry for entry in centre.faq}

    def wants_person(self, flow: Flow, language: str, text: str) -> bool:
        """Return whether `text` asks for a human being, in its language or in the fallback.

        A text that is nothing but such a phrase counts in every language: one word is too short to tell its language by.
        """
        said = " ".join(_plain_message(text).split()[:WORDS_MAX])
        if any(said == _plain_phrase(phrase) for phrases in flow.person_words.values() for phrase in phrases) and said:
            return True
        return any(_contains(said, phrase) for phrase in self._phrases(flow.person_words, language))

    def says_goodbye(self, flow: Flow, language: str, text: str) -> bool:
        """Return whether `text` says goodbye and nothing else."""
        said = _plain_message(text)
        rest = f" {said} "
        for phrase in sorted(self._phrases(flow.goodbye_words, language), key=len, reverse=True):
            if _is_fuzzy(phrase) and fuzz.ratio(said, phrase) >= PHRASE_SCORE_MIN:
                return True
            rest = rest.replace(phrase, " ") if _UNSPACED.search(phrase) else rest.replace(f" {phrase} ", "  ")
        return bool(said) and not rest.strip()

    def faq(self, flow: Flow, language: str, text: str) -> FaqEntry | None:
        """Return the entry whose question `text` is, if the best reaches the flow's score; of equals, the one listed first."""
        said = _plain_message(text)
        if not said or len(said) > QUESTION_CHARACTERS_MAX:
            return None
        best: FaqEntry | None = None
        best_score = flow.faq_score_min
        for name in flow.faq:
            entry = self._faq.get(name)
            questions = () if entry is None else _in_language(entry.questions, language)
            score = max((likeness(said, _plain_phrase(question)) for question in questions), default=0.0)
            if score > best_score or (best is None and score >= best_score):
                best, best_score = entry, score
        return best

    def option(self, titles: Mapping[str, str], text: str) -> str | None:
        """Return the option whose number, counted from 1, or title `text` is; None where none is."""
        said = _plain_message(text)
        names = list(titles)
        if not said:  # nothing is not like a title of signs, which is nothing when made plain
            return None
        if said.isdecimal() and len(said) <= OPTION_DIGITS_MAX:
            return names[int(said) - 1] if 1 <= int(said) <= len(names) else None
        scores = {name: fuzz.ratio(said, _plain_phrase(title)) for name, title in titles.items()}
        best = max(names, key=lambda name: scores[name], default=None)
        return best if best is not None and scores[best] >= TITLE_SCORE_MIN else None

    def _phrases(self, phrases: Mapping[str, tuple[str, ...]], language: str) -> Iterator[str]:
        """Yield the phrases of the language, and of the fallback: people know the English words for these things."""
        for spoken in dict.fromkeys((language, self._fallback)):
            for phrase in _in_language(phrases, spoken):
                if _plain_phrase(phrase):
                    yield _plain_phrase(phrase)


def _in_language(texts: Mapping[str, tuple[str, ...]], language: str) -> tuple[str, ...]:
    """Return the texts of `language`, or of the same language without its region."""
    return texts.get(language) or texts.get(language.partition("-")[0], ())


def _is_fuzzy(phrase: str) -> bool:
    """Return whether `phrase` may be written with a slip."""
    return len(phrase) >= FUZZY_CHARACTERS_MIN


def _contains(said: str, phrase: str) -> bool:
    """Return whether `phrase` occurs in `said`, as whole words where the script has words, nearly where it is long enough."""
    if _UNSPACED.search(phrase):
        return phrase in said.replace(" ", "")
    if f" {phrase} " in f" {said} ":
        return True
    words, length = said.split(), len(phrase.split())
    windows = (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
    return _is_fuzzy(phrase) and any(fuzz.ratio(window, phrase) >= PHRASE_SCORE_MIN for window in windows)


def likeness(said: str, question: str) -> float:
    """Return how alike two plain texts are, from 0 to 100.

    Words count whatever their order; that one is part of the other helps, but does not suffice: `how` alone is no question.
    """
    if _UNSPACED.search(question):
        said, question = said.replace(" ", ""), question.replace(" ", "")
        contained = fuzz.partial_ratio(said, question) if len(said) >= len(question) else 0.0
        return max(fuzz.ratio(said, question), contained)
    return max(fuzz.ratio(said, question), (fuzz.token_set_ratio(said, question) + fuzz.token_sort_ratio(said, question)) / 2)
