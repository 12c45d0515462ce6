"""Where waiting conversations stand, and how long it may take."""

from __future__ import annotations

from services.router.core.floor import Floor
from services.router.state import Work
from shared.events.work import QueuePositionChanged

PLACES_PUBLISHED_MAX = 10
"""How many places at the head of a queue are kept up to date; further back, a customer hears their place when they enter."""


def announce_places(floor: Floor) -> None:
    """Publish the place of every conversation at the head of the queue that moved, and of every one that is new."""
    for index, work in enumerate(floor.waiting):
        place = index + 1
        if work.place != place and (place <= PLACES_PUBLISHED_MAX or not work.place):
            floor.waiting[index] = work.model_copy(update={"place": place})
            _announce(floor, work, place)


def expected_wait_seconds(floor: Floor, place: int) -> int | None:
    """Return how long `place` may take: the recent mean of what one place took, times the places; None: nobody has waited yet."""
    if not floor.place_seconds:
        return None
    return round(sum(floor.place_seconds) / len(floor.place_seconds) * place)


def _announce(floor: Floor, work: Work, place: int) -> None:
    """Publish one place."""
    floor.emit(
        work.thread,
        QueuePositionChanged(
            conversation_id=work.conversation_id, position=place, expected_wait_seconds=expected_wait_seconds(floor, place)
        ),
    )
