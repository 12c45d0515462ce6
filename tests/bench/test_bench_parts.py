"""The parts of the benchmarks that decide what a figure says."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from services.router.app import build_reducers
from services.router.state import ConversationState
from services.sla.state import SlaState
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import DocumentCodec, documents_of
from shared.engine.placement import partition_of
from shared.engine.records import Record
from shared.engine.step import Engine
from shared.store.sqlite import SqliteStore
from shared.topics import INBOUND
from tests.bench.contenders.contest import Contest
from tests.bench.contenders.queue_and_lock import Database
from tests.bench.contenders.raw import batches
from tests.bench.growth import drawn_from
from tests.bench.quix_environment import NotInstalledError, quix_python
from tests.bench.recovery import Handled, Outage, recovery_of
from tests.bench.seeding import MESSAGES_PLAYED, conversations, seed
from tests.bench.timers import FAR, Plan, threads
from tests.bench.world import CONFIG, message, messages, thread_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- recovery ---------------------------------------------------------------------------------------------------------


def test_recovery_is_counted_from_the_kill_to_the_backlog() -> None:
    """What was handled before the kill does not count, nor what was written after the first event was handled again."""
    handled = [
        Handled(0, written_at=8.0, handled_at=8.1),
        Handled(0, written_at=9.9, handled_at=14.0),
        Handled(0, written_at=11.0, handled_at=15.5),
        Handled(0, written_at=14.5, handled_at=99.0),
        Handled(1, written_at=10.0, handled_at=10.5),
        Handled(1, written_at=13.0, handled_at=13.5),
    ]
    found = recovery_of(handled, Outage(killed_at=10.0, partitions=frozenset({0}), over_at=16.0))
    assert (found.first_seconds, found.last_seconds, found.backlog) == (4.0, 5.5, 2)
    assert found.others_still_seconds == 3.0


def test_silence_of_the_others_is_nothing_where_there_are_none() -> None:
    """One process alone has nobody to hold up."""
    found = recovery_of([Handled(0, 1.0, 3.0)], Outage(2.0, frozenset({0}), 5.0))
    assert found.others_still_seconds == 0.0


def test_recovery_without_an_event_is_told() -> None:
    """Partitions that stay silent have not recovered."""
    with pytest.raises(RuntimeError, match="nothing"):
        recovery_of([Handled(0, 1.0, 1.5)], Outage(2.0, frozenset({0}), 5.0))


# --- timers -----------------------------------------------------------------------------------------------------------


def test_windows_end_at_their_rate_and_the_others_hours_later() -> None:
    """Those of the run one after the other; messages go to the others alone, so no message moves an end of the run."""
    plan = Plan(armed=1_000, seconds=10, ending_per_second=20, messages_per_second=5, begins_at=NOW)
    assert plan.ending == 200
    assert plan.ends_at(0) == NOW
    assert plan.ends_at(199) == NOW + timedelta(seconds=9.95)
    assert plan.ends_at(200) == NOW + FAR
    assert plan.ends_at(999) < NOW + timedelta(days=1)
    assert {plan.writer(number) for number in range(5_000)} == set(range(200, 1_000))


def test_seeded_threads_are_armed_on_the_shard_of_their_key() -> None:
    """A document is what the rules would have left: its window alone decides when its timer is due."""
    plan = Plan(armed=40, seconds=1, ending_per_second=10, messages_per_second=5, begins_at=NOW)
    codec: DocumentCodec[SlaState] = DocumentCodec(SlaState)
    for number, stored in enumerate(threads(plan, range(plan.armed))):
        document = codec.from_stored(stored)
        assert document.state is not None
        [window] = document.state.windows
        assert document.due_at == window.ends_at == window.next_at == plan.ends_at(number)
        assert document.state.response is document.state.resolution is None
        assert document.shard == partition_of(document.key.encode(), 6)
        assert document.outbox == []


# --- growth -----------------------------------------------------------------------------------------------------------


async def test_engine_goes_on_where_a_seeded_conversation_stands(tmp_path: Path) -> None:
    """The next message of a seeded customer takes the next place in the conversation that is open; nothing is taken for a replay."""
    path = tmp_path / "seeded.sqlite3"
    assert await seed(path, "conversation", conversations(12, 6)) == 12
    store = SqliteStore(path)
    key = thread_of(11)
    stored = (await (await store.open(documents_of("conversation"))).load([key]))[key]
    await store.close()
    document = DocumentCodec(ConversationState).from_stored(stored)
    assert document.shard == partition_of(key.encode(), 6)
    engine: Engine[Any] = Engine(build_reducers(load_contact_centre(CONFIG))[0], partitions=6, version="test")
    written = message(11, 0, SystemClock().now())
    plan = engine.step(document.shard, [Record(INBOUND, document.shard, 0, key.encode(), written.value)], {key: document}, NOW)
    [saved] = plan.saves
    assert saved.state is not None
    assert saved.state.position == MESSAGES_PLAYED + 1
    assert saved.state.number == 1
    assert saved.state.customer.phone == f"+{saved.state.customer.id}"
    assert plan.counts.decided == 1


def test_draw_is_the_same_in_every_run_and_reaches_all() -> None:
    """Runs on different stores hit as many different conversations as there are, in an order of their own."""
    first, again = drawn_from(50), drawn_from(50)
    drawn = [first(number) for number in range(1_000)]
    assert drawn == [again(number) for number in range(1_000)]
    assert set(drawn) == set(range(50))
    few = drawn_from(5, among=50)
    assert {few(number) for number in range(1_000)} == {0, 10, 20, 30, 40}


# --- contenders -------------------------------------------------------------------------------------------------------


def record_batch(count: int, *, producer: int) -> bytes:
    """Return a record batch as the log holds it, of `count` records, from an idempotent producer."""
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=producer, producer_epoch=3, base_sequence=9, batch_size=100_000
    )
    for number in range(count):
        builder.append(number, 1_000, key=b"key", value=f"value {number}".encode(), headers=[])
    return bytes(builder.build())


def test_raw_batches_are_cut_and_made_nobodys() -> None:
    """A fetch is cut at its batches, a torn one at the end is left; each keeps its records, under a checksum that holds and no offset."""
    second = bytearray(record_batch(2, producer=78))
    struct.pack_into(">q", second, 0, 3)  # as the log has it: the broker takes no batch that brings an offset
    raw = record_batch(3, producer=77) + bytes(second) + record_batch(1, producer=79)[:-5]
    found = list(batches(raw))
    assert [(one.count, one.next_offset) for one in found] == [(3, 3), (2, 5)]
    for one in found:
        read: Any = MemoryRecords(one.sendable).next_batch()
        assert read.validate_crc()
        assert read.base_offset == 0
        assert (read.producer_id, read.producer_epoch, read.base_sequence) == (-1, -1, -1)
    again: Any = MemoryRecords(found[0].sendable).next_batch()
    assert [record.value for record in again] == [b"value 0", b"value 1", b"value 2"]


def test_queue_hands_each_job_out_once_and_locks_a_conversation(tmp_path: Path) -> None:
    """Oldest first; a lock holds until it is freed or has run out; a finished job is gone."""
    database = Database(Contest("", "", 6, str(tmp_path), 2))
    written = list(messages(2, lambda _number: 4))
    database.enqueue([Record(INBOUND, 1, number, one.key.encode(), one.value) for number, one in enumerate(written)])
    first, second = database.claim(1_000), database.claim(1_000)
    assert first is not None
    assert second is not None
    assert (first.record.offset, second.record.offset) == (0, 1)
    assert database.claim(1_000) is None
    key = thread_of(4)
    assert database.lock(key, 1_000)
    assert not database.lock(key, 2_000)
    assert database.lock(key, 60_000)
    database.finish(first, key)
    assert database.lock(key, 60_001)
    database.close()


async def test_reason_why_quix_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its requirements at hand the environment is not made, the benchmark says why, and nothing is taken for installed."""
    wrong = tmp_path / "requirements.txt"
    wrong.write_text("this-is-no-file @ file:///nowhere/to-be-found.whl --hash=sha256:00\n", encoding="utf-8")
    monkeypatch.setattr("tests.bench.quix_environment.REQUIREMENTS", wrong)
    with pytest.raises(NotInstalledError, match=r"\w"):
        await quix_python(tmp_path / "environment")
    assert not (tmp_path / "environment/installed.txt").exists()
