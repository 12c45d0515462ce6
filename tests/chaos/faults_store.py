"""F15 and F16: the store goes away, and the store is slow."""

from __future__ import annotations

from devstack.faults.conditions import Condition
from shared.events.work import AssignmentMade
from tests.chaos.house import Surroundings
from tests.chaos.trial import Fault, Trial

SETTLE_SECONDS = 3.0
"""What was loaded or saved before the store went away may still be published."""
SLOW = Condition(latency_seconds=0.5)
"""In each direction: a call takes a second."""
SLOWEST = Condition(latency_seconds=2.5)
"""In each direction, for the calls of one second in ten: these take five."""
SLOWEST_EVERY_SECONDS = 10.0
STAND_IN = "the store port against mongo-java-server through the proxy: no mongod could be started here, so no replica set"


async def failover(trial: Trial) -> None:
    """F15: connections to the store are cut and refused, as in a fail-over; a second time they hang, as when the primary vanishes."""
    house = trial.house
    before = len(house.records.dead_letters())
    for hangs in (False, True):
        seconds = trial.seconds(8, 12)
        trial.begins()
        if hangs:
            house.edges.store.set_both(Condition(black_hole=True))
        else:
            house.edges.store.refuse()
        await trial.last(SETTLE_SECONDS)
        appended = house.appended
        await trial.last(seconds)
        paused = house.appended - appended
        house.edges.store.heal()
        trial.ends()
        how = "hangs" if hangs else "refuses"
        trial.check(f"nothing is appended while the store {how}", holds=paused == 0, seen=paused)
        trial.check(f"goes on after the store {how} no more", holds=await trial.recovered(120))
    letters = len(house.records.dead_letters()) - before
    trial.check("no dead letters", holds=letters == 0, seen=letters)
    trial.check("nothing had to be restarted", holds=not house.restarts_since(trial.began_at))
    doubled = _doubled_assignments(trial)
    trial.check("no assignment twice", holds=not doubled, seen=len(doubled))


def _doubled_assignments(trial: Trial) -> list[str]:
    """Return the conversations that were given to two agents by the same offer: made twice without a lapse between."""
    holder: dict[str, str] = {}
    doubled: list[str] = []
    for event in trial.house.records.of_kind(AssignmentMade):
        conversation, cause = event.data.conversation_id, event.causationid or ""
        if holder.get(conversation) == cause:
            doubled.append(conversation)
        holder[conversation] = cause
    return doubled


async def slow(trial: Trial) -> None:
    """F16: every call of the store takes a second, and one in ten five."""
    house = trial.house
    await trial.recovered(messages=5)
    await house.gauges.sample()
    before = house.gauges.total("parley_rebalances_total")
    letters = len(house.records.dead_letters())
    appended = house.appended
    trial.begins()
    for _ in range(int(trial.seconds(2, 4))):
        house.edges.store.set_both(SLOWEST)
        await trial.last(1.0)
        house.edges.store.set_both(SLOW)
        await trial.last(SLOWEST_EVERY_SECONDS - 1.0)
    meanwhile = house.appended - appended
    house.edges.store.heal()
    trial.ends()
    back = await trial.recovered(120)
    await house.gauges.sample()
    rebalances = house.gauges.total("parley_rebalances_total") - before
    trial.check("heartbeats go on: no rebalance", holds=rebalances == 0, seen=f"{rebalances:.0f}")
    trial.check("work goes on, in larger batches", holds=meanwhile > 0, seen=f"{meanwhile} messages appended")
    trial.check("catches up afterwards", holds=back)
    found = len(house.records.dead_letters()) - letters
    trial.check("no dead letters", holds=found == 0, seen=found)


MONGO = Surroundings(mongo=True)
FAULTS = (
    Fault(
        "F15",
        "The store's primary fails over",
        "consumption pauses, no flood of dead letters, no duplicate assignment",
        failover,
        MONGO,
        mixed=False,
        where=STAND_IN,
    ),
    Fault(
        "F16",
        "The store is slow (1 s a call, one call in ten 5 s)",
        "heartbeats go on, no rebalances, work goes on and catches up",
        slow,
        MONGO,
        mixed=False,
        where=STAND_IN,
    ),
)
