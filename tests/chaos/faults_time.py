"""F18 and F19: a service that was away for hours, and clocks that do not agree."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shared.events.conversations import MessageAppended
from shared.events.deliveries import SendAccepted, SendRefused, SendUnknown
from shared.events.inbound import MessageReceived
from shared.events.sends import SendRequested
from shared.events.sla import WindowClosed, WindowOpened
from tests.chaos.counting import due_of
from tests.chaos.house import House
from tests.chaos.trial import Fault, Trial

SKEW_VARIABLE = "PARLEY_CLOCK_SKEW_SECONDS"
AWAY_SECONDS = 2 * 3600
SKEW_SECONDS = 300
WINDOW = timedelta(hours=24)
WINDOW_MARGIN_SECONDS = 300
"""The first of the windows here ends so long after it was armed: later than anything that is still being worked on."""
PATIENCE_SECONDS = 90.0
HOW = "the two hours pass by the clock setting of the service (PARLEY_CLOCK_SKEW_SECONDS), the timers by messages of yesterday"


async def two_hours_away(trial: Trial) -> None:
    """F18: windows that end while sla is away; some of them were opened anew before."""
    house = trial.house
    customers = int(trial.seconds(20, 60))
    chance = random.Random(customers)
    script = await house.new_customers(customers)
    overdue: dict[str, datetime] = {}
    cancelled: set[str] = set()
    wrote: dict[str, list[str]] = defaultdict(list)
    for number in range(customers):
        left = chance.uniform(WINDOW_MARGIN_SECONDS, AWAY_SECONDS - WINDOW_MARGIN_SECONDS)
        name, account = script.customer(number).id, script.account(number)
        ago = int(WINDOW.total_seconds() - left)
        wrote[name].append(await house.emulator_writes(name, account, script.text(number), ago_seconds=ago, wait="acknowledged"))
        if number % 4 == 0:
            wrote[name].append(await house.emulator_writes(name, account, script.text(number + customers), wait="acknowledged"))
    board = house.records.board
    ids = {message: name for name, messages in wrote.items() for message in messages}

    def armed() -> bool:
        received = [event for event in house.records.events(MessageReceived) if event.data.message_id in ids]
        for event in received:
            name = ids[event.data.message_id]
            (cancelled.add if len(wrote[name]) > 1 else lambda _t: None)(event.subject)
            overdue[event.subject] = max(overdue.get(event.subject, event.data.sent_at), event.data.sent_at)
        opened = {event.subject: event.data.ends_at for event in house.records.events(WindowOpened) if event.data.permission == "free_form"}
        latest = {thread: max((e.data.ends_at for e in board.of_thread(thread, WindowOpened)), default=None) for thread in overdue}
        return len(received) == len(ids) and all(thread in opened and latest[thread] == sent + WINDOW for thread, sent in overdue.items())

    trial.check("the windows are armed", holds=await house.until(armed, PATIENCE_SECONDS), seen=f"{len(overdue)} threads")
    await house.until(lambda: _all_answered(house, overdue), PATIENCE_SECONDS)
    await house.stack.stop_service("sla")
    due = await due_of(house, overdue)
    trial.begins()
    await trial.last(trial.seconds(1, 5))
    expected = set(overdue) - cancelled
    await house.start("sla", environment={SKEW_VARIABLE: str(AWAY_SECONDS)})
    trial.ends()

    def closed() -> dict[str, list[WindowClosed]]:
        found: dict[str, list[WindowClosed]] = defaultdict(list)
        for event in house.records.of_kind(WindowClosed):
            if event.subject in overdue and event.data.permission == "free_form":
                found[event.subject].append(event.data)
        return found

    await house.until(lambda: expected <= closed().keys(), PATIENCE_SECONDS)
    await trial.recovered(messages=5)
    found = closed()
    once = expected <= found.keys() and all(len(facts) == 1 for facts in found.values())
    trial.check("every overdue timer fires once", holds=once, seen=f"{sum(map(len, found.values()))} closed for {len(expected)} overdue")
    trial.check("cancelled ones do not fire", holds=not cancelled & found.keys(), seen=f"{len(cancelled)} cancelled")
    disordered = _disordered(trial, expected, due)
    trial.check("the oldest timer first", holds=not disordered, seen=", ".join(disordered) or "per partition, as the store had them")
    late = [event for event in house.records.events(WindowClosed) if event.subject in expected and event.time <= event.data.ended_at]
    trial.check("each tells its own moment, and that it is late", holds=not late and bool(expected), seen=f"{len(expected)} facts")
    trial.check("work goes on", holds=await trial.recovered())
    trial.measured()
    await house.restart("sla")


def _all_answered(house: House, threads: Iterable[str]) -> bool:
    """Return whether every send that was asked for on some threads has an outcome: none of their timers moves any more."""
    chosen = set(threads)
    requested = {event.data.send_id for event in house.records.events(SendRequested) if event.subject in chosen}
    return requested <= {event.data.send_id for event in house.records.events(SendAccepted, SendRefused, SendUnknown)}


def _disordered(trial: Trial, threads: set[str], due: Mapping[str, int]) -> list[str]:
    """Return the partitions on which closed windows of `threads` are not in the order in which their timers were due."""
    fired: dict[int, list[int]] = defaultdict(list)
    for event in trial.house.records.of_kind(WindowClosed):
        if event.subject in threads:
            fired[trial.house.records.first_place[event.id][1]].append(due[event.subject])
    return [f"partition {number}" for number, found in fired.items() if found != sorted(found)]


async def skewed_clocks(trial: Trial) -> None:
    """F19: the router's clock is five minutes ahead, that of sla five minutes behind."""
    house = trial.house
    house.gauges.forget_extremes()
    known = {event.id for event in house.records.events(MessageAppended)}
    trial.begins()
    await house.restart("router", environment={SKEW_VARIABLE: str(SKEW_SECONDS)})
    await house.restart("sla", environment={SKEW_VARIABLE: str(-SKEW_SECONDS)})
    back = await trial.recovered(messages=20)
    await trial.last(trial.seconds(3, 10))
    await house.gauges.sample()
    highest, lowest = house.gauges.highest["parley_clock_skew_seconds"], house.gauges.lowest["parley_clock_skew_seconds"]
    await house.restart("router")
    await house.restart("sla")
    trial.ends()
    trial.check("work goes on", holds=back and await trial.recovered())
    board = house.records.board
    sent = {event.data.message_id: event.data.sent_at for event in house.records.events(MessageReceived)}
    messages = [e for e in house.records.events(MessageAppended) if e.id not in known and e.data.direction == "in"]
    wrong = [e.id for e in messages if e.data.sent_at != sent[e.data.message_id or ""]]
    trial.check("messages keep the provider's time", holds=bool(messages) and not wrong, seen=f"{len(messages)} messages")
    ends = {event.data.ends_at for thread in {e.subject for e in messages} for event in board.of_thread(thread, WindowOpened)}
    moments = {at + WINDOW for at in sent.values()}
    trial.check(
        "no window is shortened or lengthened", holds=bool(ends) and ends <= moments, seen=f"{len(ends)} ends, {len(ends - moments)} wrong"
    )
    trial.check(
        "the skew shows in the metric",
        holds=highest >= SKEW_SECONDS - 30 and lowest <= -SKEW_SECONDS + 30,
        seen=f"{lowest:.0f} s to {highest:.0f} s",
    )


FAULTS = (
    Fault(
        "F18",
        "sla is away for two hours",
        "each overdue timer fires once, oldest first, telling that it is late; cancelled ones do not fire",
        two_hours_away,
        mixed=False,
        where=HOW,
    ),
    Fault(
        "F19",
        "Clocks five minutes ahead and behind",
        "due times from event time, windows neither shorter nor longer, the skew metric shows it",
        skewed_clocks,
        where="the clock setting of the services (PARLEY_CLOCK_SKEW_SECONDS)",
    ),
)
