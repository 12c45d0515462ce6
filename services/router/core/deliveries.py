"""What became of our messages: the furthest status of the last ones."""

from __future__ import annotations

from services.router.core.memory import remember_by_name
from services.router.core.turn import Turn
from shared.events.deliveries import MessageDelivered, MessageFailed, MessagePlayed, MessageRead, MessageSent

DELIVERIES_MAX = 16
"""How many messages of ours are remembered per thread."""

_STATUSES = ("message.sent", "message.failed", "message.delivered", "message.read", "message.played")
_RANK = {name: rank for rank, name in enumerate(_STATUSES)}


def take_status(turn: Turn, status: MessageSent | MessageDelivered | MessageRead | MessagePlayed | MessageFailed) -> None:
    """Remember the status if it is further than the one that is known: statuses come late, twice and in any order.

    Failed is further than sent and no further than delivered: a message that reached the customer has not failed.
    """
    known = turn.state.deliveries
    before = known.get(status.message_id)
    if before is None and turn.state.number:
        turn.update(deliveries=remember_by_name(known, status.message_id, status.NAME, DELIVERIES_MAX))
    elif before is not None and _RANK[status.NAME] > _RANK[before]:
        turn.update(deliveries={**known, status.message_id: status.NAME})
