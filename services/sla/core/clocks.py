"""One clock: how a promise to a customer counts, rests, warns and breaks. Business time is the calendar's of the promise.

A clock is started, paused, resumed and ended at moments that the events name, not at the moment we read them; so it comes out the
same however late we are. A breach that the timer had no time to say is said before whatever ends or pauses the clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.sla.core.rules import Target
from services.sla.core.windows import Said
from services.sla.state import Clock, ClockKind
from shared.contact_centre.calendars import SEARCH_DAYS_MAX
from shared.events.envelope import EventData
from shared.events.sla import ClockBreached, ClockCancelled, ClockMet, ClockPaused, ClockResumed, ClockStarted, ClockWarned

MILLISECOND = timedelta(milliseconds=1)
HORIZON = timedelta(days=SEARCH_DAYS_MAX)
"""Where a due time is put that the calendar does not reach: a calendar that never opens breaks no promise for over a year."""

ClockFact = type[ClockStarted | ClockPaused | ClockResumed | ClockMet | ClockWarned | ClockBreached | ClockCancelled]


def started(kind: ClockKind, target: Target, since: datetime) -> Clock:
    """Return a clock that runs since `since`."""
    due_at, next_at = _aim(target, since, seconds=target.target_seconds)
    return Clock(
        kind=kind,
        policy=target.policy,
        target_seconds=target.target_seconds,
        started_at=since,
        counting_since=since,
        due_at=due_at,
        next_at=next_at,
    )


def carried_over(clock: Clock, target: Target, at: datetime) -> Clock:
    """Return `clock` under another promise: what has been counted stays counted, what runs now counts on the new calendar from its start.

    What the old promise warned or broke was another promise's. The due time of a paused clock is as if it went on at `at`.
    """
    due_at, next_at = _aim(target, clock.counting_since or at, seconds=target.target_seconds, used=clock.used_milliseconds)
    changes: dict[str, object] = {"policy": target.policy, "target_seconds": target.target_seconds, "warned": 0, "breached": False}
    return clock.model_copy(update=changes | {"due_at": due_at, "next_at": None if clock.counting_since is None else next_at})


def moved_earlier(clock: Clock, target: Target, since: datetime) -> Clock:
    """Return `clock` as if it had been started at `since`: an older message came late. What was said stays said."""
    return _running(clock, target, since, started_at=since)


def paused(clock: Clock, target: Target, at: datetime, *, rests: bool = False) -> Clock:
    """Return `clock`, which runs, paused from `at` on; `rests` where a bot's answer is why."""
    used = _used(clock, target, at) // MILLISECOND
    breached = clock.breached or clock.due_at <= at
    changes: dict[str, object] = {"counting_since": None, "paused_at": at, "used_milliseconds": used, "next_at": None}
    return clock.model_copy(update=changes | {"breached": breached, "rests": rests})


def resumed(clock: Clock, target: Target, at: datetime) -> Clock:
    """Return `clock` running again from `at` on (not before it was paused), its due time moved by as long as it rested."""
    return _running(clock, target, max(at, clock.paused_at or at), rests=False)


def run_out(clock: Clock, at: datetime) -> Clock:
    """Return `clock` as broken, where it had run out at `at`: whoever keeps it has said so."""
    if clock.counting_since is None or clock.due_at > at:
        return clock
    return clock.model_copy(update={"breached": True, "next_at": None})


def fired(clock: Clock, target: Target, conversation_id: str, now: datetime) -> tuple[Clock, list[Said]]:
    """Return `clock` with everything said that was due by `now`: each warning once, in order, and the breach once.

    When the breach is due too (after an outage), the warnings of it are past use and only the breach is said; how late it is
    shows in its `elapsed_seconds`.
    """
    said: list[Said] = []
    while (moment := clock.next_at) is not None and moment <= now:
        if clock.due_at <= now:
            said.append((clock.due_at, fact_of(ClockBreached, clock, target, conversation_id, now)))
            clock = clock.model_copy(update={"breached": True, "next_at": None})
        else:
            said.append((moment, fact_of(ClockWarned, clock, target, conversation_id, now)))
            clock = clock.model_copy(update={"warned": clock.warned + 1})
            clock = _running(clock, target, clock.counting_since or now)
    return clock, said


def unsaid_breach(clock: Clock, target: Target, conversation_id: str, at: datetime) -> list[EventData]:
    """Return the breach, where the clock had run out at `at` and nobody was told."""
    if clock.breached or clock.counting_since is None or clock.due_at > at:
        return []
    return [fact_of(ClockBreached, clock, target, conversation_id, at)]


def fact_of(fact: ClockFact, clock: Clock, target: Target, conversation_id: str, at: datetime) -> EventData:
    """Return `fact` about `clock` as it stands at `at`."""
    return fact(
        conversation_id=conversation_id,
        clock=clock.kind,
        policy=clock.policy,
        due_at=clock.due_at,
        elapsed_seconds=int(_used(clock, target, at).total_seconds()),
        target_seconds=clock.target_seconds,
    )


def _used(clock: Clock, target: Target, at: datetime) -> timedelta:
    """Return the business time that `clock` has counted at `at`."""
    used = clock.used_milliseconds * MILLISECOND
    if clock.counting_since is None or at <= clock.counting_since:
        return used
    return used + target.calendar.business_time_between(clock.counting_since, at)


def _running(clock: Clock, target: Target, since: datetime, **changes: object) -> Clock:
    """Return `clock` counting from `since` on, with `changes`, and its due time and next moment worked out."""
    due_at, next_at = _aim(target, since, seconds=clock.target_seconds, used=clock.used_milliseconds, warned=clock.warned)
    return clock.model_copy(update=changes | {"counting_since": since, "due_at": due_at, "next_at": None if clock.breached else next_at})


def _aim(target: Target, since: datetime, *, seconds: int, used: int = 0, warned: int = 0) -> tuple[datetime, datetime]:
    """Return the due time and the next moment of a clock of `seconds` that counts from `since` on.

    `used` are milliseconds counted before; `warned` warnings were given.
    """
    due_at = _moment_of(target, since, seconds * 1000 - used)
    if warned >= len(target.warn_before_seconds):
        return due_at, due_at
    return due_at, _moment_of(target, since, (seconds - target.warn_before_seconds[warned]) * 1000 - used)


def _moment_of(target: Target, since: datetime, milliseconds: int) -> datetime:
    """Return when so many milliseconds of business time have passed since `since`; none left: at once."""
    if milliseconds <= 0:
        return since
    return target.calendar.add_business_time(since, milliseconds * MILLISECOND) or since + HORIZON
