"""Hides phone numbers in what goes to a screen: a terminal may be logged, and whoever looks over a shoulder is no part of it."""

from __future__ import annotations

import re

SHOWN_DIGITS = 2
_PHONE = re.compile(r"\+?\d{7,15}")


def is_phone(value: str) -> bool:
    """Return whether `value` is written as a phone number."""
    return _PHONE.fullmatch(value) is not None


def mask_phone(phone: str) -> str:
    """Return stars and the last two digits."""
    return f"***{phone[-SHOWN_DIGITS:]}"


def mask_key(key: str) -> str:
    """Return a record's key without a phone number: the customer's part of a thread id is masked where it is one."""
    head, separator, customer = key.rpartition(":")
    return f"{head}{separator}{mask_phone(customer)}" if is_phone(customer) and separator else key


def mask_number(text: str, number: str) -> str:
    """Return `text` with the phone `number` masked wherever it stands, with or without a plus: ids are made of it."""
    digits = number.removeprefix("+")
    return re.sub(rf"\+?{digits}", mask_phone(digits), text) if is_phone(digits) else text
