"""F12 to F14: what stands on the topics, the group's coordinator, and the loss of a broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from devstack.faults.kafka_frames import FIND_COORDINATOR, GROUP_REQUESTS, OFFSET_COMMIT
from devstack.load.provider import Post
from shared.engine.placement import partition_of
from shared.events.conversations import MessageAppended
from shared.events.inbound import MessageReceived
from shared.events.rejected import DeadLetter
from shared.events.work import WorkAccepted
from shared.ids import thread_id
from shared.topics import AGENTS, INBOUND, WORK
from tests.chaos.faults_ingest import ANSWER_SECONDS_MAX, BUSY_SECONDS
from tests.chaos.house import IN_SYNC_MIN, ROOT, House, Surroundings
from tests.chaos.trial import Fault, Trial

GROUPS = ("conversation", "dispatch", "bot", "sla", "outbound")
READING_SERVICES = ("router", "bot", "sla", "outbound")
PATIENCE_SECONDS = 60.0
REPLAY_SECONDS_MAX = 60.0
SETTLE_SECONDS = 3.0
"""How long clients may need to hear of new leaders, after the cluster has noticed that a broker is away."""
LOOK_SECONDS = 0.2
HEALTHY_SHARE_MIN = 0.9
WORKED_SECONDS_MAX = 10.0
"""What a healthy partition took in is appended after so long: a batch waits for sick partitions' acknowledgements, and is tried again."""


async def poison(trial: Trial) -> None:
    """F12: records on `inbound` that are no events, or of no known type, or with a broken header, beside good ones."""
    house = trial.house
    await trial.recovered(messages=5)
    known = {event.id for event in house.records.events(DeadLetter)}
    await house.gauges.sample()
    unknown = house.gauges.total("parley_unknown_types_total", labels='reducer="conversation"')
    good = next(iter(house.records.events(MessageReceived)))
    document = json.loads(good.to_json())
    poisons: dict[str, tuple[bytes | None, list[tuple[str, bytes]]]] = {
        "no JSON": (b"{not json", []),
        "no value": (None, []),
        "not UTF-8": (b"\xff\xfe\x00", []),
        "fields of other types": (json.dumps({**document, "id": "poison-1", "data": {"channel": 7}}).encode(), []),
    }
    harmless = {
        "a broken header beside a known event": (good.to_json(), [("traceparent", b"\xff\xff")]),
        "a type that nobody knows": (json.dumps({**document, "id": "poison-2", "type": "parley.moon.risen.v1"}).encode(), []),
    }
    trial.begins()
    places = await _write(house, good.subject, {**poisons, **harmless})
    house.dead_letters_expected += len(poisons)
    trial.ends()
    letters: list[DeadLetter] = []

    def arrived() -> bool:
        letters[:] = [event.data for event in house.records.events(DeadLetter) if event.id not in known]
        return len(letters) >= len(poisons)

    await house.until(arrived, PATIENCE_SECONDS)
    found = {(letter.partition, letter.offset) for letter in letters if letter.topic == "inbound" and letter.error}
    expected = {places[name] for name in poisons}
    trial.check("each poison record is a dead letter with its provenance", holds=found == expected, seen=f"{len(found)} of {len(expected)}")
    skipped, deadline = 0.0, time.monotonic() + PATIENCE_SECONDS
    while skipped < 1 and time.monotonic() < deadline:  # it may stand on another partition than the poison
        await asyncio.sleep(0.2)
        await house.gauges.sample()
        skipped = house.gauges.total("parley_unknown_types_total", labels='reducer="conversation"') - unknown
    trial.check("the unknown type is skipped and counted", holds=skipped >= 1, seen=f"{skipped:.0f}")
    behind = await _until_behind(trial, good.subject)
    trial.check("the partition moves on", holds=behind is not None, seen=f"the next message there took {behind or 0:.1f} s")
    code, output = await _replay(house)
    house.dead_letters_expected += len(poisons)
    trial.check(
        "the replay tool has shown and tried them", holds=all(place in output for place in ("dead.conversation",)), seen=f"exit {code}"
    )
    again = await house.until(
        lambda: house.records.duplicates >= 0 and len(house.records.dead_letters()) >= house.dead_letters_expected, 10
    )
    if not again:
        house.dead_letters_expected -= len(poisons)
    trial.note("replayed letters failed again, as dead letters of their own" if again else "nothing of them could be replayed")


async def _write(house: House, key: str, records: Mapping[str, tuple[bytes | None, list[tuple[str, bytes]]]]) -> dict[str, tuple[int, int]]:
    """Write raw records on `inbound` under `key`; return partition and offset of each."""
    places: dict[str, tuple[int, int]] = {}
    partition = partition_of(key.encode(), house.stack.options.partitions)
    async with AIOKafkaProducer(bootstrap_servers=house.stack.bootstrap_servers, acks="all") as producer:
        for name, (value, headers) in records.items():
            topic = house.stack.topic_prefix + "inbound"
            written = await producer.send_and_wait(topic, value, key=key.encode(), partition=partition, headers=headers)
            places[name] = (written.partition, written.offset)
    return places


async def _until_behind(trial: Trial, key: str) -> float | None:
    """Wait until a message that was written now, on the partition of `key`, is appended; return its delay."""
    house = trial.house
    now, partition = time.time(), partition_of(key.encode(), house.stack.options.partitions)
    found: list[float] = []

    def there() -> bool:
        for event in house.records.events(MessageAppended):
            post = house.provider.posts.get(event.data.message_id or "")
            if (
                post is not None
                and post.due_at >= now
                and partition_of(event.subject.encode(), house.stack.options.partitions) == partition
            ):
                found.append(house.records.first_at[event.id] - post.due_at)
        return bool(found)

    await house.until(there, PATIENCE_SECONDS)
    return found[0] if found else None


async def _replay(house: House) -> tuple[int | None, str]:
    """Run the replay tool as an operator does; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "replay", "--from", "dead.conversation", "--yes",
        "--bootstrap", house.stack.bootstrap_servers,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip # a command line reads best in one
    try:
        async with asyncio.timeout(REPLAY_SECONDS_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, "it did not end"
    return process.returncode, output.decode("utf-8", "replace")


async def coordinator_down(trial: Trial) -> None:
    """F13: commits fail; then everything that is asked of the groups' coordinator does."""
    house = trial.house
    seconds = trial.seconds(4, 60)
    await house.gauges.sample()
    failures = house.gauges.total("parley_batch_failures_total", labels='kind="commit"')
    trial.begins()
    _block(house, {OFFSET_COMMIT})
    await trial.last(seconds)
    meanwhile = await trial.recovered(messages=5)
    _block(house, set(GROUP_REQUESTS) | {FIND_COORDINATOR})
    for service in READING_SERVICES:
        house.edges.broker[service].reset()
    await trial.last(seconds)
    _block(house, set())
    trial.ends()
    await house.gauges.sample()
    failed = house.gauges.total("parley_batch_failures_total", labels='kind="commit"') - failures
    trial.check("commits failed, and were counted", holds=failed >= 1, seen=f"{failed:.0f}")
    trial.check("work goes on while commits fail", holds=meanwhile)
    trial.check("resumes by itself", holds=await trial.recovered() and not house.restarts_since(trial.began_at))
    trial.check("commits catch up", holds=await _until_committed(trial), seen="within a minute, under load")


def _block(house: House, keys: set[int]) -> None:
    """Cut the connections of all readers that ask for one of these from now on, and of no others."""
    for service in READING_SERVICES:
        blocked = house.edges.blocked[service]
        blocked.clear()
        blocked.update(keys)


async def _until_committed(trial: Trial) -> bool:
    """Wait until every group has committed at least what stood on its topics when this was called."""
    house = trial.house
    admin = AIOKafkaAdminClient(bootstrap_servers=house.stack.bootstrap_servers)
    await admin.start()
    try:
        consumer = house.day.follower._opened()
        ends = await consumer.end_offsets(list(consumer.assignment()))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            behind = 0
            for group in GROUPS:
                committed = await admin.list_consumer_group_offsets(house.stack.topic_prefix + group)
                behind += sum(
                    metadata.offset < ends.get(TopicPartition(place.topic, place.partition), 0) for place, metadata in committed.items()
                )
            if not behind:
                return True
            await asyncio.sleep(0.5)
    finally:
        await admin.close()
    return False


async def broker_lost(trial: Trial) -> None:
    """F14: one of three brokers is killed; a part of the partitions has too few replicas in sync until it is back."""
    house = trial.house
    seconds = trial.seconds(7, 22)
    for node in (2,) if trial.short else (2, 3):
        await trial.recovered(messages=5)
        trial.begins()
        began = time.time()
        await asyncio.to_thread(house.kafka.kill, node)
        healthy = await _healthy_partitions(house, node)
        await trial.last(SETTLE_SECONDS)
        since = time.time()
        await trial.last(seconds)
        until = time.time()
        appended = set(house.records.appended_at)
        await asyncio.to_thread(house.kafka.start)
        trial.ends()
        attempts = [
            one
            for post in house.provider.posts.values()
            for one in post.attempts
            if began <= one.left_at <= until - ANSWER_SECONDS_MAX - BUSY_SECONDS
        ]
        refused = [one for one in attempts if one.status == HTTPStatus.SERVICE_UNAVAILABLE]
        slowest = max((one.seconds for one in attempts), default=0.0)
        trial.check(
            f"without broker {node}: what cannot be stored is answered 503", holds=bool(refused), seen=f"{len(refused)} of {len(attempts)}"
        )
        trial.check("producers fail fast", holds=slowest <= ANSWER_SECONDS_MAX + BUSY_SECONDS, seen=f"{slowest:.1f} s at most")
        storable = [
            post
            for post in house.provider.posts.values()
            if since <= post.due_at <= until - ANSWER_SECONDS_MAX and _shard(house, post) in healthy
        ]
        stored = sum(post.acknowledged_at is not None and post.acknowledged_at <= until for post in storable)
        trial.check(
            "what the healthy partitions can store is answered 200 meanwhile",
            holds=bool(storable) and stored >= HEALTHY_SHARE_MIN * len(storable),
            seen=f"{stored} of {len(storable)} messages",
        )
        trial.check("recovers without a restart", holds=await trial.recovered(120) and not house.restarts_since(began))
        if not trial.short:
            waiting = _waiting_for_pools(house, healthy, began, until)
            worked = [post for post in storable if post.due_at <= until - WORKED_SECONDS_MAX and _shard(house, post) not in waiting]
            done = sum(post.message_id in appended for post in worked)
            if worked:
                trial.check(
                    "and is appended meanwhile", holds=done >= HEALTHY_SHARE_MIN * len(worked), seen=f"{done} of {len(worked)} messages"
                )
            if waiting:
                trial.note(f"of {len(healthy)} healthy shards {len(waiting)} had handed work to a pool on a sick partition and waited")


def _shard(house: House, post: Post) -> int:
    """Return the partition number of the thread that a webhook is about."""
    return partition_of(thread_id("whatsapp", post.account, post.customer).encode(), house.stack.options.partitions)


def _waiting_for_pools(house: House, healthy: set[int], began: float, until: float) -> set[int]:
    """Return the healthy shards that had something to say to a pool on a sick partition: they wait for it, in order (decision 0022).

    Known afterwards: what they said is on the topic then, with the time when it was decided.
    """
    waiting: set[int] = set()
    for event in house.records.events(*WORK.models, WorkAccepted):
        topic, partition, _ = house.records.first_place[event.id]
        meanwhile = began <= event.time.timestamp() <= until
        if meanwhile and event.emitter is not None and topic in {WORK.name, AGENTS.name} and partition not in healthy:
            waiting.add(partition_of(event.emitter.encode(), house.stack.options.partitions))
    return waiting & healthy


async def _healthy_partitions(house: House, lost: int) -> set[int]:
    """Return the partitions of `inbound` that can be written to, once the cluster has noticed that broker `lost` is away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=house.stack.bootstrap_servers)
    await admin.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(KafkaError):  # the client asks any broker, the lost one too
                    (topic,) = await admin.describe_topics([house.stack.topic_prefix + INBOUND.name])
                    in_sync: dict[int, list[int]] = {found["partition"]: found["isr"] for found in topic["partitions"]}
                    if not any(lost in brokers for brokers in in_sync.values()):
                        return {partition for partition, brokers in in_sync.items() if len(brokers) >= IN_SYNC_MIN}
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await admin.close()


FAULTS = (
    Fault("F12", "Poison records", "dead letters with provenance, the partition moves on within one batch, replay tool", poison),
    Fault(
        "F13",
        "Commits fail, then the group coordinator is down",
        "may repeat, never waits for ever, loses nothing, resumes by itself",
        coordinator_down,
    ),
    Fault(
        "F14",
        "A broker lost, min.insync.replicas unmet",
        "producers fail fast, consumers continue, no acked write lost, recovers without restart",
        broker_lost,
        Surroundings(brokers=3),
        mixed=False,
        where="three brokers, replication 2, min.insync.replicas 2",
    ),
)
