"""What stands on the topics: every event comes back as it was written, and nothing that is not an event gets in."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidEventError
from shared.events.commands import AddNote, SetAttribute
from shared.events.conversations import ConversationUpdated
from shared.events.envelope import EventData, UnknownTypeError, encode_event, format_time, new_event, to_milliseconds
from shared.events.inbound import MessageReceived, ReactionChanged
from shared.events.shapes import Author, AuthorKind, Customer, Text
from shared.events.work import AgentSignedIn, WorkWithdrawn
from shared.topics import AGENTS, COMMANDS, CONVERSATIONS, INBOUND, REJECTED, TOPICS, WORK, Topic, all_topics
from tests.shared.events.event_strategies import ALL_TOPICS, data_on_topics, envelopes, every_model, json_values, models, moments, texts

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NULL_MEANS_SOMETHING = {"values", "changes", "emoji"}
"""Below a form's values and a change's [old, new] stands what others wrote; a reaction that is gone has no emoji."""


def written(data: EventData, **attributes: Any) -> bytes:
    """Return `data` as a record."""
    given_attributes = {"event_id": "1", "source": "test", "subject": "thread", "time": NOON, **attributes}
    return new_event(data, **given_attributes).to_json()


def nulls(document: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return where null stands in a document."""
    if isinstance(document, dict):
        return [found for name, value in document.items() for found in nulls(value, (*path, name))]
    if isinstance(document, list):
        return [found for value in document for found in nulls(value, path)]
    return [path] if document is None else []


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("topic", "model"), every_model, ids=lambda one: getattr(one, "__name__", getattr(one, "name", None)))
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_event_comes_back_as_it_was_written(topic: Topic, model: type[EventData], data: st.DataObject) -> None:
    """Each type of each topic survives the way over its topic, whatever is in it, and says its type."""
    event = new_event(data.draw(models(model)), **data.draw(envelopes))
    assert topic.decode(event.to_json()) == event
    assert event.type == f"parley.{model.NAME}.v1"


@settings(deadline=None)
@given(data_on_topics, envelopes)
def test_an_output_is_written_as_the_envelope_would_write_it(place: tuple[Topic, EventData], envelope: dict[str, Any]) -> None:
    """The short cut that reducers' outputs take gives the same bytes."""
    _, data = place
    assert encode_event(data, **envelope) == new_event(data, **envelope).to_json()


def test_a_written_event_holds_no_more_memory_than_its_length() -> None:
    """Thousands wait for their acknowledgement at once: each in a page of its own would cost six times as much."""
    note = AddNote(author=Author(kind=AuthorKind.AGENT, id="a1"), text="x" * 500)
    encode_event(note, event_id="1", source="test", subject="thread", time=NOON)
    tracemalloc.start()
    try:
        events = [encode_event(note, event_id="1", source="test", subject="thread", time=NOON) for _ in range(200)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < sum(map(len, events)) * 1.5


@settings(deadline=None)
@given(data_on_topics)
def test_what_is_absent_is_left_out_and_never_null(place: tuple[Topic, EventData]) -> None:
    """A reader need not tell absent from null, except where null says something."""
    _, data = place
    assert all(NULL_MEANS_SOMETHING & set(path) for path in nulls(json.loads(written(data))))


def test_a_reaction_that_is_gone_is_null() -> None:
    """`emoji` stands there although it is null: it says that the reaction was taken back."""
    document = json.loads(written(ReactionChanged(message_id="m", emoji=None, sent_at=NOON)))
    assert document["data"] == {"message_id": "m", "emoji": None, "sent_at": "2026-11-22T12:00:00.000Z"}
    with pytest.raises(InvalidEventError, match="emoji: missing"):
        INBOUND.decode(json.dumps({**document, "data": {"message_id": "m", "sent_at": "2026-11-22T12:00:00Z"}}).encode())


def test_a_change_keeps_its_nulls() -> None:
    """[null, new] says that there was nothing before."""
    data = ConversationUpdated(conversation_id="c", changes={"language": (None, "pt")})
    assert json.loads(written(data))["data"]["changes"] == {"language": [None, "pt"]}
    assert CONVERSATIONS.decode(written(data)).data == data


def test_an_attribute_without_a_value_is_forgotten() -> None:
    """Absent and null are the same here: forget it."""
    data = SetAttribute(author=Author(kind=AuthorKind.BOT, id="bot"), name="vip")
    with_null = json.loads(written(data))
    with_null["data"]["value"] = None
    assert COMMANDS.decode(json.dumps(with_null).encode()).data == data


def test_every_topic_has_types_of_its_own() -> None:
    """No two models share a type, and no type stands on two topics."""
    names = [model.event_type() for topic in ALL_TOPICS for model in topic.models]
    assert len(names) == len(set(names))
    assert len({topic.name for topic in all_topics(["conversation", "bot"])}) == len(TOPICS) + 2


# --- what others write ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data_on_topics, st.dictionaries(texts.map("x_".__add__), json_values, max_size=3))
def test_fields_that_are_not_known_are_ignored(place: tuple[Topic, EventData], extra: dict[str, Any]) -> None:
    """A newer sender's fields do no harm, beside ours or in the envelope."""
    topic, data = place
    document = json.loads(written(data))
    longer = {**document, **extra, "data": {**document["data"], **extra}}
    assert topic.decode(json.dumps(longer).encode()) == topic.decode(written(data))


@settings(deadline=None)
@given(data_on_topics, st.sampled_from(["parley.sing_a_song.v1", "parley.message.received.v2", "org.example.thing", ""]))
def test_a_type_that_is_not_known_is_told_apart(place: tuple[Topic, EventData], name: str) -> None:
    """It is skipped, not put aside: the sender may be newer than we are."""
    topic, data = place
    with pytest.raises(UnknownTypeError):
        topic.decode(json.dumps({**json.loads(written(data)), "type": name}).encode())


@settings(deadline=None)
@given(data_on_topics, data_on_topics)
def test_an_event_of_another_topic_is_not_known_here(place: tuple[Topic, EventData], other: tuple[Topic, EventData]) -> None:
    """A type belongs to its topic."""
    if place[0] is not other[0]:
        with pytest.raises(UnknownTypeError):
            other[0].decode(written(place[1]))


def mutilated(document: Any, data: st.DataObject) -> Any:
    """Return `document` with one value somewhere in it replaced by anything, or taken away."""
    if isinstance(document, dict) and document and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(document)))
        if data.draw(st.integers(0, 4)) == 0:
            return {key: value for key, value in document.items() if key != name}
        return {**document, name: mutilated(document[name], data)}
    if isinstance(document, list) and document:
        return [mutilated(document[0], data), *document[1:]]
    return data.draw(json_values | st.sampled_from([10**400, -1, "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"]))


@settings(max_examples=120, deadline=None)
@given(data_on_topics, st.data())
def test_whatever_stands_in_a_record_it_is_an_event_or_it_is_invalid(place: tuple[Topic, EventData], data: st.DataObject) -> None:
    """No document makes the reader fail in a way that would stop a partition, and what it takes it can write and read again."""
    topic, event_data = place
    value = json.dumps(mutilated(json.loads(written(event_data)), data)).encode()
    try:
        event = topic.decode(value)
    except InvalidEventError:
        return
    assert topic.decode(event.to_json()) == event


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"type": "parley.add_note.v1"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        written(AddNote(author=Author(kind=AuthorKind.AGENT, id="a"), text="x")).replace(b'"x"', rb'"\ud83d"'),
        written(AddNote(author=Author(kind=AuthorKind.AGENT, id="a"), text="x"), seq=1).replace(b'"seq":1', b'"seq":9223372036854775808'),
        written(AddNote(author=Author(kind=AuthorKind.AGENT, id="a"), text="x")).replace(b"Z", b""),
        written(AddNote(author=Author(kind=AuthorKind.AGENT, id="a"), text="x"))
        .replace(b"2026-11-22", b"0001-01-01")
        .replace(b"Z", b"+14:00"),
    ],
)
def test_a_document_that_is_no_event_is_invalid(value: bytes) -> None:
    """Broken JSON, half an emoji, a number larger than we can keep, a time without a zone or beyond the calendar."""
    with pytest.raises(InvalidEventError) as caught:
        COMMANDS.decode(value)
    assert not isinstance(caught.value, UnknownTypeError)


@pytest.mark.parametrize("emitter", ["", "x" * 513])
def test_an_emitter_that_no_record_could_be_called_by_is_invalid(emitter: str) -> None:
    """It is the key of a state, and answers go to it: the router withdraws work under it."""
    document = json.loads(written(WorkWithdrawn(conversation_id="c", thread="a:b:c")))
    with pytest.raises(InvalidEventError, match="emitter"):
        WORK.decode(json.dumps({**document, "emitter": emitter}).encode())


SECRET = "geheim+351912345678"


def spoilt(document: Any, data: st.DataObject) -> Any:
    """Return `document` with the secret in the place of a value, or as the name of an entry with a wrong value."""
    if isinstance(document, dict):
        if not document or data.draw(st.integers(0, 3)) == 0:
            return {**document, SECRET: {SECRET: [SECRET]}}
        name = data.draw(st.sampled_from(sorted(document)))
        return {**document, name: spoilt(document[name], data)}
    return data.draw(st.sampled_from([SECRET, [SECRET], {SECRET: SECRET}]))


@settings(max_examples=120, deadline=None)
@given(data_on_topics, st.data())
def test_no_error_repeats_what_the_document_holds(place: tuple[Topic, EventData], data: st.DataObject) -> None:
    """The messages go to dead letters, tools and logs: they say where and what, never the words, not even the names of entries."""
    topic, event_data = place
    problem = None
    try:
        topic.decode(json.dumps(spoilt(json.loads(written(event_data)), data)).encode())
    except InvalidEventError as error:
        problem = error
    assert "geheim" not in str(problem)
    assert problem is None or problem.__cause__ is None


def test_an_error_says_where_and_how_much_is_wrong() -> None:
    """Whoever sent it finds the field."""
    value = written(AgentSignedIn(agent="a", capacity={"geheim": 1})).replace(b'"geheim":1', b'"geheim":"viel"')
    with pytest.raises(InvalidEventError, match=r"^parley\.agent\.signed_in\.v1\.data\.capacity\.\*: int_parsing \(1 problems\)$"):
        AGENTS.decode(value)


def test_a_topic_of_one_type_knows_what_it_does_not_know() -> None:
    """`rejected` has one type; there is no union to choose from, and the answer is the same."""
    with pytest.raises(UnknownTypeError):
        REJECTED.decode(written(AgentSignedIn(agent="a")))


# --- values -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data_on_topics, st.data())
def test_a_changed_copy_is_what_pydantic_would_copy(place: tuple[Topic, EventData], data: st.DataObject) -> None:
    """`but` equals model_copy, leaves the original alone, and knows which fields were set."""
    _, value = place
    name = data.draw(st.sampled_from(sorted(type(value).model_fields)))
    changes = {name: data.draw(texts)}
    before = value.model_dump()
    copy, expected = value.but(**changes), value.model_copy(update=changes)
    assert copy == expected
    assert copy.model_fields_set == expected.model_fields_set
    assert copy.model_dump(warnings=False) == expected.model_dump(warnings=False)
    assert value.model_dump() == before


def test_a_value_never_changes() -> None:
    """Change means copy."""
    with pytest.raises(ValueError, match="frozen"):
        Text(text="a").text = "b"  # type: ignore[misc] # that it cannot be done is the point


@settings(deadline=None)
@given(moments)
def test_times_are_utc_with_milliseconds(moment: datetime) -> None:
    """Whatever zone a time came in, it stands there as UTC, cut to milliseconds, and reads back as the same."""
    cut = to_milliseconds(moment)
    assert cut <= moment
    assert (moment - cut).total_seconds() < 0.001
    text = format_time(cut)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == cut
    assert to_milliseconds(cut) is cut


def test_a_time_without_a_zone_is_refused() -> None:
    """Nobody can say which moment it is."""
    with pytest.raises(ValueError, match="zone"):
        to_milliseconds(datetime(2026, 11, 22))  # noqa: DTZ001 # that it has no zone is the point


@pytest.mark.parametrize("moment", ["0110-06-23T02:23:17.001Z", "1969-12-31T23:59:59.999Z", "9000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_at_an_end_of_the_calendar_is_no_event(moment: str) -> None:
    """Whoever adds a year to it would leave the calendar; whoever counts the days since would count for minutes."""
    note = json.loads(written(AddNote(author=Author(kind=AuthorKind.AGENT, id="a1"), text="x")))
    COMMANDS.decode(json.dumps(note).encode())
    with pytest.raises(InvalidEventError, match="time: value_error"):
        COMMANDS.decode(json.dumps(note | {"time": moment}).encode())


@pytest.mark.parametrize("thread", ["", "x" * 513])
def test_work_names_a_thread_that_can_be_a_key(thread: str) -> None:
    """Assignments are written under it."""
    offer = json.loads(written(WorkWithdrawn(conversation_id="c", thread="t")))
    offer["data"]["thread"] = thread
    with pytest.raises(InvalidEventError, match="thread: string_too"):
        WORK.decode(json.dumps(offer).encode())


def test_names_that_are_words_of_the_language_are_written_by_their_own() -> None:
    """`from` and `class` stand in the document, not the names that Python needs."""
    assert MessageReceived.model_fields["customer"].annotation is Customer
    for topic, model in every_model:
        for name, field in model.model_fields.items():
            assert not (field.alias or name).endswith("_"), (topic.name, model.__name__)
