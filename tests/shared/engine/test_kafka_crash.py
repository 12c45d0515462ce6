"""Worker processes on a real broker: killed, frozen, joined, replaced, and their broker killed under them. Nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.kafka import EmbeddedKafka
from shared.topics import CONVERSATIONS, DELIVERIES
from tests.shared.engine.kafka_world import KEYS, PARTITIONS, Place, a_loop, processes, until
from tests.shared.engine.witness import Asked

pytestmark = pytest.mark.broker

TEXTS = ("a", "work", "quiet", "timer", "b")
BACKLOG = 3_000
STOPS_SECONDS_MAX = 40.0
"""How long two stops without a broker may take together: a client alone would wait for ever."""
LONG_SESSION_MILLISECONDS = 60_000
"""Longer than a restart takes on the busiest machine."""
SHORT_SESSION_MILLISECONDS = 12_000
"""Short enough to wait for its end, and longer than a process is ever kept from its heartbeat."""


@pytest.fixture
async def place(kafka_bootstrap: str, tmp_path: Path) -> Place:
    """Make topics of the test's own."""
    one = Place(kafka_bootstrap, tmp_path)
    await one.make()
    return one


async def test_a_process_killed_in_the_middle_of_a_backlog_loses_and_doubles_nothing(place: Place) -> None:
    """Twice, wherever it was: the next one under its name goes on at once, and every effect is there once."""
    await place.write(place.batch(BACKLOG, texts=TEXTS))
    async with processes() as start:
        for seen in (300, 1_200):
            process = await start(place, records_max=100)
            await place.await_count(seen, CONVERSATIONS)
            await process.kill()
        last = await start(place, records_max=100)
        await place.await_answers()
        await place.await_committed()
        report = await last.end()
    assert report["gaps_total"] == 0
    assert 0 < report["events_decided_total"] < BACKLOG
    await place.judged()


async def test_processes_that_join_and_leave_share_the_work_without_loss(place: Place) -> None:
    """Two share the partitions; a restart within the session moves none; one that stays away gives its own to the other."""
    async with processes() as start:
        first = await start(place, "0", session_timeout_milliseconds=LONG_SESSION_MILLISECONDS)
        assert (await first.said("assigned"))["shards"] == [0, 1, 2]
        await place.write(place.batch(500, texts=TEXTS))
        second = await start(place, "1", session_timeout_milliseconds=LONG_SESSION_MILLISECONDS)
        shares = [set((await one.said("assigned"))["shards"]) for one in (first, second)]
        assert set.union(*shares) == set(range(PARTITIONS))
        assert set.intersection(*shares) == set()
        await place.write(place.batch(500, texts=TEXTS))
        await second.kill()
        second = await start(place, "1", session_timeout_milliseconds=SHORT_SESSION_MILLISECONDS)
        assert set((await second.said("assigned"))["shards"]) == shares[1]
        await place.await_answers()
        await second.kill()
        await place.write(place.batch(500, texts=TEXTS))
        assert (await first.said("assigned"))["shards"] == [0, 1, 2]
        await place.await_answers()
        report = await first.end()
    assert report["rebalances_total"] == 3, "its own, the join, the leave; the restart in between stopped nobody"
    assert report["gaps_total"] == 0
    await place.judged()


@pytest.mark.parametrize("freeze", ["save", "publish"])
async def test_a_frozen_process_that_wakes_writes_nothing_newer_than_the_owner(place: Place, freeze: str) -> None:
    """Past its session another one owns the partition. Awake again, its stale save is refused; what it had saved it says too late, and is
    dropped as seen. It goes on working beside the other."""  # noqa: D205, D209 # one thought
    key = KEYS[0]
    mark = Asked(DELIVERIES, key, "in-mark", "freeze")
    async with processes() as start:
        zombie = await start(place, "0", freeze=freeze, store_timeout_seconds=60.0)
        await zombie.said("assigned")
        await place.write(place.batch(30, keys=[key]))
        await place.await_answers()
        place.asked.append(mark)
        await place.write([mark])
        await zombie.said("frozen")
        owner = await start(place, "1")
        while not (await owner.said("assigned"))["shards"]:
            pass
        await place.write(place.batch(30, keys=[key]))
        await place.await_answers()
        zombie.thaw()
        await zombie.said("assigned")
        await place.write(place.batch(60))
        await place.await_answers()
        reports = [await zombie.end(), await owner.end()]
    await place.judged()
    assert [report["gaps_total"] for report in reports] == [0, 0]
    if freeze == "save":
        assert reports[0]["fenced_total"] >= 1
    events = await place.events(CONVERSATIONS)
    said = [event.seq for event in events if event.subject == key]
    if freeze == "publish":
        assert len(said) > len(set(said)), "what the zombie had saved was said twice"


@pytest.fixture(scope="module")
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of this file's own, to be killed."""
    with EmbeddedKafka(tmp_path_factory.mktemp("mortal")) as kafka:
        yield kafka


@pytest.fixture
async def mortal(mortal_kafka: EmbeddedKafka, tmp_path: Path) -> Place:
    """Topics of the test's own on the broker that may be killed, alive again if the test before did."""
    await asyncio.to_thread(mortal_kafka.start)
    one = Place(mortal_kafka.bootstrap_servers, tmp_path)
    await one.make()
    return one


async def test_a_broker_killed_under_load_is_survived_without_a_restart(mortal: Place, mortal_kafka: EmbeddedKafka) -> None:
    """The loop waits, takes a new producer, rejoins and goes on; what was acknowledged before is there once."""
    await mortal.write(mortal.batch(BACKLOG, texts=TEXTS))
    async with a_loop(mortal, records_max=50) as running:
        await mortal.await_count(300, CONVERSATIONS)
        await asyncio.to_thread(mortal_kafka.kill)
        await until(lambda: running.count("batch_failures_total", kind="BrokerUnavailableError") > 0)
        assert not running.task.done()
        await asyncio.to_thread(mortal_kafka.restart)
        await mortal.await_answers()
        await mortal.write(mortal.batch(100))
        await mortal.await_answers()
        assert running.count("gaps_total") == 0
    await mortal.judged()


async def test_a_loop_stops_in_time_though_its_broker_is_gone(mortal: Place, mortal_kafka: EmbeddedKafka) -> None:
    """An operator's stop is not held up by a client that would wait for ever; and one that never found a broker stops as well."""
    await mortal.write(mortal.batch(30))
    async with a_loop(mortal) as running:
        await mortal.await_answers()
        await asyncio.to_thread(mortal_kafka.kill)
        assert not running.task.done()
        started = time.monotonic()
    async with a_loop(mortal, instance="1") as running:
        assert not running.status.ready
    assert time.monotonic() - started < STOPS_SECONDS_MAX
