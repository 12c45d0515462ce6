"""The publisher's conduct towards its client and its callers, without a broker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.errors import NotEnoughReplicasError, OutOfOrderSequenceNumber

from devstack.ports import free_port
from shared.engine.grouping import GroupingPublisher
from shared.engine.placement import partition_of
from shared.engine.publisher import KafkaPublisher, PublisherOptions, Written
from shared.engine.records import PartlyWrittenError, Publication
from shared.errors import BrokerUnavailableError
from shared.topics import COMMANDS
from tests.shared.engine.kafka_world import until

ONE = Publication(COMMANDS, "k", b"1")


class Slow:
    """A publisher that writes when the test lets it."""

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.error: BaseException | None = None
        self.healthy: set[str] = set()

    async def publish(self, publications: Sequence[Publication], *, written: Written | None = None) -> None:
        """Take note, tell of the healthy ones, wait, and fail if told to."""
        self.writes.append([one.value for one in publications])
        if written is not None:
            written([one for one in publications if one.key in self.healthy])
        await self.gate.wait()
        if self.error is not None:
            raise self.error


def asking(publisher: GroupingPublisher, *values: bytes) -> list[asyncio.Task[None]]:
    """Publish each value as a caller of its own."""
    return [asyncio.create_task(publisher.publish([Publication(COMMANDS, "k", value)])) for value in values]


async def started(slow: Slow) -> None:
    """Return when a write is under way."""
    await until(lambda: slow.writes)


async def test_what_comes_during_a_write_goes_out_together_with_the_next() -> None:
    """No linger: the first goes at once and alone, the others as one batch, each answered after its own write."""
    slow = Slow()
    publisher = GroupingPublisher(slow)
    first = asking(publisher, b"1")
    await started(slow)
    others = asking(publisher, b"2", b"3", b"4")
    await asyncio.sleep(0)
    assert not any(task.done() for task in [*first, *others])
    slow.gate.set()
    await asyncio.gather(*first, *others)
    assert slow.writes == [[b"1"], [b"2", b"3", b"4"]]


async def test_a_group_is_bounded_and_a_callers_own_records_stay_together() -> None:
    """A caller with more than the bound goes alone."""
    slow = Slow()
    slow.gate.set()
    publisher = GroupingPublisher(slow, publications_max=3)
    waiting = asking(publisher, b"1", b"2", b"3", b"4")
    many = asyncio.create_task(publisher.publish([Publication(COMMANDS, "k", b"m")] * 5))
    await asyncio.gather(*waiting, many)
    assert slow.writes == [[b"1", b"2", b"3"], [b"4"], [b"m"] * 5]
    await publisher.publish([])
    assert len(slow.writes) == 3


async def test_a_write_that_fails_fails_those_in_it_and_nobody_else() -> None:
    """The next group is written as if nothing had happened; each caller gets an error of its own kind."""
    slow = Slow()
    publisher = GroupingPublisher(slow)
    slow.error = BrokerUnavailableError("Kafka is away")
    failing = asking(publisher, b"1")
    await started(slow)
    slow.gate.set()
    with pytest.raises(BrokerUnavailableError, match="Kafka is away"):
        await failing[0]
    slow.error = None
    await asyncio.gather(*asking(publisher, b"2", b"3"))
    assert slow.writes[-1] == [b"2", b"3"]


async def test_a_caller_that_gave_up_is_not_written_for() -> None:
    """A webhook whose time is over will come again; who waits beside it is not touched."""
    slow = Slow()
    publisher = GroupingPublisher(slow)
    first = asking(publisher, b"1")
    await started(slow)
    gone, stays = asking(publisher, b"2", b"3")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    slow.gate.set()
    await asyncio.gather(*first, stays)
    assert slow.writes == [[b"1"], [b"3"]]
    assert gone.cancelled()


async def test_nobody_waits_for_a_publisher_that_died() -> None:
    """An error nobody expected is told to all who wait, also those behind the group it hit, and the next caller is served."""
    slow = Slow()
    slow.error = ValueError("unexpected")
    publisher = GroupingPublisher(slow, publications_max=1)
    waiting = asking(publisher, b"1", b"2", b"3")
    await started(slow)
    died = publisher._task
    slow.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [BrokerUnavailableError] * 3
    assert "ValueError" in str(answers[2])
    slow.error = None
    await publisher.publish([ONE])
    assert died is not None
    assert isinstance(died.exception(), ValueError), "the loop's handler reports the error itself"


async def test_a_caller_is_answered_as_soon_as_its_own_records_are_acknowledged() -> None:
    """Who wrote to a healthy partition does not wait for those who did not; who wrote to both waits."""
    slow = Slow()
    slow.healthy = {"healthy"}
    publisher = GroupingPublisher(slow)
    healthy, sick = Publication(COMMANDS, "healthy", b"1"), Publication(COMMANDS, "sick", b"2")
    asked = ([healthy, healthy._replace(value=b"3")], [sick], [healthy._replace(value=b"4"), sick])
    callers = [asyncio.create_task(publisher.publish(chosen)) for chosen in asked]
    async with asyncio.timeout(5):
        await callers[0]
    assert [caller.done() for caller in callers] == [True, False, False]
    slow.error = PartlyWrittenError("the sick one did not acknowledge", [sick])
    slow.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), BrokerUnavailableError, BrokerUnavailableError]


async def test_of_a_write_that_fails_in_part_only_those_are_told_whom_it_concerns() -> None:
    """What the healthy partitions took is not written again."""
    slow = Slow()
    slow.error = PartlyWrittenError("one did not acknowledge", [Publication(COMMANDS, "sick", b"2")])
    slow.gate.set()
    publisher = GroupingPublisher(slow)
    callers = [asyncio.create_task(publisher.publish([Publication(COMMANDS, key, b"1")])) for key in ("healthy", "sick")]
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), BrokerUnavailableError]


# --- the client -------------------------------------------------------------------------------------------------------


def a_publisher(bootstrap: str, **options: Any) -> KafkaPublisher:
    """Return a publisher with short time-outs."""
    given = {"timeout_seconds": 5.0, "connect_timeout_seconds": 1.0, **options}
    return KafkaPublisher(PublisherOptions(bootstrap, "t.", 3, "test", **given))


async def test_no_broker_is_told_within_the_time_out() -> None:
    """`start` raises at once or waits for long, as it likes; the caller has its answer in time."""
    publisher = a_publisher(f"127.0.0.1:{free_port()}")
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailableError, match="1 records"):
            await publisher.publish([ONE])
    assert publisher.failing
    await publisher.close()


async def test_a_broker_that_accepts_and_says_nothing_is_no_broker() -> None:
    """A frozen machine still takes connections."""
    silent = asyncio.Event()

    async def answer_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        del reader
        writer.close()

    server = await asyncio.start_server(answer_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailableError, match="TimeoutError"):
            await a_publisher(f"127.0.0.1:{port}", connect_timeout_seconds=0.2).publish([ONE])
    silent.set()
    server.close()
    await server.wait_closed()


class Wedged:
    """A producer that answers every batch with the error of a wedged sequence."""

    def __init__(self) -> None:
        self.stopped = False

    def create_batch(self) -> Any:
        """Return a batch that takes everything."""
        return type("Batch", (), {"append": lambda _self, **_: True})()

    async def send_batch(self, *_: Any, **__: Any) -> Any:
        """Fail."""
        raise OutOfOrderSequenceNumber


async def test_a_producer_that_failed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The idempotent producer can repeat OutOfOrderSequenceNumber until the process restarts: it gets no second call."""
    made: list[Wedged] = []
    abandoned: list[Wedged] = []

    async def connected(self: KafkaPublisher) -> Any:
        if self._producer is None:
            made.append(Wedged())
            self._producer = made[-1]
        return self._producer

    async def abandon(producer: Wedged) -> None:
        abandoned.append(producer)

    monkeypatch.setattr(KafkaPublisher, "_connected", connected)
    monkeypatch.setattr("shared.engine.publisher._abandon", abandon)
    publisher = a_publisher("nowhere:1")
    for _ in range(2):
        with pytest.raises(BrokerUnavailableError, match="OutOfOrderSequenceNumber"):
            await publisher.publish([ONE])
    assert len(made) == 2
    assert abandoned == made


class Partitions:
    """A producer whose partitions acknowledge, but for those that are sick: they say nothing, or what is wrong."""

    def __init__(self) -> None:
        self.sick: dict[int, Exception | None] = {}
        self.values: dict[int, list[bytes]] = defaultdict(list)

    def create_batch(self) -> Any:
        """Return a batch of at most two records."""
        return _Batch()

    async def send_batch(self, batch: _Batch, _topic: str, *, partition: int) -> asyncio.Future[None]:
        """Take the batch; acknowledge it in the next turn of the loop, if at all."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.values[partition] += batch.values
        if partition not in self.sick:
            asyncio.get_running_loop().call_soon(future.set_result, None)
        elif (error := self.sick[partition]) is not None:
            asyncio.get_running_loop().call_soon(future.set_exception, error)
        return future


class _Batch:
    """A batch of at most two records."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, value: bytes, **_: Any) -> bool | None:
        """Take a record, or say that there is no more room."""
        if len(self.values) == 2:
            return None
        self.values.append(value)
        return True


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Partitions:
    """Return the producer that every publisher of the test gets."""
    made = Partitions()

    async def connected(_self: KafkaPublisher) -> Any:
        return made

    monkeypatch.setattr(KafkaPublisher, "_connected", connected)
    return made


KEYS = {partition_of(f"k{number}".encode(), 3): f"k{number}" for number in range(20)}


def to(partition: int, *values: bytes) -> list[Publication]:
    """Return publications that go to a partition."""
    return [Publication(COMMANDS, KEYS[partition], value) for value in values]


@pytest.mark.parametrize("answer", [None, NotEnoughReplicasError()])
async def test_a_partition_that_does_not_acknowledge_is_told_apart(producer: Partitions, answer: Exception | None) -> None:
    """Silent or refused: the others' records are told as written at once, and the error concerns the sick partition's alone."""
    producer.sick = {1: answer}
    publisher = a_publisher("nowhere:1", laggards_seconds=0.05)
    told: list[bytes] = []
    mixed = [*to(0, b"1", b"2", b"3"), *to(1, b"4", b"5", b"6"), *to(2, b"7")]
    with pytest.raises(PartlyWrittenError, match=r"3 records on 1 partitions \(t.commands/1\)") as raised:
        await publisher.publish(mixed, written=lambda publications: told.extend(one.value for one in publications))
    assert sorted(told) == [b"1", b"2", b"3", b"7"]
    assert [raised.value.concerns(to(partition, b"")) for partition in range(3)] == [False, True, False]
    assert producer.values == {0: [b"1", b"2", b"3"], 1: [b"4", b"5"], 2: [b"7"]}, "nothing goes behind a batch that failed"
    assert publisher.failing


async def test_a_partition_that_was_sick_is_not_waited_for_as_long_as_a_broker(producer: Partitions) -> None:
    """Alone in a call it has the laggards' time, not the call's; once it acknowledges it is trusted like any other."""
    producer.sick = {1: None}
    publisher = a_publisher("nowhere:1", laggards_seconds=0.05, timeout_seconds=30.0)
    with pytest.raises(PartlyWrittenError):
        await publisher.publish([*to(0, b"1"), *to(1, b"2")])
    async with asyncio.timeout(10):
        with pytest.raises(BrokerUnavailableError, match="1 records: TimeoutError"):
            await publisher.publish(to(1, b"2"))
    producer.sick = {}
    await publisher.publish(to(1, b"2"))
    assert not publisher.failing
    producer.sick = {1: None}
    waiting = asyncio.create_task(publisher.publish(to(1, b"3")))
    _, still = await asyncio.wait([waiting], timeout=0.3)
    assert still, "it has the time of a call again"
    waiting.cancel()
    await asyncio.wait([waiting])
