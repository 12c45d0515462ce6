"""What one step of the engine promises, without a broker, a store or a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.document import RECENT_IDS_MAX, SEEN_EMITTERS_MAX, Document
from shared.engine.plan import Plan, TimerDue
from shared.engine.records import Publication, Record
from shared.engine.stamping import OUTBOX_BYTES_MAX
from shared.engine.step import OUTBOX_ENTRIES_MAX, STEP_OUTPUTS_MAX, Engine
from shared.events.rejected import DeadLetter
from shared.ids import count_digests, digest, remembers_digest
from shared.topics import COMMANDS, CONVERSATIONS, INBOUND, RECORD_BYTES_MAX, WORK, Topic, dead_letters_of
from tests.shared.engine.counting import STUCK_NOTES, TIMER, Count, Counter, closing, command, record, stored

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OTHER_COMMANDS = Topic("other", "thread", COMMANDS.models)
ENGINE: Engine[Count] = Engine(Counter(), partitions=1, version="test")


def step(*inputs: Record | TimerDue, documents: Mapping[str, Document[Count]] | None = None, now: datetime = NOON) -> Plan[Count]:
    """Take one step of the counter."""
    return ENGINE.step(0, inputs, documents or {}, now)


def texts(publications: list[Publication]) -> list[str]:
    """Return the words of the notes that were published."""
    return [CONVERSATIONS.decode(one.value).data.text for one in publications if one.topic is CONVERSATIONS]


def letters(plan: Plan[Count]) -> list[DeadLetter]:
    """Return the dead letters of a plan."""
    return [dead_letters_of("counter").decode(one.value).data for one in plan.dead_letters]


def carried_out(plan: Plan[Count]) -> dict[str, Document[Count]]:
    """Return the documents of a plan as they are once it is carried out."""
    return {key: stored(document) for key, document in plan.touched.items()}


def test_a_decision_is_saved_with_its_outputs_before_they_are_published() -> None:
    """The document of the plan carries state, offset, seq and the outputs themselves."""
    plan = step(record(command("a", event_id="1"), 0), record(command("b", event_id="2"), 1))
    (document,) = plan.saves
    assert document.state == Count(notes=2)
    assert document.applied == {"commands": 1}
    assert [entry.value for entry in document.outbox] == [publication.value for publication in plan.publishes]
    assert texts(plan.publishes) == ["1", "2"]
    assert plan.commits == {COMMANDS: 2}


def test_outputs_are_numbered_without_a_gap_and_name_their_predecessor() -> None:
    """`seq` counts all outputs of the state, `previousseq` those on the same topic under the own key, `emitter` stands elsewhere."""
    plan = step(record(command("a", event_id="1"), 0), record(command("work", event_id="2"), 1))
    events = [one.topic.decode(one.value) for one in plan.publishes]
    assert [(event.id, event.seq, event.previousseq, event.emitter) for event in events] == [
        ("counter/thread/1", 1, 0, None),
        ("counter/thread/2", 2, None, "thread"),
        ("counter/thread/3", 3, 1, None),
    ]
    assert [one.topic for one in plan.publishes] == [CONVERSATIONS, WORK, CONVERSATIONS]
    assert events[1].subject == "pool"


def test_an_output_carries_its_cause_and_the_trace() -> None:
    """Who follows `causationid` comes back to the webhook, who follows `traceparent` finds the spans."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    plan = step(record(command("a", event_id="cause", traceparent=trace), 0))
    event = CONVERSATIONS.decode(plan.publishes[0].value)
    assert (event.causationid, event.traceparent) == ("cause", trace)
    assert plan.sampled == [trace]


def test_a_trace_that_is_not_sampled_is_carried_and_not_linked() -> None:
    """The sampling decision of the door holds for the whole way."""
    plan = step(record(command("a", event_id="1", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), 0))
    assert plan.sampled == []


def test_what_was_applied_is_not_decided_again() -> None:
    """A replayed record, at or below the applied offset, changes nothing."""
    documents = carried_out(step(record(command("a", event_id="1"), 5)))
    plan = step(record(command("a", event_id="1"), 5), record(command("old", event_id="0"), 4), documents=documents)
    assert plan.saves == []
    assert plan.publishes == []
    assert plan.counts.replayed == 2


def test_an_outbox_that_is_not_acknowledged_goes_out_whole_before_anything_new() -> None:
    """First touch after a crash: the saved outputs come first, in seq order, then those of new input, all of them saved again."""
    documents = {
        document.key: document for document in step(record(command("a", event_id="1"), 0), record(command("b", event_id="2"), 1)).saves
    }
    plan = step(record(command("c", event_id="3"), 2), documents=documents)
    assert texts(plan.publishes) == ["1", "2", "3"]
    assert [entry.value for entry in plan.saves[0].outbox] == [publication.value for publication in plan.publishes]


def test_a_replayed_record_brings_its_keys_outbox_out_although_nothing_is_decided() -> None:
    """A crash between save and publish: the input comes again and takes the saved outputs with it."""
    documents = {document.key: document for document in step(record(command("a", event_id="1"), 0)).saves}
    plan = step(record(command("a", event_id="1"), 0), documents=documents)
    assert texts(plan.publishes) == ["1"]
    assert plan.saves == []


def test_an_event_without_seq_takes_effect_once_by_its_id() -> None:
    """A provider's redelivery and an integrator's second try have the same id."""
    plan = step(record(command("a", event_id="same"), 0), record(command("a", event_id="same"), 1))
    assert texts(plan.publishes) == ["1"]
    assert plan.counts.duplicates == 1


def test_an_event_with_seq_takes_effect_once_by_its_seq() -> None:
    """What is not above the last seq of its source and emitter is dropped."""
    first = record(command("a", event_id="1", seq=1, previousseq=0), 0)
    again = record(command("a", event_id="1", seq=1, previousseq=0), 1)
    elsewhere = record(command("a", event_id="9", seq=1, emitter="other"), 2)
    plan = step(first, again, elsewhere)
    assert texts(plan.publishes) == ["1", "2"]
    assert plan.counts.duplicates == 1
    assert plan.counts.gaps == 0


def test_a_states_outputs_on_two_topics_may_be_read_in_any_order() -> None:
    """A state counts its outputs on all topics; its later one on this topic does not make its earlier one on that a repetition."""
    earlier = record(command("earlier", event_id="1", seq=1, emitter="state"), 0, topic=COMMANDS)
    later = record(command("later", event_id="2", seq=2, emitter="state"), 0, topic=OTHER_COMMANDS)
    plan = step(later, earlier, record(earlier.value, 1, topic=COMMANDS))
    assert texts(plan.publishes) == ["1", "2"]
    assert plan.counts.duplicates == 1


def test_a_gap_in_a_states_outputs_is_noticed() -> None:
    """An event that names a predecessor we never saw raises the alarm, and still takes effect."""
    plan = step(record(command("a", event_id="1", seq=1, previousseq=0), 0), record(command("c", event_id="3", seq=3, previousseq=2), 1))
    assert plan.counts.gaps == 1
    assert texts(plan.publishes) == ["1", "2"]


def test_outputs_that_went_to_another_topic_are_no_gap() -> None:
    """Output 2 went elsewhere, and output 3 says so by naming 1 as its predecessor here."""
    plan = step(record(command("a", event_id="1", seq=1, previousseq=0), 0), record(command("c", event_id="3", seq=3, previousseq=1), 1))
    assert plan.counts.gaps == 0


@pytest.mark.parametrize(
    ("value", "key", "error"),
    [
        (b"no json", b"thread", "json_invalid"),
        (None, b"thread", "json_invalid"),
        (b"{}", b"thread", "union_tag_not_found"),
        (command("a", event_id="1", key="other"), b"thread", "subject"),
        (command("a", event_id="1"), None, "key"),
        (command("a", event_id="1"), b"\xff\xfe", "key"),
    ],
)
def test_an_invalid_record_becomes_a_dead_letter_and_the_next_goes_on(value: bytes | None, key: bytes | None, error: str) -> None:
    """An integrator's mistake never stops a partition; the letter says what and where, without the record's words."""
    plan = step(record(value, 0, key=key), record(command("b", event_id="2"), 1))
    (letter,) = letters(plan)
    assert (letter.reason, letter.topic, letter.offset) == ("invalid", "commands", 0)
    assert error in letter.error
    assert texts(plan.publishes) == ["1"]
    assert plan.commits == {COMMANDS: 2}


def test_a_dead_letter_has_the_same_id_however_often_the_record_fails() -> None:
    """A replayed batch writes the same letter, so nobody counts it twice."""
    first, second = (step(record(b"no json", 7)).dead_letters[0].value for _ in range(2))
    topic = dead_letters_of("counter")
    assert topic.decode(first).id == topic.decode(second).id == "counter/commands/0/7"


def test_an_unknown_type_is_skipped_and_counted() -> None:
    """A newer sender does not fill the dead letters of an older reader."""
    unknown = command("a", event_id="1").replace(b"parley.add_note.v1", b"parley.sing_a_song.v1")
    plan = step(record(unknown, 0))
    assert (plan.counts.unknown_types, plan.dead_letters, plan.saves) == (1, [], [])


def test_a_rule_that_raises_parks_its_key_and_nothing_else() -> None:
    """The record and its successors of that key go to the dead letters in order; another key goes on."""
    inputs = [record(command(text, event_id=text), offset) for offset, text in enumerate(["a", "boom", "b", "c"])]
    other = record(command("a", event_id="o", key="other"), 4, key=b"other")
    plan = step(*inputs, other)
    assert [(letter.reason, letter.offset) for letter in letters(plan)] == [("decide_failed", 1), ("parked", 2), ("parked", 3)]
    assert texts(plan.publishes) == ["1", "1"]
    parked = plan.touched["thread"]
    assert parked.state == Count(notes=1)
    assert parked.parked is not None
    assert parked.parked.startswith("ValueError at ")
    assert "customer" not in parked.parked


def test_a_replayed_record_unparks_its_key() -> None:
    """After the mend an operator replays: the record takes effect, and so does what comes after it."""
    documents = carried_out(step(record(command("boom", event_id="1"), 0)))
    replayed = record(command("fine", event_id="1", replayof="counter/commands/0/0"), 1)
    plan = step(replayed, record(command("next", event_id="2"), 2), documents=documents)
    assert texts(plan.publishes) == ["1", "2"]
    assert plan.touched["thread"].parked is None


def test_a_replay_is_judged_by_its_id_even_with_a_seq_of_the_past() -> None:
    """An event that was passed by its successors is taken when an operator replays it, and only once."""
    documents = carried_out(
        step(record(command("boom", event_id="1", seq=1, previousseq=0), 0), record(command("b", event_id="2", seq=2, previousseq=1), 1))
    )
    again = command("fine", event_id="1", seq=1, previousseq=0, replayof="counter/commands/0/0")
    plan = step(record(again, 2), record(again, 3), documents=documents)
    assert texts(plan.publishes) == ["1"]
    assert plan.counts.duplicates == 1


def test_a_replay_for_another_reader_of_the_topic_changes_nothing_here() -> None:
    """Who has taken the event by its seq drops it, and a key that is parked here stays parked."""
    documents = carried_out(step(record(command("a", event_id="1", seq=1, previousseq=0), 0)))
    again = command("a", event_id="1", seq=1, previousseq=0, replayof="another/commands/0/0")
    plan = step(record(again, 1), documents=documents)
    assert (texts(plan.publishes), plan.counts.duplicates) == ([], 1)
    parked = carried_out(step(record(command("boom", event_id="2"), 2), documents=documents))
    plan = step(record(command("fine", event_id="3", replayof="another/commands/0/9"), 3), documents=parked)
    assert [letter.reason for letter in letters(plan)] == ["parked"]


def test_a_replay_that_fails_again_stays_parked() -> None:
    """A mend that did not help costs one more dead letter."""
    documents = carried_out(step(record(command("boom", event_id="1"), 0)))
    plan = step(record(command("boom", event_id="1", replayof="counter/commands/0/0"), 1), documents=documents)
    assert [letter.reason for letter in letters(plan)] == ["decide_failed"]
    assert plan.touched["thread"].parked is not None


def test_replays_that_follow_one_another_take_effect_in_order() -> None:
    """A whole key in one batch: each goes on because the one before it took effect, also where that was a duplicate."""
    first = record(command("boom", event_id="1"), 0)
    documents = carried_out(step(first, record(command("b", event_id="2"), 1), record(command("c", event_id="3"), 2)))
    replays = [
        record(command(text, event_id=event_id, replayof=f"counter/commands/0/{event_id}", replayafter=after), offset)
        for offset, (text, event_id, after) in enumerate([("a", "1", None), ("a", "1", None), ("b", "2", "1"), ("c", "3", "2")], start=3)
    ]
    plan = step(*replays, documents=documents)
    assert (texts(plan.publishes), letters(plan), plan.counts.duplicates) == (["1", "2", "3"], [], 1)
    assert plan.touched["thread"].parked is None


def test_a_replay_behind_one_that_fails_again_is_put_aside_too() -> None:
    """Nothing overtakes: the failing one and all that were sent behind it are letters again, in their order."""
    documents = carried_out(step(record(command("boom", event_id="1"), 0)))
    plan = step(
        record(command("boom", event_id="1", replayof="counter/commands/0/0"), 1),
        record(command("b", event_id="2", replayof="counter/commands/0/1", replayafter="1"), 2),
        record(command("c", event_id="3", replayof="counter/commands/0/2", replayafter="2"), 3),
        documents=documents,
    )
    assert texts(plan.publishes) == []
    assert [letter.reason for letter in letters(plan)] == ["decide_failed", "parked", "parked"]
    assert plan.touched["thread"].parked is not None


def test_a_key_that_cannot_be_stored_is_parked_with_that_reason_and_no_other() -> None:
    """The shell says what the store refuses: that key's records are letters with its words, another key of the batch goes on."""
    inputs = (
        record(command("a", event_id="1"), 0),
        record(command("b", event_id="2"), 1),
        record(command("c", event_id="3", key="other"), 2, key=b"other"),
    )
    plan = ENGINE.step(0, inputs, {}, NOON, {"thread": "StateTooLargeError: too large"})
    assert [(letter.reason, letter.error, letter.offset) for letter in letters(plan)] == [
        ("decide_failed", "StateTooLargeError: too large", 0),
        ("parked", "StateTooLargeError: too large", 1),
    ]
    assert plan.touched["thread"].state is None
    assert plan.touched["other"].state == Count(notes=1)


def test_an_output_that_the_broker_would_refuse_never_becomes_state() -> None:
    """Too large an output is the rule's fault: the key is parked, the count stays."""
    plan = step(record(command("huge", event_id="1"), 0))
    assert plan.publishes == []
    assert plan.touched["thread"].state is None
    assert [letter.error.split(" at ")[0] for letter in letters(plan)] == ["OutputTooLargeError"]


def test_a_key_that_emits_very_much_ends_the_step() -> None:
    """Its document carries all of it, so the rest of the records waits for the next step."""
    plan = step(record(command("many", event_id="1"), 0), record(command("b", event_id="2"), 1))
    assert plan.taken == 1
    assert len(plan.publishes) >= OUTBOX_ENTRIES_MAX
    assert plan.commits == {COMMANDS: 1}


def test_a_key_that_emits_large_outputs_ends_the_step_before_its_document_is_too_large() -> None:
    """A burst of large messages on one thread: the outbox stays within what the store takes, however small its count."""
    plan = step(*(record(command("large", event_id=str(number)), number) for number in range(20)))
    assert plan.taken < 20
    assert sum(len(entry.value) for entry in plan.touched["thread"].outbox) < OUTBOX_BYTES_MAX + RECORD_BYTES_MAX


def test_a_single_decision_with_too_much_to_say_never_becomes_state() -> None:
    """No store would take the document, and the partition would stand still."""
    plan = step(record(command("flood", event_id="1"), 0))
    assert [letter.error.split(" at ")[0] for letter in letters(plan)] == ["OutputTooLargeError"]


def test_many_keys_that_emit_very_much_end_the_step_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plan never holds more than it names."""
    assert STEP_OUTPUTS_MAX > OUTBOX_ENTRIES_MAX
    monkeypatch.setattr("shared.engine.step.STEP_OUTPUTS_MAX", 3)
    inputs = [record(command("a", event_id=str(n), key=f"k{n}"), n, key=f"k{n}".encode()) for n in range(5)]
    assert step(*inputs).taken == 3


def test_a_record_on_the_wrong_partition_is_written_to_the_right_one() -> None:
    """A producer with another partitioner must not give a key two owners."""
    engine: Engine[Count] = Engine(Counter(), partitions=6, version="test")
    value = command("a", event_id="1")
    plan = engine.step(5, [record(value, 0, partition=5)], {}, NOON)
    assert plan.counts.misplaced == 1
    assert plan.publishes == [Publication(COMMANDS, "thread", value)]
    assert plan.commits == {COMMANDS: 1}


def test_a_record_on_the_wrong_partition_that_is_too_large_to_be_moved_goes_to_the_dead_letters() -> None:
    """It came compressed; the broker would refuse it uncompressed for ever, and the partition would stand still."""
    engine: Engine[Count] = Engine(Counter(), partitions=6, version="test")
    plan = engine.step(5, [record(b" " * (RECORD_BYTES_MAX + 1), 0, partition=5)], {}, NOON)
    assert [letter.reason for letter in letters(plan)] == ["invalid"]
    assert (plan.publishes, plan.commits) == ([], {COMMANDS: 1})


def test_a_decision_that_remembers_nothing_leaves_no_state() -> None:
    """An event of no interest costs its offset and no more."""
    plan = step(record(closing("1"), 0))
    assert plan.touched["thread"].state is None
    assert plan.publishes == []


def test_a_decision_without_outputs_is_saved_all_the_same() -> None:
    """State counts, spoken or not."""
    plan = step(record(command("quiet", event_id="1"), 0))
    assert plan.saves[0].state == Count(notes=1)


# --- timers -----------------------------------------------------------------------------------------------------------


def armed() -> dict[str, Document[Count]]:
    """Return a document whose timer is armed."""
    return carried_out(step(record(command("timer", event_id="1"), 0)))


def test_a_timer_rings_at_its_moment_and_marks_what_it_left() -> None:
    """No input brings a timer's outputs back, so the document is marked until they are acknowledged."""
    plan = step(TimerDue("thread"), documents=armed(), now=NOON + TIMER)
    (document,) = plan.saves
    assert texts(plan.publishes) == ["ring"]
    assert document.dirty
    assert document.due_at is None
    assert plan.counts.timers == 1


def test_the_mark_goes_with_the_next_save_after_the_acknowledgement() -> None:
    """What is acknowledged need not be looked for."""
    documents = carried_out(step(TimerDue("thread"), documents=armed(), now=NOON + TIMER))
    assert documents["thread"].dirty
    plan = step(record(command("b", event_id="2"), 1), documents=documents)
    assert not plan.saves[0].dirty


def test_a_timer_after_an_outage_says_that_it_is_late() -> None:
    """It rings once, and its rule may say so to people."""
    plan = step(TimerDue("thread"), documents=armed(), now=NOON + timedelta(hours=2))
    assert texts(plan.publishes) == ["late"]


@pytest.mark.parametrize("now", [NOON, NOON + TIMER - timedelta(milliseconds=1)])
def test_an_index_row_that_is_older_than_its_document_rings_nothing(now: datetime) -> None:
    """The moment is checked again against the document."""
    plan = step(TimerDue("thread"), documents=armed(), now=now)
    assert (plan.saves, plan.publishes) == ([], [])


def test_a_timer_of_a_key_that_is_gone_rings_nothing() -> None:
    """A row without a document is no reason to fail."""
    assert step(TimerDue("nobody")).saves == []


def test_a_timer_that_would_ring_for_ever_parks_its_key() -> None:
    """A rule that leaves its timer due and its state unchanged is a bug; it must not spin."""
    documents = {"thread": Document("thread", 0, version=1, due_at=NOON, state=Count(notes=STUCK_NOTES, due_at=NOON))}
    plan = step(TimerDue("thread"), documents=documents)
    parked = plan.touched["thread"]
    assert parked.parked is not None
    assert parked.parked.startswith("TimerStuckError")
    assert step(TimerDue("thread"), documents=carried_out(plan)).saves == []


def test_a_flush_publishes_outboxes_and_nothing_else() -> None:
    """On assignment, and after every failure, what timers left goes out first."""
    saved = step(TimerDue("thread"), documents=armed(), now=NOON + TIMER).saves
    plan = ENGINE.flush(0, saved)
    assert texts(plan.publishes) == ["ring"]
    assert plan.saves == []


# --- bounds and properties --------------------------------------------------------------------------------------------


def test_memory_of_ids_and_emitters_is_bounded() -> None:
    """The oldest is forgotten; the youngest is kept."""
    document: Document[Count] = Document("thread", 0)
    for number in range(RECENT_IDS_MAX + 1):
        document.remember_id(digest(str(number)))
    for number in range(SEEN_EMITTERS_MAX + 1):
        document.remember_seq(str(number), 1)
    assert count_digests(document.recent_ids) == RECENT_IDS_MAX
    assert not remembers_digest(document.recent_ids, digest("0"))
    assert len(document.seen) == SEEN_EMITTERS_MAX
    assert "0" not in document.seen


def test_records_of_a_topic_that_is_no_input_are_judged_by_that_topic() -> None:
    """The codec is the record's topic, not the reducer's first."""
    plan = step(record(command("a", event_id="1"), 0, topic=INBOUND))
    assert plan.counts.unknown_types == 1


@given(st.lists(st.sampled_from(["a", "b", "timer", "work", "quiet", "boom"]), max_size=30), st.data())
def test_a_crash_anywhere_changes_no_output(notes: list[str], data: st.DataObject) -> None:
    """However the records are cut into steps, and whatever is lost between save and acknowledgement, each seq says the same.

    And no dead letter is lost.
    """
    records = [record(command(text, event_id=str(number)), number) for number, text in enumerate(notes)]
    whole = step(*records)
    documents: dict[str, Document[Any]] = {}
    published: dict[str, bytes] = {}
    position = 0
    while position < len(records):
        size = data.draw(st.integers(1, 5))
        plan = step(*records[position : position + size], documents=documents)
        crash = data.draw(st.sampled_from(["none", "before save", "before publish", "before commit"]))
        if crash == "before save":
            continue
        documents = {key: document.copy() for key, document in plan.touched.items()}
        for document in documents.values():
            document.version += 1
        if crash == "before publish":
            continue
        published.update({one.topic.name + one.topic.decode(one.value).id: one.value for one in (*plan.publishes, *plan.dead_letters)})
        if crash == "before commit":
            continue
        for document in documents.values():
            document.outbox.clear()
        position += plan.taken
    expected = {one.topic.name + one.topic.decode(one.value).id: one.value for one in (*whole.publishes, *whole.dead_letters)}
    assert published == expected
