"""Language of a text: py3langid bounded to the configured languages, with hints where statistics have too little to go by.

Short messages are the rule here ("labdien", "你好"). What helps, in this order: a script that only one configured language
writes; a greeting that only one of them says; the model, whose word counts less the fewer letters there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from services.router.core.rules import Detect
from services.router.greetings import GREETINGS

TEXT_CHARACTERS_MAX = 400
"""How much of a text is looked at: more costs time and tells nothing new."""
LETTERS_ENOUGH = 10
"""From so many letters on the model's confidence counts in full; a shorter text counts in proportion and settles nothing."""
GREETING_CONFIDENCE = 0.8
"""A greeting alone is a good guess and settles nothing."""
SCRIPT_CONFIDENCE = 0.99

_ADDRESS = re.compile(r"https?://\S+|\S+@\S+")
_BEYOND_LATIN = re.compile("[\u0370-\uffff]")
_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")

SCRIPTS: tuple[tuple[str, str, str], ...] = (
    ("greek", "\u0370", "\u03ff"),
    ("cyrillic", "\u0400", "\u052f"),
    ("armenian", "\u0530", "\u058f"),
    ("hebrew", "\u0590", "\u05ff"),
    ("arabic", "\u0600", "\u06ff"),
    ("devanagari", "\u0900", "\u097f"),
    ("thai", "\u0e00", "\u0e7f"),
    ("georgian", "\u10a0", "\u10ff"),
    ("kana", "\u3040", "\u30ff"),
    ("han", "\u3400", "\u9fff"),
    ("hangul", "\uac00", "\ud7af"),
)
"""Scripts that hint at a language, by their main Unicode block (Unicode 17.0, Blocks.txt)."""
WRITTEN_IN: Mapping[str, tuple[str, ...]] = {
    "greek": ("el",),
    "cyrillic": ("ru", "uk", "bg", "be", "sr", "mk", "kk", "ky", "mn"),
    "armenian": ("hy",),
    "hebrew": ("he",),
    "arabic": ("ar", "fa", "ur", "ps", "ug"),
    "devanagari": ("hi", "mr", "ne", "sa"),
    "thai": ("th",),
    "georgian": ("ka",),
    "kana": ("ja",),
    "han": ("zh", "ja", "yue", "wuu"),
    "hangul": ("ko",),
}
"""Base languages by the script they are written in."""


class Model(Protocol):
    """What is needed of py3langid's identifier."""

    def classify(self, text: str) -> tuple[str, float]:
        """Return the likeliest language and its probability."""
        ...


class LanguageDetector:
    """Tells the language of a text among `languages` (BCP 47). Answers depend on the text alone.

    `model` knows at least one of them, or is None where it knows none: then scripts and greetings have to do.
    """

    def __init__(self, languages: Iterable[str], model: Model | None) -> None:
        self._tags: dict[str, str] = {}
        for tag in languages:
            self._tags.setdefault(tag.partition("-")[0], tag)
        self._model = model
        said = Counter(word for base in self._tags for word in GREETINGS.get(base, ()))
        self._greetings = {word: base for base in self._tags for word in GREETINGS.get(base, ()) if said[word] == 1}

    def __call__(self, text: str) -> tuple[str, float] | None:
        """Return a configured language and how sure it is (0 to 1), or None where the text has no words."""
        words = _WORDS.findall(_ADDRESS.sub(" ", text[:TEXT_CHARACTERS_MAX]))
        if not words:
            return None
        base, confidence = self._by_script(words) or self._by_greeting(words) or self._by_model(words)
        tag = self._tags.get(base)
        return None if tag is None else (tag, confidence)

    def _by_script(self, words: list[str]) -> tuple[str, float] | None:
        """Return the one configured language that writes like most of the text; kana among Han is Japanese."""
        if not any(map(_BEYOND_LATIN.search, words)):
            return None
        scripts = Counter(script for word in words for letter in word if (script := _script_of(letter)))
        letters = sum(map(len, words))
        if scripts["kana"]:
            scripts["kana"] += scripts.pop("han", 0)
        script, count = scripts.most_common(1)[0] if scripts else ("", 0)
        candidates = [base for base in WRITTEN_IN.get(script, ()) if base in self._tags]
        return (candidates[0], SCRIPT_CONFIDENCE) if count * 2 > letters and len(candidates) == 1 else None

    def _by_greeting(self, words: list[str]) -> tuple[str, float] | None:
        """Return the one configured language in which the whole text, or its first or second half, is a greeting."""
        folded = [word.casefold() for word in words]
        base = self._greetings.get(" ".join(folded))
        if base is None and len(folded) == 2:  # noqa: PLR2004 # two words: "hola amigo"
            base = self._greetings.get(folded[0]) or self._greetings.get(folded[1])
        return None if base is None else (base, GREETING_CONFIDENCE)

    def _by_model(self, words: list[str]) -> tuple[str, float]:
        """Return the model's word, weighed by how much there was to read."""
        if self._model is None:
            return "", 0.0
        base, confidence = self._model.classify(" ".join(words))
        return base, float(confidence) * min(1.0, sum(map(len, words)) / LETTERS_ENOUGH)


def _script_of(letter: str) -> str | None:
    """Return the script of a letter, where it is one that hints at a language."""
    if letter < SCRIPTS[0][1]:
        return None
    return next((name for name, first, last in SCRIPTS if first <= letter <= last), None)


def build_detector(languages: Iterable[str]) -> Detect:
    """Load py3langid's model (about 1.5 s and 100 MB, once per process) and bound it to `languages`."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 # numpy and the model are for the router's process alone

    wanted = tuple(languages)
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known = sorted({tag.partition("-")[0] for tag in wanted} & set(identifier.labels))
    if not known:
        return LanguageDetector(wanted, None)
    identifier.set_languages(known)
    return LanguageDetector(wanted, identifier)
