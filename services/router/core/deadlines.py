"""What sla says about time: promises that run and windows that close make a waiting conversation urgent."""

from __future__ import annotations

from services.router.core.memory import remember_by_name, without
from services.router.core.ownership import nearest_deadline, tell_urgency
from services.router.core.turn import Turn
from shared.events.sla import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarned,
    WindowClosed,
    WindowClosing,
    WindowOpened,
)

WINDOWS_MAX = 8
"""How many permissions of one thread are remembered with their end; clocks have three names."""


def take_running_clock(turn: Turn, clock: ClockStarted | ClockResumed | ClockWarned | ClockBreached) -> None:
    """A promise runs and is due then; one that is broken stays the most urgent until it is met."""
    state = turn.state
    if state.is_open and clock.conversation_id == turn.conversation_id and state.clocks.get(clock.clock) != clock.due_at:
        before = nearest_deadline(state)
        turn.update(clocks={**state.clocks, clock.clock: clock.due_at})
        if nearest_deadline(turn.state) != before:
            tell_urgency(turn)


def take_stopped_clock(turn: Turn, clock: ClockPaused | ClockMet | ClockCancelled) -> None:
    """A promise rests or ended."""
    state = turn.state
    if clock.conversation_id == turn.conversation_id and clock.clock in state.clocks:
        before = nearest_deadline(state)
        turn.update(clocks=without(state.clocks, clock.clock))
        if nearest_deadline(turn.state) != before:
            tell_urgency(turn)


def take_open_window(turn: Turn, window: WindowOpened | WindowClosing) -> None:
    """The channel lets us write until then. It belongs to the thread and outlives the conversation."""
    state = turn.state
    if state.windows.get(window.permission) != window.ends_at:
        before = nearest_deadline(state)
        turn.update(windows=remember_by_name(state.windows, window.permission, window.ends_at, WINDOWS_MAX))
        if nearest_deadline(turn.state) != before:
            tell_urgency(turn)


def take_closed_window(turn: Turn, window: WindowClosed) -> None:
    """A window ended."""
    state = turn.state
    if window.permission in state.windows:
        before = nearest_deadline(state)
        turn.update(windows=without(state.windows, window.permission))
        if nearest_deadline(turn.state) != before:
            tell_urgency(turn)
