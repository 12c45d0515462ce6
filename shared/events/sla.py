"""`sla` (key: thread): windows and clocks. Written by sla; read by the router, desks, insights, integrators."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.events.envelope import EventData, Timestamp


class WindowOpened(EventData):
    """The channel lets us write with `permission` until `ends_at`; `opened_by` names the kind of act."""

    NAME: ClassVar[str] = "window.opened"
    permission: str
    ends_at: Timestamp
    opened_by: str


class WindowClosing(EventData):
    """The window ends soon: `mark` is the T-minus mark that was passed, for example `1h`."""

    NAME: ClassVar[str] = "window.closing"
    permission: str
    ends_at: Timestamp
    remaining_seconds: int
    mark: str


class WindowClosed(EventData):
    """The window ended, or the channel said that it has."""

    NAME: ClassVar[str] = "window.closed"
    permission: str
    ended_at: Timestamp
    reason: Literal["expired", "refused_by_channel"] = "expired"


class _Clock(EventData):
    """A promise to the customer. Times are business time of the policy's calendar; `due_at` is a wall-clock moment."""

    conversation_id: str
    clock: Literal["first_response", "next_response", "resolution"]
    policy: str
    due_at: Timestamp
    elapsed_seconds: int
    target_seconds: int


class ClockStarted(_Clock):
    """The customer waits."""

    NAME: ClassVar[str] = "clock.started"


class ClockPaused(_Clock):
    """The promise rests (the customer is asked something, the conversation is snoozed)."""

    NAME: ClassVar[str] = "clock.paused"


class ClockResumed(_Clock):
    """The promise runs again."""

    NAME: ClassVar[str] = "clock.resumed"


class ClockMet(_Clock):
    """The promise was kept."""

    NAME: ClassVar[str] = "clock.met"


class ClockWarned(_Clock):
    """The promise is in danger."""

    NAME: ClassVar[str] = "clock.warned"


class ClockBreached(_Clock):
    """The promise was broken."""

    NAME: ClassVar[str] = "clock.breached"


class ClockCancelled(_Clock):
    """The promise does not apply any more."""

    NAME: ClassVar[str] = "clock.cancelled"


SlaData = (
    WindowOpened
    | WindowClosing
    | WindowClosed
    | ClockStarted
    | ClockPaused
    | ClockResumed
    | ClockMet
    | ClockWarned
    | ClockBreached
    | ClockCancelled
)
