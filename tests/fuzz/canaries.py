"""What must never stand in a log line: marked words, numbers and secrets, planted into the input and looked for in every line."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

TEXT = "cnry-words"
"""Begins every planted text; a log line that holds it repeats what a customer, an agent or a vendor wrote."""
SECRET = "cnry-secret"
"""Begins every secret of the configuration under test."""
PHONE_DIGITS = "35196661000"
"""Begins every planted phone number (twelve digits of a Portuguese mobile number that nobody has)."""

_MARKS = (TEXT, SECRET, PHONE_DIGITS)


def planted_text(chance: random.Random) -> str:
    """Return a text that is recognised in a log line: words as people write them, now and then long."""
    return f"{TEXT} {chance.randrange(1000)} my PIN is 4711" + " und so weiter" * chance.choice((0, 0, 0, 3))


def planted_phone(chance: random.Random) -> str:
    """Return a phone number that is recognised in a log line, in one of the forms in which people and vendors write it."""
    digits = f"{PHONE_DIGITS}{chance.randrange(10)}"
    return chance.choice((digits, f"+{digits}", f"00{digits}"))


def leaks(lines: Iterable[str]) -> list[str]:
    """Return the lines that hold something planted; blanks and signs inside of a number do not hide it."""
    found: list[str] = []
    for line in lines:
        bare = line.lower()
        if any(mark in bare for mark in _MARKS) or PHONE_DIGITS in _digits_only(bare):
            found.append(line)
    return found


def _digits_only(line: str) -> str:
    """Return `line` without what people put between the digits of a number."""
    return line.translate(_SEPARATORS)


_SEPARATORS = {ord(sign): None for sign in itertools.chain(" ()./+-", "\u2010\u2011\u2012\u2013\u2014\u2015")}
