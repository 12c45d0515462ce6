"""Which department a conversation belongs to: the account's, until a referral or a customer's words name another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.contact_centre.models import Department
from shared.events.shapes import Origin

KEYWORD_TEXT_CHARACTERS_MAX = 1_000
"""How much of a text is searched for keywords."""

_WORD = re.compile(r"\w+")


class _Keywords(NamedTuple):
    """The keywords of one department: whole words, and phrases that are looked for anywhere."""

    department: str
    words: frozenset[str]
    phrases: tuple[str, ...]


class KeywordIndex:
    """The keywords of all departments in all languages, made ready once. The department configured first wins."""

    def __init__(self, departments: Mapping[str, Department]) -> None:
        self._names = frozenset(departments)
        self._entries = tuple(
            _keywords(name, (keyword for language in department.keywords.values() for keyword in language))
            for name, department in departments.items()
            if any(department.keywords.values())
        )
        self._words = frozenset(word for entry in self._entries for word in entry.words)
        self._phrases = re.compile("|".join(re.escape(phrase) for entry in self._entries for phrase in entry.phrases) or "(?!)")

    def of_text(self, text: str) -> str | None:
        """Return the department that a word of `text` names, or None."""
        folded = text[:KEYWORD_TEXT_CHARACTERS_MAX].casefold()
        words = _WORD.findall(folded)
        if self._words.isdisjoint(words) and self._phrases.search(folded) is None:
            return None  # as most texts: found out once for all departments
        return next(
            entry.department
            for entry in self._entries
            if not entry.words.isdisjoint(words) or any(phrase in folded for phrase in entry.phrases)
        )

    def of_origin(self, origin: Origin) -> str | None:
        """Return the department that a referral names: by its payload or id, else by a word of its title or body."""
        for name in (origin.payload, origin.id):
            if name is not None and name.casefold() in self._names:
                return name.casefold()
        return self.of_text(" ".join(part for part in (origin.title, origin.body) if part))


def _keywords(department: str, keywords: Iterable[str]) -> _Keywords:
    """Sort keywords into words and phrases. Scripts without spaces (Chinese) have no words that could be told apart: phrases."""
    folded = {keyword.casefold().strip() for keyword in keywords} - {""}
    words = frozenset(keyword for keyword in folded if keyword.isascii() and _WORD.fullmatch(keyword))
    spaced = frozenset(keyword for keyword in folded - words if _WORD.fullmatch(keyword) and not _is_unspaced(keyword))
    return _Keywords(department, words | spaced, tuple(sorted(folded - words - spaced)))


def _is_unspaced(keyword: str) -> bool:
    """Return whether `keyword` holds letters of a script that writes without spaces (Thai to Khmer, kana, Han)."""
    return any("\u0e00" <= letter <= "\u0eff" or "\u1780" <= letter <= "\u17ff" or "\u3040" <= letter <= "\u9fff" for letter in keyword)
