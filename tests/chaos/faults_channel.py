"""F17: the channel's API refuses, fails, and does not answer, for one of several accounts."""

from __future__ import annotations

import time
from typing import Any

from devstack.load.pace import quantile
from shared.events.deliveries import MessageDelivered, MessageRead, MessageSent, SendAccepted, SendUnknown
from shared.events.sends import SendRequested
from tests.chaos.trial import Fault, Trial

OTHERS_SECONDS_MAX = 10.0
"""How late messages of other accounts may be, at the 99th percentile, on a busy machine."""
HANG_SECONDS = 30.0
BREAKER_FAILURES = 6
"""In a row: one more than opens the account's breaker."""
PATIENCE_SECONDS = 60.0


async def troubled_channel(trial: Trial) -> None:
    """F17: 429, 500, answers that are lost, and none at all."""
    house = trial.house
    account, others = house.account(0), [house.account(1), house.account(2)]
    many = int(trial.seconds(3, 4))
    await trial.recovered(messages=5)
    await house.read_channel()
    counts_before = await house.emulator.counts()
    unknown_before = {event.data.send_id for event in house.records.events(SendUnknown)}
    began = time.time()
    trial.begins()
    met = 0
    troubles: tuple[tuple[str, dict[str, Any]], ...] = (
        ("error", {"code": 130429, "http_status": 429, "count": many}),
        ("lose_answer", {"count": many}),
        ("hang", {"seconds": HANG_SECONDS, "count": 1}),
        ("drop", {"count": 2}),
        ("error", {"code": 131000, "http_status": 500, "count": BREAKER_FAILURES}),
    )
    for kind, fields in troubles:
        await house.emulator.fault(kind, phone_number_id=account, **fields)
        met += await _until_met(trial)
        await trial.recovered(messages=5)
    spent = met == len(troubles)
    trial.ends()
    trial.check("every scripted trouble was met", holds=spent)
    await trial.recovered()
    counts = await house.emulator.counts()
    lost = counts.get("sends.answers_lost", 0) - counts_before.get("sends.answers_lost", 0)
    unanswered = counts.get("sends.unanswered", 0) - counts_before.get("sends.unanswered", 0)

    def new_unknown() -> set[str]:
        return {event.data.send_id for event in house.records.events(SendUnknown)} - unknown_before

    await house.until(lambda: len(new_unknown()) >= lost + unanswered, PATIENCE_SECONDS)
    unknown = new_unknown()
    trial.check(
        "what left without an answer is unknown", holds=len(unknown) == lost + unanswered, seen=f"{len(unknown)} = {lost} + {unanswered}"
    )
    await house.read_channel()
    repeated = [send for send in unknown if sum(house.sends_at_channel[send].values()) > 1 and house.sends_at_channel[send]["accepted"]]
    trial.check("none of them is sent again", holds=not repeated, seen=len(repeated))
    arrived = {send for send in unknown if house.sends_at_channel[send]["answer_lost"]}

    def told() -> set[str | None]:
        return {event.data.send_id for event in house.records.events(MessageSent, MessageDelivered, MessageRead)}

    await house.until(lambda: arrived <= told(), PATIENCE_SECONDS)
    trial.check(
        "a status settles those that arrived", holds=bool(arrived) and arrived <= told(), seen=f"{len(arrived & told())} of {len(arrived)}"
    )
    customers = frozenset(post.customer for post in house.provider.posts.values() if post.account in others)
    delays = _answers(trial, customers, began)
    worst = quantile(delays, 0.99) if delays else float("inf")
    trial.check("other accounts are not held up", holds=worst <= OTHERS_SECONDS_MAX, seen=f"p99 {worst:.1f} s over {len(delays)} answers")


async def _until_met(trial: Trial) -> bool:
    """Wait until sends have met all of the scripted trouble; return whether they have."""
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    while await trial.house.emulator.faults():
        if time.monotonic() > deadline:
            return False
        await trial.last(0.3)
    return True


def _answers(trial: Trial, customers: frozenset[str], since: float) -> list[float]:
    """Return, in seconds, how long sends to some customers took from the request's record to the acceptance's, since a moment."""
    records = trial.house.records
    requested = {
        event.data.send_id: records.first_at[event.id]
        for event in records.events(SendRequested)
        if event.data.to.id in customers and records.first_at[event.id] >= since
    }
    return [
        records.first_at[event.id] - requested[event.data.send_id]
        for event in records.events(SendAccepted)
        if event.data.send_id in requested
    ]


FAULTS = (
    Fault(
        "F17",
        "The channel answers 429, 5xx, late or never, for one account",
        "other accounts unaffected; time-outs after the send are unknown, settled by status, not sent again",
        troubled_channel,
    ),
)
