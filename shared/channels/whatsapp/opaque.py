"""What we put into `biz_opaque_callback_data`, and find again on every status of the message.

A status names the message by the vendor's id and the customer by whichever id the vendor may show at that moment, which need not
be the one our thread is called by (a failure to a phone number names no business-scoped id). So the thread's customer travels
along with the send's id, and a status finds its thread without any store.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

_MARK = "parley"
_SEPARATOR = "|"


class OpaqueData(NamedTuple):
    """Our words in the vendor's hands: the thread's customer part and the id of the send."""

    customer: str
    send_id: str


def encode(data: OpaqueData) -> str:
    """Return `parley|<customer>|<send id>`; the customer is percent-encoded where it could be mistaken for the separator."""
    return _SEPARATOR.join((_MARK, quote(data.customer, safe=""), data.send_id))


def decode(value: object) -> OpaqueData | None:
    """Return what `encode` wrote, or None: it is absent, or another sender on the same number wrote it."""
    if not isinstance(value, str):
        return None
    mark, _, rest = value.partition(_SEPARATOR)
    customer, _, send_id = rest.partition(_SEPARATOR)
    if mark != _MARK or not customer or not send_id:
        return None
    return OpaqueData(unquote(customer, errors="replace"), send_id)
