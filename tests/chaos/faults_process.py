"""F7 to F11: processes that are killed, restarted, frozen, blocked, or that lose a background task."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from devstack.faults.conditions import DOWN, Condition
from devstack.stack import SERVICES
from tests.chaos.house import SESSION_SECONDS
from tests.chaos.saboteur import BLOCK_VARIABLE, COORDINATOR, FETCHER, SENDER, TASKS_VARIABLE
from tests.chaos.trial import Fault, Trial

READING_SERVICES = ("router", "bot", "sla", "outbound")
JOIN_SECONDS_MAX = 15.0
"""How long a group may take to form after a member's session ended: the broker's rounds and a busy machine."""
LAG_SECONDS_MAX = 30.0
LIVENESS_SECONDS_MAX = 60.0
SECOND_INSTANCE = "1"
FREEZES_MAX = 4
PATIENCE_SECONDS = 60.0


async def killed_mid_batch(trial: Trial) -> None:
    """F7: each reader is killed while a batch waits for its acknowledgement; then one of two routers dies for good."""
    house = trial.house
    for service in ("router", "outbound") if trial.short else READING_SERVICES:
        house.edges.broker[service].set(DOWN, Condition(latency_seconds=0.4))
        await trial.last(1.0)
        trial.begins()
        house.stack.children[service].kill()
        trial.ends()
        house.edges.broker[service].heal()
        await house.until_restarted(service)
        trial.check(f"{service} goes on after its restart", holds=await trial.recovered(messages=5))
    second = await house.start("router", instance=SECOND_INSTANCE)
    await trial.recovered(messages=5)
    killed_at = time.time()
    house.stack.children["router"].kill(restart=False)
    trial.ends()
    await trial.last(1.0)
    taken = await trial.caught_up(SESSION_SECONDS + JOIN_SECONDS_MAX + PATIENCE_SECONDS)
    trial.measured()
    silence = _longest_silence(trial, killed_at)
    trial.check(
        "another process takes the partitions within session and join",
        holds=taken and SESSION_SECONDS / 2 < silence <= SESSION_SECONDS + JOIN_SECONDS_MAX,
        seen=f"{silence:.1f} s, session {SESSION_SECONDS:.0f} s",
    )
    await house.restart("router")
    await house.stack.stop_service(second)
    trial.check("all go on with one process again", holds=await trial.recovered(messages=5))


def _longest_silence(trial: Trial, since: float) -> float:
    """Return the worst delay of messages that were due since a moment."""
    posts = trial.house.provider.posts.values()
    return max(trial.delays(frozenset(post.customer for post in posts), since), default=0.0)


async def rolling_restart(trial: Trial) -> None:
    """F8: every service is stopped and started again, one after the other."""
    house = trial.house
    house.gauges.forget_extremes()
    for service in SERVICES:
        trial.begins()
        await house.restart(service)
        trial.ends()
        await trial.recovered(messages=5)
    lag = house.gauges.highest["parley_lag_seconds"]
    trial.check("lag below 30 s", holds=lag < LAG_SECONDS_MAX, seen=f"{lag:.1f} s at most")
    trial.check("all go on", holds=await trial.recovered())
    trial.note(f"{house.gauges.total('parley_fenced_total'):.0f} saves fenced so far")


async def zombie(trial: Trial) -> None:
    """F9: one of two routers freezes while it saves; the other takes over; then the first one wakes and saves late."""
    house = trial.house
    second = await house.start("router", instance=SECOND_INSTANCE)
    await trial.recovered(messages=5)
    before = house.gauges.total("parley_fenced_total", process="router")
    fenced, freezes = 0.0, 0
    while not fenced and freezes < FREEZES_MAX:
        freezes += 1
        child = house.stack.children["router"]
        with _locked(house.stack.options.directory / "data" / "router.sqlite3"):
            await trial.last(1.0)
            trial.begins()
            child.freeze()
        await trial.last(SESSION_SECONDS + 3)
        await trial.recovered(messages=10)
        child.thaw()
        trial.ends()
        await trial.recovered(messages=5)
        await house.gauges.sample()
        fenced = house.gauges.total("parley_fenced_total", process="router") - before
    trial.measured()
    trial.check("the late save is refused", holds=fenced >= 1, seen=f"{fenced:.0f} fenced, {freezes} freezes")
    trial.check("nobody had to be restarted", holds=not house.restarts_since(trial.began_at, "router"))
    await house.stack.stop_service(second)
    trial.check("all go on with one process again", holds=await trial.recovered(messages=5))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a store, so that whoever saves waits in the middle of it."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def blocked_loop(trial: Trial) -> None:
    """F10: the router's event loop computes for longer than its session; its probes answer meanwhile."""
    house = trial.house
    seconds = trial.seconds(SESSION_SECONDS + 4, 60)
    await house.restart("router", sabotaged=True, environment={BLOCK_VARIABLE: str(seconds)})
    await trial.recovered(messages=5)
    await house.gauges.sample()
    rebalances = house.gauges.total("parley_rebalances_total", process="router")
    before = house.gauges.total("parley_loop_blocked_seconds_total", process="router")
    trial.begins()
    house.stack.children["router"].send_signal(signal.SIGUSR1)
    await trial.last(seconds / 2)
    alive = await house.gauges.probe("router", "/live")
    await trial.last(seconds / 2)
    trial.ends()
    back = await trial.recovered()
    trial.measured()
    await house.gauges.sample()
    joined = house.gauges.total("parley_rebalances_total", process="router") - rebalances
    blocked = house.gauges.total("parley_loop_blocked_seconds_total", process="router") - before
    trial.check("its probes answer meanwhile", holds=alive[0] == HTTPStatus.OK, seen=alive)
    trial.check("it is evicted and joins again", holds=joined >= 1, seen=f"{joined:.0f} assignments")
    trial.check("work goes on, without a restart", holds=back and not house.restarts_since(trial.began_at, "router"))
    trial.check("the metric shows it", holds=blocked >= seconds * 0.8, seen=f"{blocked:.0f} s of {seconds:.0f} s")
    await house.restart("router")


async def silent_death(trial: Trial) -> None:
    """F11: background tasks of the Kafka client end, one kind after the other, in a reducer and in the worker."""
    house = trial.house
    kinds = (COORDINATOR, FETCHER, SENDER) if not trial.short else (COORDINATOR,)
    for service in ("router", "outbound"):
        for kind in kinds:
            await house.restart(service, sabotaged=True, environment={TASKS_VARIABLE: kind})
            await trial.recovered(messages=5)
            sends = _outcomes(trial) + 5
            trial.begins()
            began = time.time()
            house.stack.children[service].send_signal(signal.SIGUSR2)
            trial.ends()
            back = await trial.recovered(LIVENESS_SECONDS_MAX, messages=20)
            sent = await _until_outcomes(trial, sends)
            trial.check(
                f"{service} without {kind.strip('_')} works again within 60 s",
                holds=back and sent and time.time() - began <= LIVENESS_SECONDS_MAX,
                seen=f"{time.time() - began:.0f} s",
            )
        trial.check(f"{service} replaced its client without a restart", holds=not house.restarts_since(trial.began_at, service))
        await house.restart(service)


async def _until_outcomes(trial: Trial, wanted: int) -> bool:
    """Wait until more than so many sends have an outcome."""
    return await trial.house.until(lambda: _outcomes(trial) > wanted, LIVENESS_SECONDS_MAX)


def _outcomes(trial: Trial) -> int:
    """Return how many sends have an outcome."""
    kinds = trial.house.records.board.kinds
    return kinds["send.accepted"] + kinds["send.refused"] + kinds["send.unknown"]


FAULTS = (
    Fault(
        "F7",
        "A worker killed in the middle of a batch",
        "replayed within session and join; nothing lost, nothing doubled",
        killed_mid_batch,
    ),
    Fault("F8", "Rolling restart", "lag below 30 s, no loss, duplicates fenced", rolling_restart),
    Fault("F9", "A rebalance while a batch runs; a zombie writes late", "the stale write is fenced, the newer state survives", zombie),
    Fault("F10", "The event loop is blocked", "evicted, joins again, work goes on; the metric shows it", blocked_loop),
    Fault(
        "F11",
        "A background task of the Kafka client dies silently",
        "noticed within 60 s, works again (here: the client is replaced in place)",
        silent_death,
    ),
)
