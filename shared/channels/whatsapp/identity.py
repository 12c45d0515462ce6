"""Who a customer is: phone numbers, business-scoped ids (BSUID), and the thread they lead to.

A BSUID is `CC.` and up to 128 letters and digits, its parent form `CC.ENT.…` ("Business-scoped user ids", 2026-05-28). It is the
more stable of the two and comes with every message since April 2026, so a thread is called by it where it is known, else by the
digits of the phone number. Phones are left out, not replaced, where they may not be shown. Some relays put the BSUID into the
phone's place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared import ids
from shared.channels.whatsapp.reading import Json, UnreadableItemError, as_object, caption_in, list_in, optional_text
from shared.events.shapes import Customer

CHANNEL_NAME = "whatsapp"
CUSTOMER_ID_CHARACTERS_MAX = 200
ACCOUNT_CHARACTERS_MAX = 100

_BUSINESS_SCOPED_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_PHONE_DIGITS = re.compile(r"\+?([1-9][0-9]{6,14})")


def is_business_scoped_id(value: str) -> bool:
    """Return whether `value` has the form of a BSUID or of its parent."""
    return value[2:3] == "." and _BUSINESS_SCOPED_ID.fullmatch(value) is not None


def to_e164(value: str | None) -> str | None:
    """Return the phone number in `value` (digits, with or without `+`) as E.164, or None where it is none."""
    match = _PHONE_DIGITS.fullmatch(value) if value else None
    return f"+{match[1]}" if match else None


def thread_of(account: str, customer: str) -> str:
    """Return the thread id; refuses ids that are too long to be part of one."""
    if len(account) > ACCOUNT_CHARACTERS_MAX or len(customer) > CUSTOMER_ID_CHARACTERS_MAX:
        raise UnreadableItemError("an id is too long")
    return ids.thread_id(CHANNEL_NAME, account, customer)


@dataclass(frozen=True, slots=True)
class Profiles:
    """The `contacts` of a change, by each id they carry. `sole` is set where there is exactly one."""

    by_id: dict[str, Json]
    sole: Json | None = None

    @classmethod
    def read(cls, value: Json) -> Profiles:
        """Return the profiles beside messages or statuses; what is no profile is left out: it only decorates."""
        contacts = value.get("contacts")
        found = [contact for contact in contacts if isinstance(contact, dict)] if isinstance(contacts, list) else []
        by_id: dict[str, Json] = {}
        for contact in found:
            for known in (contact.get("user_id"), contact.get("wa_id")):
                if isinstance(known, str):
                    by_id[known] = contact
        return cls(by_id, found[0] if len(found) == 1 else None)

    def find(self, *known: str | None) -> Json:
        """Return the profile that carries one of the ids `known`; the sole one where no id is known; else an empty one."""
        for one in known:
            if one and one in self.by_id:
                return self.by_id[one]
        return self.sole if self.sole is not None and not any(known) else {}


def customer_of(
    item: Json, profiles: Profiles, *, phone: str = "from", scoped: str = "from_user_id", parent: str | None = None
) -> Customer:
    """Return the customer that `item` names in its fields `phone`, `scoped` and `parent`, with what the profiles add.

    Raises UnreadableItemError where no id is left.
    """
    digits, scoped_id = _sorted_out(optional_text(item, phone), optional_text(item, scoped))
    profile = profiles.find(scoped_id, digits)
    profile_digits, profile_scoped_id = _sorted_out(caption_in(profile, "wa_id"), caption_in(profile, "user_id"))
    digits, scoped_id = digits or profile_digits, scoped_id or profile_scoped_id
    customer = scoped_id or digits
    if not customer:
        raise UnreadableItemError("nothing says which customer it is")
    card = profile.get("profile")
    card = card if isinstance(card, dict) else {}
    return Customer(
        id=customer,
        phone=to_e164(digits),
        business_scoped_id=scoped_id,
        parent_id=(optional_text(item, parent) if parent else None) or caption_in(profile, "parent_user_id"),
        username=caption_in(card, "username"),
        display_name=caption_in(card, "name"),
    )


def _sorted_out(phone: str | None, scoped_id: str | None) -> tuple[str | None, str | None]:
    """Return phone and BSUID, where a relay may have put the BSUID into the phone's place."""
    if phone and is_business_scoped_id(phone):
        return None, scoped_id or phone
    return phone or None, scoped_id or None


def phones_of(card: Json) -> tuple[str, ...]:
    """Return the phone numbers of a shared contact as they are written there; those of its vCard where it lists none."""
    listed = [as_object(entry, "phones[]") for entry in list_in(card, "phones")]
    written = tuple(text for entry in listed if (text := optional_text(entry, "phone") or optional_text(entry, "wa_id")))
    return written or _phones_of_vcard(optional_text(card, "vcard") or "")


def _phones_of_vcard(vcard: str) -> tuple[str, ...]:
    """Return the numbers of the TEL lines (RFC 6350, 6.4.1)."""
    lines = (line.strip() for line in vcard.splitlines())
    numbers = (line.rpartition(":")[2].strip() for line in lines if re.match(r"(?:[^.:;]+\.)?TEL[;:]", line, re.IGNORECASE))
    return tuple(number for number in numbers if number)
