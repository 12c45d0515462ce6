"""Takes a webhook apart: entries, changes, items. What each item says is read in parse_messages, parse_statuses and parse_notices.

`{object, entry: [{id: <account of the business>, changes: [{field, value}]}]}`, up to 1,000 items in one POST ("Webhooks
overview", 2025-12-02). Each item stands for itself: what cannot be read is rejected alone, and its neighbours pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from shared.channels.contract import UNKNOWN_ACCOUNT, Item, ItemIgnored, ItemRejected
from shared.channels.whatsapp.facts import Fact, Reader, Scope
from shared.channels.whatsapp.identity import ACCOUNT_CHARACTERS_MAX, Profiles
from shared.channels.whatsapp.parse_messages import read_echo, read_message
from shared.channels.whatsapp.parse_notices import IGNORED_FIELDS, notice_of, read_account_error, read_preference, read_user_action
from shared.channels.whatsapp.parse_statuses import read_status
from shared.channels.whatsapp.reading import Json, UnreadableItemError, as_object, decode, object_in, optional_object, text_in
from shared.json_bytes import json_bytes

OBJECT = "whatsapp_business_account"
ITEMS_MAX = 2_000
"""Items read from one POST; the vendor promises at most 1,000. Reading more would hold the process up and fill its memory."""
UNREAD_ITEMS_MAX = 100
"""Items beyond that are put aside unread, so many together."""

_LISTS: dict[str, dict[str, Reader]] = {
    "messages": {"messages": read_message, "statuses": read_status, "errors": read_account_error, "user_actions": read_user_action},
    "user_preferences": {"user_preferences": read_preference},
    "smb_message_echoes": {"message_echoes": read_echo},
}
"""Per field the lists in its value, and who reads an item of each."""


def parse_webhook(body: bytes, received_at: datetime, account: str | None = None) -> tuple[Item, ...]:
    """Return every item of the webhook in its order; never raises.

    `account` is what a rejected body is filed under that does not name one itself.
    """
    filed_under = account or UNKNOWN_ACCOUNT
    return tuple(_walk(body, received_at, filed_under)) or (ItemIgnored(filed_under, "no_items"),)


@dataclass(slots=True)
class _Allowance:
    """How many more items of this POST are read."""

    left: int = ITEMS_MAX

    def split(self, items: list[Any]) -> tuple[list[Any], Iterator[list[Any]]]:
        """Return the items to read, and the others in portions to put aside."""
        read = items[: self.left]
        self.left -= len(read)
        return read, (items[at : at + UNREAD_ITEMS_MAX] for at in range(len(read), len(items), UNREAD_ITEMS_MAX))


def _unread(account: str, raw: bytes) -> ItemRejected:
    """Return a portion of a POST that was not read; a replay reads it."""
    return ItemRejected(account, "unparseable", f"more than {ITEMS_MAX} items in one POST: these were not read, replay them", raw)


def _walk(body: bytes, received_at: datetime, filed_under: str) -> Iterator[Item]:
    try:
        entries = _entries(body)
    except UnreadableItemError as error:
        yield ItemRejected(filed_under, error.reason, error.explanation, body)
        return
    allowance = _Allowance()
    read, unread = allowance.split(entries)
    for entry in read:
        yield from _entry(entry, received_at, filed_under, body, allowance)
    for portion in unread:
        yield _unread(filed_under, _encode({"object": OBJECT, "entry": portion}, body))


def _entries(body: bytes) -> list[Any]:
    """Return the entries of the webhook; raises where the body cannot be this vendor's."""
    webhook = as_object(decode(body), "the body")
    if webhook.get("object") != OBJECT:
        raise UnreadableItemError(f"object is not {OBJECT}")
    return _filled_list(webhook, "entry")


def _entry(entry: Any, received_at: datetime, filed_under: str, body: bytes, allowance: _Allowance) -> Iterator[Item]:
    try:
        changes = _filled_list(as_object(entry, "entry[]"), "changes")
    except UnreadableItemError as error:
        yield ItemRejected(filed_under, error.reason, error.explanation, _encode({"object": OBJECT, "entry": [entry]}, body))
        return
    owner = _owner_of(entry, filed_under)
    envelope = {name: value for name, value in entry.items() if name != "changes"}
    read, unread = allowance.split(changes)
    for change in read:
        whole = partial(_raw_change, envelope, change, body)
        try:
            yield from _change(as_object(change, "changes[]"), received_at, owner, whole, allowance)
        except UnreadableItemError as error:
            yield ItemRejected(owner, error.reason, error.explanation, whole())
    for portion in unread:
        yield _unread(owner, _encode({"object": OBJECT, "entry": [{**envelope, "changes": portion}]}, body))


def _change(change: Json, received_at: datetime, owner: str, whole: Callable[..., bytes], allowance: _Allowance) -> Iterator[Item]:
    """Yield the items of one change. `owner` is the entry's account; messages have one of their own, the phone number's id."""
    field = text_in(change, "field")
    value = object_in(change, "value")
    readers = _LISTS.get(field)
    if readers is None:
        yield ItemIgnored(owner, field if field in IGNORED_FIELDS else "unknown_field", notice=notice_of(field, value))
        return
    account = _account_in(optional_object(value, "metadata"), "phone_number_id")
    scope = Scope(account, Profiles.read(value), received_at)
    if not any(value.get(name) for name in readers):
        yield ItemIgnored(account, "no_items")
    for name, reader in readers.items():
        yield from _list(value.get(name, []), reader, scope, partial(whole, name), allowance)


def _list(items: Any, reader: Reader, scope: Scope, whole: Callable[[list[Any]], bytes], allowance: _Allowance) -> Iterator[Item]:
    """Yield what one list of a change says; one that is none is rejected alone, and the other lists pass."""
    if not isinstance(items, list):
        yield ItemRejected(scope.account, "unparseable", "messages, statuses and the like are lists", whole(items))
        return
    read, unread = allowance.split(items)
    for item in read:
        yield from _isolated(item, reader, scope, partial(whole, [item]))
    for portion in unread:
        yield _unread(scope.account, whole(portion))


def _isolated(item: Any, reader: Reader, scope: Scope, raw: Callable[[], bytes]) -> tuple[Item, ...]:
    """Return what `reader` finds in one item, or the item rejected."""
    try:
        found = reader(as_object(item, "the item"), scope)
        return tuple(fact.item(scope.account, raw) if isinstance(fact, Fact) else fact for fact in found)
    except UnreadableItemError as error:
        return (ItemRejected(scope.account, error.reason, error.explanation, raw()),)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        return (ItemRejected(scope.account, "unparseable", f"{where}: {problem['type']}", raw()),)
    except Exception as error:  # noqa: BLE001 # the boundary of one item: a fault of a reader must not lose the others; it is reported
        return (ItemRejected(scope.account, "unparseable", f"the reader failed with {type(error).__name__}: report this", raw()),)


def _filled_list(parent: Json, name: str) -> list[Any]:
    """Return the list `name`, which must be there."""
    value = parent.get(name)
    if not isinstance(value, list):
        raise UnreadableItemError(f"{name} is no list")
    return value


def _account_in(parent: Json, name: str) -> str:
    """Return the account `name`; refuses what no thread and no record could be called by."""
    account = text_in(parent, name)
    if len(account) > ACCOUNT_CHARACTERS_MAX or ":" in account:
        raise UnreadableItemError(f"{name} is no account")
    return account


def _owner_of(entry: Json, otherwise: str) -> str:
    """Return the business account that the entry is about, or `otherwise` where it names none."""
    try:
        return _account_in(entry, "id")
    except UnreadableItemError:
        return otherwise


def _raw_change(envelope: Json, change: Any, body: bytes, name: str | None = None, items: Any = None) -> bytes:
    """Return a webhook that holds nothing but this change, or of its lists nothing but `items` in `name`."""
    if name is not None:
        others = {key: value for key, value in change["value"].items() if key not in _LISTS[change["field"]]}
        change = {**change, "value": {**others, name: items}}
    return _encode({"object": OBJECT, "entry": [{**envelope, "changes": [change]}]}, body)


def _encode(webhook: Json, body: bytes) -> bytes:
    """Return `webhook` as JSON; the whole body where it is nested deeper than can be written."""
    try:
        return json_bytes(webhook)
    except TypeError:
        return body
