"""Identifiers: the only place that makes them.

A *thread id* is `<channel>:<account>:<customer>`, split at the first two colons (a customer's id may hold more). Event ids are
derived, never drawn, wherever the same fact could be written twice.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import NamedTuple

ID_LENGTH_MAX = 512
DIGEST_CHARACTERS = 16


class ThreadId(NamedTuple):
    """The parts of a thread id."""

    channel: str
    account: str
    customer: str


def thread_id(channel: str, account: str, customer: str) -> str:
    """Return the id of the thread between `account` and `customer` on `channel`.

    Raises ValueError for an empty part, or a colon in channel or account: the id could not be split again.
    """
    if not (channel and account and customer) or ":" in channel or ":" in account:
        message = "a thread needs a channel and an account without colons, and a customer"
        raise ValueError(message)
    return f"{channel}:{account}:{customer}"


def split_thread(thread: str) -> ThreadId:
    """Return the parts of `thread`; raises ValueError where it is no thread id."""
    parts = thread.split(":", 2)
    if len(parts) != len(ThreadId._fields) or not all(parts):
        message = "a thread id is <channel>:<account>:<customer>"
        raise ValueError(message)
    return ThreadId(*parts)


def _bounded(readable: str) -> str:
    """Return `readable`, or a digest of it where it is too long to be an id."""
    if len(readable) <= ID_LENGTH_MAX:
        return readable
    return f"sha256:{hashlib.sha256(readable.encode('utf-8', 'surrogatepass')).hexdigest()}"


def webhook_item_id(channel: str, account: str, kind: str, native_id: str) -> str:
    """Return the event id of one item of a webhook: the same for every redelivery of that item."""
    return _bounded(f"{channel}/{account}/{kind}/{native_id}")


def output_id(reducer: str, key: str, seq: int) -> str:
    """Return the event id of a reducer's output."""
    return _bounded(f"{reducer}/{key}/{seq}")


def send_outcome_id(send_id: str, outcome: str) -> str:
    """Return the event id of what became of a send."""
    return _bounded(f"outbound/{send_id}/{outcome}")


def dead_letter_id(reducer: str, topic: str, partition: int, offset: int) -> str:
    """Return the event id of a dead letter: the same however often the record fails."""
    return f"{reducer}/{topic}/{partition}/{offset}"


def digest(value: str) -> str:
    """Return DIGEST_CHARACTERS that stand for `value` in a bounded memory of ids (64 bits)."""
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=DIGEST_CHARACTERS // 2).hexdigest()


def remember_digest(remembered: str, digest: str, digests_max: int) -> str:
    """Return `remembered` with `digest` as its youngest; the oldest is forgotten beyond `digests_max`.

    Such a memory is one text, a digest and a space each: copied, written and read at once, and a tenth as large as a text for each.
    """
    if remembers_digest(remembered, digest):
        return remembered
    return f"{remembered}{digest} "[-digests_max * (DIGEST_CHARACTERS + 1) :]


def remembers_digest(remembered: str, digest: str) -> bool:
    """Return whether `digest` is in a memory that remember_digest made."""
    return len(digest) == DIGEST_CHARACTERS and f"{digest} " in remembered


def count_digests(remembered: str) -> int:
    """Return how many digests are in a memory."""
    return len(remembered) // (DIGEST_CHARACTERS + 1)


def new_id() -> str:
    """Return an id that nobody has, for what has no name yet (a process, an integrator's command)."""
    return uuid.uuid4().hex
