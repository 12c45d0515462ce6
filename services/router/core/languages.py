"""Which language a conversation is in: the account's, or what the customer writes, bounded to the configured ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.router.core.rules import ConversationRules
from shared.contact_centre.models import Account
from shared.events.shapes import Choice, Content, Customer, text_of

CONFIDENCE_MIN = 0.5
"""Below it a guess is no better than the language that we have."""
CONFIDENCE_CERTAIN = 0.9
"""From it on the language is settled and no longer guessed from every message."""


class Heard(NamedTuple):
    """The language of a conversation, and whether it is settled."""

    language: str
    certain: bool


def written_text(content: Content) -> str | None:
    """Return the words that the customer wrote; what they tapped are our own words."""
    return None if isinstance(content, Choice) else text_of(content)


def bounded(language: str, configured: Iterable[str]) -> str | None:
    """Return the configured language that `language` (BCP 47, or a locale such as `pt_BR`) means, or None."""
    wanted = language.replace("_", "-")
    known = tuple(configured)
    if wanted in known:
        return wanted
    base = wanted.partition("-")[0].lower()
    return next((one for one in known if one.partition("-")[0] == base), None)


def opening_language(rules: ConversationRules, account: Account | None, customer: Customer, before: str | None) -> Heard:
    """Return what is known before the first word: the account's language is settled, everything else is a beginning.

    `before` is the language of the thread's last conversation.
    """
    if account is not None and account.language is not None:
        return Heard(account.language, certain=True)
    known = before or customer.locale
    return Heard((known and bounded(known, rules.centre.languages)) or rules.centre.fallback_language, certain=False)


def hear(rules: ConversationRules, known: Heard, text: str | None) -> Heard:
    """Return the language after the customer wrote `text`: a settled one stays, an unsettled one follows the better guess."""
    if known.certain or not text:
        return known
    found = rules.detect(text)
    if found is None or found[1] < CONFIDENCE_MIN or found[0] not in rules.centre.languages:
        return known
    return Heard(found[0], certain=found[1] >= CONFIDENCE_CERTAIN)
