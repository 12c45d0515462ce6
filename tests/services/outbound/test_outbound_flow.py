"""One send from its record to its outcome, with a channel of paper and a clock that is moved by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.outbound.app import NEW_BEFORE_TRUST
from services.outbound.sender import AnswerLostError, HttpAnswer, RequestNotSentError
from services.outbound.state import Phase
from services.outbound.telling import DeadLetterBurstError
from shared.channels.contract import Limits
from shared.engine.records import Record
from shared.events.deliveries import SendAccepted, SendRefused
from shared.events.envelope import new_event
from shared.events.sends import Lane, SendWithheld
from shared.events.shapes import FailureClass, Text
from shared.topics import SENDS, dead_letters_of
from tests.services.outbound.outbound_values import NOON, send
from tests.services.outbound.outbound_world import World, accepted, job, record, refused, world


def refusal(there: World, position: int = -1) -> SendRefused:
    """Return the refusal that was told last (or at `position`)."""
    data = there.sheet.events[position].data
    assert isinstance(data, SendRefused)
    return data


async def test_a_send_is_made_once_and_its_outcome_told() -> None:
    """One request, one event with the channel's id, caused by the request and carrying its trace."""
    there = await world()
    await there.finish(record(send()))
    assert there.wire.requests == ["s1"]
    (event,) = there.sheet.events
    assert event.data == SendAccepted(send_id="s1", message_id="m-s1", at=NOON)
    assert (event.id, event.source, event.subject) == ("outbound/s1/accepted", "parley/outbound", "paper:sales:s1")
    assert (event.causationid, event.traceparent) == ("sla/s1", "00-ab-cd-01")
    await there.close()


async def test_a_replayed_send_is_told_again_and_not_made_again() -> None:
    """The very same event, so that consumers drop it."""
    there = await world()
    await there.finish(record(send()))
    await there.outbound.handle(record(send()), job())
    assert there.wire.requests == ["s1"]
    assert there.sheet.events[0] == there.sheet.events[1]
    await there.close()


async def test_what_is_no_send_is_passed_over() -> None:
    """A withheld reply, and a type from a later version."""
    there = await world()
    withheld = new_event(
        SendWithheld(reply_id="r1", reason="window_closed_no_template", explanation="Closed."),
        event_id="sla/1",
        source="parley/sla/sla",
        subject="paper:sales:c",
        time=NOON,
    )
    value = record(send()).value or b""
    await there.finish(
        Record(SENDS, 0, 0, b"paper:sales:c", withheld.to_json()),
        Record(SENDS, 0, 1, b"paper:sales:c", value.replace(b"send.requested.v1", b"send.requested.v9")),
    )
    assert (there.wire.requests, there.sheet.events, there.sheet.dead) == ([], [], [])
    await there.close()


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"type":"parley.send.requested.v1"}'])
async def test_what_cannot_be_read_becomes_a_dead_letter_and_the_next_record_goes_on(value: bytes | None) -> None:
    """Also a record without a value: this topic has no tombstones."""
    there = await world()
    await there.finish(Record(SENDS, 3, 7, b"paper:sales:s1", value), record(send()))
    (letter,) = there.sheet.dead
    assert letter.topic.name == "dead.outbound"
    event = dead_letters_of("outbound").decode(letter.value)
    assert (event.data.topic, event.data.partition, event.data.offset, event.data.reason) == ("sends", 3, 7, "invalid")
    assert (event.data.version, event.id) == ("1.2.3", "outbound/sends/3/7")
    assert there.sheet.outcomes() == [("s1", "accepted")]
    await there.close()


async def test_a_burst_of_dead_letters_stops_the_reading() -> None:
    """A bad deployment must not drain the topic; the worker waits and tries again."""
    there = await world(dead_letters_per_minute_max=2)
    for offset in range(2):
        await there.finish(Record(SENDS, 0, offset, b"k", b"{"))
    with pytest.raises(DeadLetterBurstError, match=r"dead\.outbound"):
        await there.finish(Record(SENDS, 0, 2, b"k", b"{"))
    await there.close()


async def test_a_record_that_is_given_up_becomes_a_dead_letter() -> None:
    """The worker says so after three attempts; no text of the record is in the reason."""
    there = await world()
    await there.outbound.give_up(record(send()), ZeroDivisionError("secret"), 3)
    event = dead_letters_of("outbound").decode(there.sheet.dead[0].value)
    assert (event.data.reason, event.data.error) == ("decide_failed", "ZeroDivisionError after 3 attempts")
    await there.close()


async def test_a_temporary_refusal_is_retried_and_holds_back_its_thread_only() -> None:
    """The second message of the thread goes after the first, another thread's at once."""
    there = await world()
    there.wire.answers["a1"] = [refused(FailureClass.RETRY), refused(FailureClass.RETRY), accepted("a1")]
    seconds = await there.finish(
        record(send("a1"), thread="paper:sales:a"), record(send("a2"), thread="paper:sales:a"), record(send("b1"), thread="paper:sales:b")
    )
    assert 1 <= seconds < 3
    assert there.wire.requests == ["a1", "b1", "a1", "a1", "a2"]
    assert there.sheet.outcomes() == [("b1", "accepted"), ("a1", "accepted"), ("a2", "accepted")]
    await there.close()


async def test_the_pair_limit_waits_longer_each_time() -> None:
    """1, 4 and 16 seconds, for this customer only."""
    there = await world()
    there.wire.answers["s1"] = [refused(FailureClass.WAIT)] * 3
    assert await there.finish(record(send())) == 21
    assert there.sheet.outcomes() == [("s1", "accepted")]
    await there.close()


async def test_a_wait_of_a_day_is_a_refusal() -> None:
    """Nothing waits here that would hold back its thread so long."""
    there = await world()
    there.wire.answers["s1"] = [refused(FailureClass.WAIT, retry_after=86_400)]
    assert await there.finish(record(send())) == 0
    assert (refusal(there).final, refusal(there).failure.class_) == (True, FailureClass.WAIT)
    await there.close()


async def test_a_customer_is_paced_with_a_burst() -> None:
    """Two at once, then one every six seconds; another customer does not wait."""
    there = await world(limits=Limits(1000, pair_interval_seconds=6, pair_burst=2))
    records = [record(send(f"a{number}"), thread="paper:sales:a") for number in range(4)]
    assert await there.finish(*records, record(send("b0"))) == 12
    assert there.wire.requests == ["a0", "b0", "a1", "a2", "a3"]
    await there.close()


async def test_an_account_keeps_to_its_rate_and_lets_people_go_first() -> None:
    """At ten per second, 21 sends take two seconds, answers before bulk."""
    there = await world(limits=Limits(10))
    bulk = [record(send(f"b{number}", lane=Lane.BULK)) for number in range(11)]
    answers = [record(send(f"a{number}", lane=Lane.ANSWER)) for number in range(10)]
    seconds = await there.finish(*bulk, *answers)
    assert seconds == pytest.approx(2, abs=0.01)
    assert there.wire.requests[1:11] == [f"a{number}" for number in range(10)]
    await there.close()


async def test_a_process_takes_the_share_of_its_partitions() -> None:
    """Owning two of six it sends at a third of the rate, from the moment it knows."""
    there = await world(limits=Limits(9))
    await there.finish(record(send("warm")))
    there.outbound.owns(2)
    assert await there.finish(*(record(send(f"s{number}")) for number in range(6))) == pytest.approx(2, abs=0.5)
    there.outbound.owns(0)
    await there.close()


async def test_too_fast_pauses_the_whole_account_and_no_other() -> None:
    """The channel says how long; the other account goes on."""
    there = await world(limits=Limits(80))
    there.wire.answers["s1"] = [refused(FailureClass.SLOW_LANE, retry_after=40)]
    task = there.begin(record(send()))
    await there.quiet()
    other = there.begin(record(send("s2")), record(send("t1", account="press"), thread="paper:press:t1"))
    await there.advance(39)
    assert there.wire.requests == ["s1", "t1"]
    await there.advance(10)
    assert task.done()
    assert other.done()
    assert sorted(there.wire.requests) == ["s1", "s1", "s2", "t1"]
    await there.close()


async def test_a_stopped_account_waits_probes_and_recovers() -> None:
    """Nothing is sent while it is stopped but one probe at a time; then all go, and the other account never stopped."""
    there = await world()
    there.wire.answers["s1"] = [refused(FailureClass.STOP_ACCOUNT), refused(FailureClass.STOP_ACCOUNT)]
    task = there.begin(record(send()))
    await there.quiet()
    rest = there.begin(*(record(send(f"r{number}")) for number in range(3)), record(send("t1", account="press")))
    await there.advance(29)
    assert there.wire.requests == ["s1", "t1"]
    await there.advance(2)
    assert there.wire.requests == ["s1", "t1", "s1"]
    await there.advance(61)
    assert task.done()
    assert rest.done()
    assert {kind for _, kind in there.sheet.outcomes()} == {"accepted"}
    await there.close()


async def test_a_long_stopped_account_refuses_with_the_channels_word() -> None:
    """After its time nobody waits any more: the agent reads why, and the threads go on."""
    there = await world(account_wait_seconds_max=20)
    there.wire.answers["s1"] = [refused(FailureClass.STOP_ACCOUNT)]
    task = there.begin(record(send()))
    await there.quiet()
    rest = there.begin(record(send("s2")), record(send("s3")))
    await there.advance(19)
    assert there.sheet.events == []
    await there.advance(1)
    assert task.done()
    assert rest.done()
    assert there.wire.requests == ["s1"]
    assert refusal(there, 0).failure.code == "account_stopped"
    assert "The channel said no." in refusal(there, 0).failure.explanation
    await there.close()


async def test_repeated_trouble_opens_the_breaker() -> None:
    """After five failures in a row the account is left alone, but for a probe."""
    there = await world()
    for number in range(8):
        there.wire.answers[f"s{number}"] = [refused(FailureClass.RETRY)]
    task = there.begin(*(record(send(f"s{number}")) for number in range(8)))
    await there.quiet()
    assert len(there.wire.requests) == 8
    await there.advance(4)
    assert len(there.wire.requests) == 8
    await there.advance(1)
    assert task.done()
    assert there.wire.counts() == {f"s{number}": 2 for number in range(8)}
    await there.close()


async def test_a_send_that_waits_too_long_for_its_turn_expires() -> None:
    """Its permission ended while it queued: it is refused, never sent late."""
    there = await world(limits=Limits(0.1))
    late = send("s2", not_after=NOON + timedelta(seconds=5))
    assert await there.finish(record(send()), record(late)) == 5
    assert there.wire.requests == ["s1"]
    assert refusal(there).failure.code == "expired"
    await there.close()


async def test_a_paced_customer_s_send_expires_too() -> None:
    """The pace of the customer does not outlast the permission."""
    there = await world(limits=Limits(1000, pair_interval_seconds=60, pair_burst=1))
    late = send("s2", not_after=NOON + timedelta(seconds=5))
    assert await there.finish(record(send(), thread="paper:sales:a"), record(late, thread="paper:sales:a")) == 5
    assert refusal(there).failure.code == "expired"
    await there.close()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"content": Text(text="too long")}, "unrenderable", "longer than the channel takes"),
        ({"content": Text(text="bug")}, "unrenderable", "internal error"),
        ({"channel": "pigeon"}, "unknown_channel", "pigeon is not set up"),
    ],
)
async def test_what_cannot_be_sent_at_all_is_refused_without_a_request(changes: dict[str, Any], code: str, words: str) -> None:
    """The agent reads why."""
    there = await world()
    await there.finish(record(send(**changes)))
    assert there.wire.requests == []
    assert (refusal(there).failure.code, refusal(there).final) == (code, True)
    assert words in refusal(there).failure.explanation
    await there.close()


@pytest.mark.parametrize(
    "trouble",
    [
        AnswerLostError("The line went dead."),
        ZeroDivisionError("what is this"),
        HttpAnswer(299, {}, b""),
        HttpAnswer(504, {}, b'{"class": "dead_letter", "maybe": true}'),
    ],
)
async def test_a_lost_answer_is_unknown_and_never_tried_again(trouble: HttpAnswer | Exception) -> None:
    """Time-out, dropped connection, an answer that nobody understands or that leaves it open: told once as unknown, not resent."""
    there = await world()
    there.wire.answers["s1"] = [trouble]
    await there.finish(record(send()))
    await there.finish(record(send()))
    assert there.wire.requests == ["s1"]
    assert there.sheet.outcomes() == [("s1", "unknown")] * 2
    await there.close()


async def test_what_did_not_leave_is_tried_again() -> None:
    """A refused connection is safe to retry; an address that cannot be used is final."""
    there = await world()
    there.wire.answers["s1"] = [RequestNotSentError("No connection.")] * 2
    there.wire.answers["s2"] = [RequestNotSentError("No such address.", permanent=True)]
    await there.finish(record(send()), record(send("s2")))
    assert there.wire.counts() == {"s1": 3, "s2": 1}
    assert there.sheet.outcomes() == [("s2", "refused"), ("s1", "accepted")]
    await there.close()


async def test_the_same_send_in_two_threads_makes_one_request() -> None:
    """Somebody's mistake with ids does not become a second message."""
    there = await world()
    await there.finish(record(send(), thread="paper:sales:a"), record(send(), thread="paper:sales:b"))
    assert there.wire.requests == ["s1"]
    assert there.sheet.outcomes() == [("s1", "accepted")] * 2
    await there.close()


async def test_after_many_new_sends_the_ledger_is_asked_at_the_claim_only_and_a_replay_is_still_known() -> None:
    """The claim fails where there is an entry; then every send is looked up again before it waits, until all is new again."""
    there = await world()
    first = [record(send(f"s{number}")) for number in range(NEW_BEFORE_TRUST + 1)]
    await there.finish(*first)
    assert there.outbound._new_in_a_row == NEW_BEFORE_TRUST + 1
    await there.finish(first[0], record(send("late", not_after=NOON)))
    assert there.outbound._new_in_a_row == 0
    await there.finish(*first, record(send("new")))
    assert set(there.wire.counts().values()) == {1}
    assert set(there.sheet.outcomes()) == {(f"s{n}", "accepted") for n in range(NEW_BEFORE_TRUST + 1)} | {
        ("late", "refused"),
        ("new", "accepted"),
    }
    there.outbound._new_in_a_row = NEW_BEFORE_TRUST
    there.outbound.owns(3)
    assert there.outbound._new_in_a_row == 0
    await there.close()


async def test_old_sends_are_forgotten_and_young_or_unsettled_ones_kept() -> None:
    """The ledger outlives the topic by a day, and no more."""
    there = await world()
    there.wire.answers["waiting"] = [refused(FailureClass.RETRY)] * 99
    await there.finish(record(send("old")))
    there.begin(record(send("waiting")))
    await there.quiet()
    there.clock.advance(timedelta(days=7))
    await there.finish(record(send("young")))
    there.clock.advance(timedelta(days=2))
    assert await there.outbound.forget_old_sends() == 1
    ledger = there.outbound._opened()
    assert (await ledger.load("old")).entry is None
    young = (await ledger.load("young")).entry
    assert young is not None
    assert young.phase is Phase.ACCEPTED
    assert (await ledger.load("waiting")).entry is not None
    await there.close()


async def test_a_closed_outbound_says_so() -> None:
    """Using it before it is open is a mistake of the shell."""
    there = await world()
    there.outbound._ledger = None
    with pytest.raises(RuntimeError, match="open"):
        await there.finish(record(send()))
