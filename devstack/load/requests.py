"""What the generator sends: webhooks as the channel signs them, or calls of the channel's API, all made before the first one leaves.

The shapes are the emulator's own, so what is true of a webhook there is true of one here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any
from urllib.parse import urlsplit

from devstack.emulator.whatsapp.envelope import Item, encode, envelope, headers
from devstack.emulator.whatsapp.inbound import Draft, compose, contact_of
from devstack.emulator.whatsapp.settings import PhoneNumber
from devstack.emulator.whatsapp.state import Customer
from devstack.load.connection import request_bytes

API_VERSION = "v24.0"
DISPLAY_NUMBER = "15550100000"
BUSINESS_ACCOUNT = "200000000000001"


@dataclass(frozen=True, slots=True)
class Script:
    """Who writes what to whom: message n is of customer n % customers; accounts and languages go round among the customers.

    `texts` holds, per language, what a customer says one after the other. `first_customer` numbers the customers, so that two loads
    do not meet; `run` marks the native ids.
    """

    accounts: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    customers: int
    first_customer: int = 0
    run: str = "load"

    def customer(self, number: int) -> Customer:
        """Return the customer who writes message `number`."""
        position = self.first_customer + number % self.customers
        phone = f"3519{position:08d}"
        return Customer(phone, f"Customer {position}", phone, f"PT.{phone}")

    def account(self, number: int) -> str:
        """Return the account that message `number` goes to: a customer always writes to the same one."""
        return self.accounts[number % self.customers % len(self.accounts)]

    def text(self, number: int) -> str:
        """Return what message `number` says; a customer stays with one language."""
        customer, turn = number % self.customers, number // self.customers
        language = self.texts[(self.first_customer + customer) % len(self.texts)]
        return language[(customer + turn) % len(language)]

    def message_id(self, number: int) -> str:
        """Return the native id of message `number`: whoever sends it again sends the same."""
        return "wamid." + base64.b64encode(f"{self.run}:{number:08d}".encode()).decode()


def customer_fields(customer: Customer) -> dict[str, Any]:
    """Return the customer as the emulator's control interface takes it."""
    return {"id": customer.id, "name": customer.name, "phone": customer.phone, "bsuid": customer.bsuid}


def webhooks(script: Script, url: str, secret: str, *, items_per_post: int = 1) -> Iterator[bytes]:
    """Yield signed webhooks without end, each with `items_per_post` messages."""
    target = urlsplit(url)
    numbers = {
        account: PhoneNumber(phone_number_id=account, waba_id=BUSINESS_ACCOUNT, display_phone_number=DISPLAY_NUMBER)
        for account in script.accounts
    }
    items = (_item(script, number, numbers) for number in count())
    while True:
        body = encode(envelope(islice(items, items_per_post)))
        yield request_bytes(target.path, target.netloc, headers(body, secret), body)


def webhook(script: Script, number: int, secret: str) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of the webhook that carries message `number` alone, written now."""
    account = PhoneNumber(phone_number_id=script.account(number), waba_id=BUSINESS_ACCOUNT, display_phone_number=DISPLAY_NUMBER)
    body = encode(envelope([_item(script, number, {account.phone_number_id: account})]))
    return body, headers(body, secret)


def _item(script: Script, number: int, numbers: dict[str, PhoneNumber]) -> Item:
    customer, account = script.customer(number), numbers[script.account(number)]
    draft = Draft("text", script.text(number))
    composed = compose(draft, customer=customer, number=account, wamid=script.message_id(number), at=datetime.now(UTC))
    return Item(account, composed.message, {}, "messages", contact_of(customer))


def sends(script: Script, url: str, token: str) -> Iterator[bytes]:
    """Yield calls of the channel's API without end, each a text to a customer."""
    target = urlsplit(url)
    authorization = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for number in count():
        message = {
            "messaging_product": "whatsapp",
            "to": f"+{script.customer(number).phone}",
            "type": "text",
            "text": {"body": script.text(number)},
        }
        path = f"{target.path.rstrip('/')}/{API_VERSION}/{script.account(number)}/messages"
        yield request_bytes(path, target.netloc, authorization, json.dumps(message).encode())
