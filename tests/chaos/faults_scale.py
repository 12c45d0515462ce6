"""F20: one tenant floods, and services are scaled up and down."""

from __future__ import annotations

import time

from devstack.load.pace import quantile
from devstack.load.requests import Script
from tests.chaos.trial import Fault, Trial

OTHERS_SECONDS_MAX = 25.0
"""How late other tenants' messages may be, at the 99th percentile, while groups form anew again and again on a busy machine."""
OTHERS_MESSAGES_MIN = 50
"""Of fewer messages a 99th percentile says nothing."""
FLOOD_CUSTOMERS = 3
SCALED = ("router", "sla")


async def flood_and_scale(trial: Trial) -> None:
    """F20: three customers of one number write as much as all others together; router and sla go from one process to many and back."""
    house = trial.house
    instances = [str(number) for number in range(1, 2 if trial.short else 6)]
    made = await house.new_customers(FLOOD_CUSTOMERS)
    flood = Script((house.account(0),), made.texts, FLOOD_CUSTOMERS, made.first_customer, made.run)
    flooding = {flood.customer(number).bsuid for number in range(FLOOD_CUSTOMERS)}
    await house.gauges.sample()
    before = {name: house.gauges.total("parley_rebalances_total", process=name) for name in SCALED}
    trial.begins()
    began = time.time()
    house.provider.start(flood, trial.per_second)
    started: list[str] = []
    for instance in instances:
        started += [await house.start(service, instance=instance) for service in SCALED]
        await trial.recovered(messages=5)
    await trial.last(trial.seconds(3, 10))
    for name in reversed(started):
        await house.stack.stop_service(name)
    trial.ends()
    back = await trial.recovered(90, messages=40)
    await house.gauges.sample()
    others = frozenset(post.customer for post in house.provider.posts.values()) - flooding
    delays = trial.delays(others, began)
    worst = quantile(delays, 0.99) if delays else float("inf")
    bounded = len(delays) >= OTHERS_MESSAGES_MIN and worst <= OTHERS_SECONDS_MAX
    trial.check("other tenants' p99 is bounded", holds=bounded, seen=f"{worst:.1f} s over {len(delays)} messages")
    trial.check("all go on", holds=back)
    for name in SCALED:
        count = house.gauges.total("parley_rebalances_total", process=name) - before[name]
        trial.note(f"{name}: {count:.0f} assignments for {2 * len(instances)} steps")
    trial.check("nobody had to be restarted", holds=not house.restarts_since(began))


FAULTS = (
    Fault(
        "F20",
        "One tenant floods; services scale up and down",
        "per-key order kept, other tenants' p99 bounded, all caught up in the end",
        flood_and_scale,
        mixed=False,
    ),
)
