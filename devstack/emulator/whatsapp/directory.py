"""Who is behind a phone number or a business-scoped id.

Shape and rules of the ids: WA/business-scoped-user-ids, 2026-05-28. A customer keeps one id per emulated app.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

import phonenumbers

from devstack.emulator.whatsapp.errors import MetaError
from devstack.emulator.whatsapp.rules import Recipient
from devstack.emulator.whatsapp.settings import PhoneNumber
from devstack.emulator.whatsapp.state import Customer

_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
_NOT_DIGITS = re.compile(r"\D")
_BSUID_DIGITS = 10**20


class UnknownCustomerError(KeyError):
    """Nobody has this control id."""


def digits(phone: str) -> str:
    """Return the digits of a phone number as people write it."""
    return _NOT_DIGITS.sub("", phone)


def country_code(phone: str) -> str:
    """Return the calling code of international digits, empty when there is none."""
    try:
        return str(phonenumbers.parse(f"+{phone}").country_code or "")
    except phonenumbers.NumberParseException:
        return ""


def derived_bsuid(phone: str, portfolio: str) -> str:
    """Return the business-scoped id of a phone: always the same one for the same portfolio."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+{phone}")) or "US"
    except phonenumbers.NumberParseException:
        region = "US"
    number = int.from_bytes(hashlib.sha256(f"{portfolio}/{phone}".encode()).digest(), "big") % _BSUID_DIGITS
    # Regions without a country ("001" for satellite numbers) have no place in an id.
    return f"{region if region.isalpha() else 'US'}.{number:020d}"


@dataclass
class Directory:
    """All customers, by control id, phone and business-scoped ids."""

    prefix_country_code: bool
    _customers: dict[str, Customer] = field(default_factory=dict)
    _by_phone: dict[str, Customer] = field(default_factory=dict)
    _by_bsuid: dict[str, Customer] = field(default_factory=dict)

    def put(self, customer: Customer) -> None:
        """Add or replace a customer; their earlier phone and ids stop leading to them."""
        earlier = self._customers.get(customer.id)
        if earlier is not None:
            self._forget(earlier)
        self._customers[customer.id] = customer
        self._index(customer)

    def change_ids(self, customer: Customer, *, phone: str | None, bsuid: str | None) -> None:
        """Give `customer` a new phone or business-scoped id (None keeps it)."""
        self._forget(customer)
        customer.phone = phone or customer.phone
        customer.bsuid = bsuid or customer.bsuid
        self._index(customer)

    def get(self, customer_id: str) -> Customer:
        """Return the customer of this control id.

        Raises:
            UnknownCustomerError: There is none.
        """
        try:
            return self._customers[customer_id]
        except KeyError:
            raise UnknownCustomerError(f"No customer {customer_id!r}: create it with POST /control/customers.") from None

    def all(self) -> list[Customer]:
        """Return all customers in the order of their creation."""
        return list(self._customers.values())

    def resolve(self, to: str | None, recipient: str | None, number: PhoneNumber) -> Recipient | MetaError:
        """Return whom `to` (it wins) or `recipient` means for a send from `number`."""
        if to is not None:
            return self._resolve_phone(to, number)
        if recipient is None or not _BSUID.fullmatch(recipient):
            return MetaError(131009, "recipient must be a business-scoped user id, passed back verbatim.")
        return Recipient(recipient, "bsuid", self._by_bsuid.get(recipient))

    def _resolve_phone(self, to: str, number: PhoneNumber) -> Recipient | MetaError:
        numeric = digits(to)
        if not numeric:
            return MetaError(131009, "to must be a phone number.")
        if _BSUID.fullmatch(to):
            # The vendor keeps the digits of a business-scoped id in `to`, accepts, and cannot deliver.
            return Recipient(to, "mangled", None, numeric)
        if self.prefix_country_code and not to.lstrip().startswith("+"):
            # Without + the vendor takes the number for a national one of the business's country.
            numeric = country_code(number.display_phone_number) + numeric
        return Recipient(to, "phone", self._by_phone.get(numeric), numeric)

    def _index(self, customer: Customer) -> None:
        if customer.phone is not None:
            self._by_phone[customer.phone] = customer
        for bsuid in (customer.bsuid, customer.parent_bsuid):
            if bsuid is not None:
                self._by_bsuid[bsuid] = customer

    def _forget(self, customer: Customer) -> None:
        places: list[tuple[dict[str, Customer], str | None]] = [
            (self._by_phone, customer.phone),
            (self._by_bsuid, customer.bsuid),
            (self._by_bsuid, customer.parent_bsuid),
        ]
        for index, key in places:
            if key is not None and index.get(key) is customer:
                del index[key]


def customer_as_json(customer: Customer) -> dict[str, Any]:
    """Return the JSON form for the control interface."""
    return {name: getattr(customer, name) for name in customer.__slots__}
