"""Reply windows: until when did the customer's acts allow us to write, and when is somebody to be told?

A channel lets a business write freely only for a while after the customer did something; several permissions may be open side by
side. Which act opens what, and for how long, is the channel's dated policy (WhatsApp: "Send messages", 2025-11-04; Messenger:
"Policy", 2026-09-28). Here is only the reasoning. Only the customer's acts open a window: our own messages and the channel's
statuses never do.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from services.sla.core.rules import ChannelRules, holds_at
from services.sla.state import Window
from shared.events.envelope import EventData
from shared.events.shapes import Choice, Content
from shared.events.sla import WindowClosed, WindowClosing, WindowOpened

SKEW_TOLERATED = timedelta(minutes=10)
"""How far a channel's time may be ahead of our clock and is taken for right: twice what clocks are known to be off."""
Said = tuple[datetime, EventData]
"""Something to say, and the moment it is about."""


def act_of(content: Content) -> str:
    """Return what the customer did by sending `content`, in the words of the policy: tapped a choice of ours, or wrote."""
    return "choice" if isinstance(content, Choice) else "message"


def believed(sent_at: datetime, now: datetime) -> datetime:
    """Return the channel's time of an act, or `now` where it lies in a future that no clock that is off a little explains.

    So a clock of ours that is behind shortens no window and no promise, and nothing is opened by the future.
    """
    return sent_at if sent_at <= now + SKEW_TOLERATED else now


def window_of(windows: tuple[Window, ...], permission: str) -> Window | None:
    """Return the window of `permission`, open or over, or None where it was never given."""
    return next((window for window in windows if window.permission == permission), None)


def open_windows(
    windows: tuple[Window, ...], rules: ChannelRules, act: str, *, acted_at: datetime, now: datetime
) -> tuple[tuple[Window, ...], list[EventData]]:
    """Return the windows after the customer acted, and what is to be said of it.

    Each permission keeps the opening that ends last, so a late or repeated act never shortens what a younger one gave. Each
    opening that moves an end is published: whoever counts down always has the exact end, and there are never more of them than
    the customer's messages times the permissions. `acted_at` is the channel's time (`believed`).
    """
    acted_at = believed(acted_at, now)
    facts: list[EventData] = []
    for rule in rules.policy.windows:
        if act not in rule.opened_by or not holds_at(rule, acted_at):
            continue
        ends_at = acted_at + timedelta(seconds=rule.length_seconds)
        current = window_of(windows, rule.permission)
        if current is not None and current.ends_at >= ends_at:
            continue
        next_at = _next_moment(acted_at, ends_at, rules, now)
        opened = Window(permission=rule.permission, acted_at=acted_at, ends_at=ends_at, next_at=next_at)
        windows = (*(window for window in windows if window is not current), opened)
        facts += _said_of_opening(current, opened, rules, act, now)
    return windows, facts


def _said_of_opening(current: Window | None, opened: Window, rules: ChannelRules, act: str, now: datetime) -> list[EventData]:
    """Return what is to be said when `opened` takes the place of `current`.

    The end of an older window that nobody was told of yet (its timer is late) is said first.
    """
    was_open = current is not None and current.next_at is not None
    facts: list[EventData] = []
    if current is not None and was_open and current.ends_at <= opened.acted_at:
        facts.append(WindowClosed(permission=current.permission, ended_at=current.ends_at))
        was_open = False
    if opened.next_at is None:
        # The act is so old that what it gave is over: news only to those who hold the window for open.
        return [*facts, WindowClosed(permission=opened.permission, ended_at=opened.ends_at)] if was_open else facts
    facts.append(WindowOpened(permission=opened.permission, ends_at=opened.ends_at, opened_by=act))
    if not was_open:
        facts += _closing(opened, rules, now)
    return facts


def settle_windows(windows: tuple[Window, ...], rules: ChannelRules | None, now: datetime) -> tuple[tuple[Window, ...], list[Said]]:
    """Return the windows with everything said that was due by `now`.

    Of several marks that passed together (after an outage) only the nearest is said, and none once the window is over. `rules`
    is None for a channel that is no longer installed: its windows still end.
    """
    said: list[Said] = []
    settled: list[Window] = []
    for window in windows:
        if window.next_at is None or window.next_at > now:
            settled.append(window)
            continue
        next_at = _next_moment(window.acted_at, window.ends_at, rules, now)
        if next_at is None:
            said.append((window.ends_at, WindowClosed(permission=window.permission, ended_at=window.ends_at)))
        else:
            said += [(window.next_at, fact) for fact in _closing(window, rules, now)]
        settled.append(window.model_copy(update={"next_at": next_at}))
    return tuple(settled), said


def close_refused(
    windows: tuple[Window, ...], permission: str, *, asked_at: datetime, now: datetime
) -> tuple[tuple[Window, ...], list[EventData]]:
    """Return the windows after the channel refused a send that was asked for at `asked_at`: its clock decides, not ours.

    What the customer did since then is not touched, and only an act that ends later opens the permission again.
    """
    window = window_of(windows, permission)
    if window is None or window.next_at is None or window.acted_at > asked_at:
        return windows, []
    closed = window.model_copy(update={"next_at": None})
    fact = WindowClosed(permission=permission, ended_at=min(now, window.ends_at), reason="refused_by_channel")
    return tuple(closed if other is window else other for other in windows), [fact]


def is_open(window: Window | None, at: datetime) -> bool:
    """Return whether the permission holds at `at`, as far as we were told."""
    return window is not None and window.next_at is not None and at < window.ends_at


def _moments(acted_at: datetime, ends_at: datetime, rules: ChannelRules | None) -> Iterator[tuple[timedelta, datetime]]:
    """Yield each mark of a window and its moment, in order of time; a mark before the window opened would say nothing."""
    for mark in () if rules is None else rules.marks:
        moment = ends_at - mark
        if moment > acted_at:
            yield mark, moment


def _next_moment(acted_at: datetime, ends_at: datetime, rules: ChannelRules | None, now: datetime) -> datetime | None:
    """Return the next mark after `now`, or the end, or None where that has passed too."""
    for _, moment in _moments(acted_at, ends_at, rules):
        if moment > now:
            return moment
    return ends_at if ends_at > now else None


def _closing(window: Window, rules: ChannelRules | None, now: datetime) -> list[EventData]:
    """Return the warning of the nearest mark that has passed, where one has."""
    passed = [mark for mark, moment in _moments(window.acted_at, window.ends_at, rules) if moment <= now]
    if not passed:
        return []
    remaining = int((window.ends_at - now).total_seconds())
    return [WindowClosing(permission=window.permission, ends_at=window.ends_at, remaining_seconds=remaining, mark=mark_name(passed[-1]))]


def mark_name(mark: timedelta) -> str:
    """Return the mark as people write it: `4h`, `10m`, `90m`, `30s`."""
    seconds = int(mark.total_seconds())
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
