"""`parley replay` on the real broker, with a reducer that runs meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cli.replaying import waves as replaying_waves
from cli.replaying.items import Ready
from cli.replaying.waves import Broker, Outcome
from shared.channels.contract import ItemRejected
from shared.clock import SystemClock
from shared.engine.dead_letters import dead_letter
from shared.engine.records import Publication, Record
from shared.events.commands import AddNote
from shared.events.envelope import Event, new_event
from shared.events.inbound import MessageReceived
from shared.events.rejected import WebhookRejected
from shared.topics import COMMANDS, CONVERSATIONS, INBOUND, REJECTED, dead_letters_of
from tests.cli.cli_world import AUTHOR, PATIENCE_SECONDS, READER, Installation, installation

pytestmark = pytest.mark.broker
THREAD = "paper:sales:351912000001"
OTHER = "paper:sales:351912000002"
CONFIG = str(Path(__file__).resolve().parents[2] / "config")
DEAD = dead_letters_of(READER)


@pytest.fixture
async def there(kafka_bootstrap: str) -> AsyncIterator[Installation]:
    """An installation of the test's own."""
    async with installation(kafka_bootstrap) as made:
        yield made


async def notes_of(there: Installation, thread: str) -> list[str]:
    """Return the notes that the recorder took on `thread`, in their order; what it publishes again after a restart is the same event."""
    return list({event.id: event.data.text for event in await there.events(CONVERSATIONS) if event.subject == thread}.values())


async def park(there: Installation) -> None:
    """Let one note of a thread fail: it and its successors go to the dead letters; another thread goes on."""
    there.recorder.poison = {"two"}
    async with there.recording():
        await there.note(THREAD, "one", "two", "three", "four")
        await there.note(OTHER, "else")
        await there.until_count(DEAD, 3)
        await there.until_count(CONVERSATIONS, 2)


async def test_a_parked_key_is_replayed_in_order_and_goes_on(there: Installation) -> None:
    """After the bug is mended, the put-aside records take effect in their order, and new ones do again."""
    await park(there)
    there.recorder.poison = set()
    async with there.recording():
        ran = await there.parley("replay", "--yes")
        assert ran.code == 0, ran.out + ran.err
        assert "3 taken" in ran.out
        await there.note(THREAD, "five")
        await there.until_count(CONVERSATIONS, 6)
    assert await notes_of(there, THREAD) == ["one", "two", "three", "four", "five"]


async def test_replaying_twice_does_no_harm(there: Installation) -> None:
    """What was replayed before is left out, and nothing is written."""
    await park(there)
    there.recorder.poison = set()
    async with there.recording():
        await there.parley("replay", "--yes")
        before = await there.events(COMMANDS)
        ran = await there.parley("replay", "--yes")
    assert ran.code == 0
    assert "Nothing to replay." in ran.out
    assert ran.out.count("replayed before") == 3
    assert await there.events(COMMANDS) == before
    assert await notes_of(there, THREAD) == ["one", "two", "three", "four"]


async def test_without_yes_nothing_is_written(there: Installation) -> None:
    """The dry run shows what would be done, with phone numbers masked."""
    await park(there)
    before = await there.events(COMMANDS)
    ran = await there.parley("replay")
    assert ran.code == 0
    assert "3 would be replayed; nothing was written. Add --yes to do it." in ran.out
    assert f"dead.{READER} decide_failed: 1 to replay" in ran.out
    assert "paper:sales:***01" in ran.out
    assert "351912000001" not in ran.out
    assert THREAD in (await there.parley("replay", "--show-keys")).out
    assert await there.events(COMMANDS) == before


async def test_a_record_that_fails_again_keeps_its_successors_waiting(there: Installation) -> None:
    """The bug is still there: nothing overtakes the failing record, and the next run begins with it."""
    await park(there)
    async with there.recording():
        ran = await there.parley("replay", "--yes")
        assert ran.code == 1
        assert "1 failed again, 2 stays" in ran.out
        assert "ZeroDivisionError" in ran.out
        assert await notes_of(there, THREAD) == ["one"]
        there.recorder.poison = set()
        ran = await there.parley("replay", "--yes")
        assert ran.code == 0, ran.out
    assert await notes_of(there, THREAD) == ["one", "two", "three", "four"]


async def test_what_was_sent_behind_a_record_that_fails_again_overtakes_nothing(there: Installation) -> None:
    """The first is taken, so several follow at once; of those, one fails again and all behind it are letters again, in their order."""
    words = ["two", "three", "four", "five", "six", "seven"]
    there.recorder.poison = {"two"}
    async with there.recording():
        await there.note(THREAD, "one", *words)
        await there.until_count(DEAD, len(words))
        there.recorder.poison = {"four"}
        ran = await there.parley("replay", "--yes")
        assert ran.code == 1
        assert "1 failed again, 3 put aside again, 2 taken" in ran.out
        assert await notes_of(there, THREAD) == ["one", "two", "three"]
        there.recorder.poison = set()
        ran = await there.parley("replay", "--yes")
        assert ran.code == 0, ran.out
        assert "4 taken" in ran.out
    assert await notes_of(there, THREAD) == ["one", *words]


async def test_hundreds_of_letters_of_one_key_are_replayed_in_a_few_waves(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """One alone, then ever more: the time does not grow with the letters."""
    words = [f"word {number}" for number in range(300)]
    there.recorder.poison = {words[0]}
    waves: list[int] = []

    async def counted(broker: Broker, wave: Sequence[Ready]) -> list[Outcome]:
        waves.append(len(wave))
        return await carry_out(broker, wave)

    carry_out = replaying_waves._wave  # counted, and carried out as it is
    monkeypatch.setattr(replaying_waves, "_wave", counted)
    async with there.recording():
        await there.note(THREAD, *words)
        await there.until_count(DEAD, len(words))
        there.recorder.poison = set()
        started = monotonic()
        ran = await there.parley("replay", "--yes")
        seconds = monotonic() - started
    assert ran.code == 0, ran.out
    assert "300 taken" in ran.out
    assert waves == [1, 8, 64, 227]
    assert seconds < PATIENCE_SECONDS
    assert await notes_of(there, THREAD) == words


async def test_an_earlier_letter_that_is_not_selected_holds_the_key(there: Installation) -> None:
    """A filter cannot break the order of a key by accident; --skip-earlier does it on purpose."""
    await park(there)
    ran = await there.parley("replay", "--reason", "parked")
    assert ran.code == 1
    assert "1 earlier of this key not selected" in ran.out
    assert "Nothing to replay." in ran.out
    async with there.recording():
        ran = await there.parley("replay", "--reason", "parked", "--skip-earlier", "--yes")
    assert ran.code == 0, ran.out
    assert await notes_of(there, THREAD) == ["one", "three", "four"]


async def test_a_reducer_that_does_not_run_is_told_and_nothing_more_is_written(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first record waits on its topic; its successors go out only when it was taken, by a later run."""
    monkeypatch.setattr("cli.replaying.waves.TAKE_SECONDS_MAX", 0.3)
    await park(there)
    there.recorder.poison = set()
    ran = await there.parley("replay", "--yes")
    assert ran.code == 1
    assert "1 not taken, 2 stays" in ran.out
    again = await there.parley("replay", "--yes")
    assert again.code == 1
    assert f"{READER} has not come to it yet" in again.out
    monkeypatch.undo()
    async with there.recording():
        await there.until_count(CONVERSATIONS, 3)
        await there.until("the replay of the rest", lambda: rest_is_replayed(there))
    assert await notes_of(there, THREAD) == ["one", "two", "three", "four"]


async def rest_is_replayed(there: Installation) -> bool:
    """Replay what is left; return whether everything is taken."""
    ran = await there.parley("replay", "--yes")
    return ran.code == 0 and "2 taken" in ran.out


async def test_filters_take_what_is_asked_for(there: Installation) -> None:
    """By topic, key, time and number."""
    await park(there)
    assert "1 would be replayed" in (await there.parley("replay", "--limit", "1")).out
    assert "3 would be replayed" in (await there.parley("replay", "--from", READER, "--key", THREAD, "--since", "1h")).out
    for nothing in (("--from", "rejected"), ("--key", OTHER), ("--until", "1h"), ("--since", "2999-01-01")):
        assert "Nothing to replay." in (await there.parley("replay", *nothing)).out, nothing
    unknown = await there.parley("replay", "--from", "recordre")
    assert unknown.code == 1
    assert "no letters are kept in recordre" in unknown.err
    assert (await there.parley("replay", "--since", "yesterday")).code == 2


async def bury(there: Installation, value: bytes, key: str = THREAD) -> None:
    """Put a record that stands nowhere into the dead letters."""
    record = Record(COMMANDS, 0, 10_000, key.encode(), value)
    await there.publisher.publish([dead_letter(record, reducer=READER, reason="invalid", error="x", version="1", now=SystemClock().now())])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"{no json", "still no valid event"),
        (b'{"specversion": "1.0", "type": "parley.nobody_knows.v1"}', "an event type that this version does not know"),
        (new_event(AddNote(author=AUTHOR, text="x"), event_id="1", source="s", subject=OTHER, time=SystemClock().now()).to_json(),
         "its subject is not the record's key"),
    ],
)  # fmt: skip
async def test_what_can_never_be_replayed_is_said(there: Installation, value: bytes, why: str) -> None:
    """The row says what is wrong with the record, and the exit code that something is left to do."""
    await bury(there, value)
    ran = await there.parley("replay", "--yes")
    assert ran.code == 1
    assert why in ran.out
    assert "Nothing to replay." in ran.out
    assert await there.events(COMMANDS) == []


async def test_a_value_that_was_cut_comes_from_its_own_topic(there: Installation) -> None:
    """A record too large for its letter is replayed whole, as long as its topic keeps it."""
    long = "x" * 600_000
    there.recorder.poison = {long}
    async with there.recording():
        await there.note(THREAD, long)
        (letter,) = await there.until_count(DEAD, 1)
        assert len(base64.b64decode(letter.data.value)) < len(long)
        there.recorder.poison = set()
        ran = await there.parley("replay", "--yes")
    assert ran.code == 0, ran.out
    assert await notes_of(there, THREAD) == [long]


async def test_a_cut_value_whose_record_is_gone_cannot_be_replayed(there: Installation) -> None:
    """It is said, instead of publishing half a record."""
    await bury(there, b"x" * 600_000)
    ran = await there.parley("replay")
    assert ran.code == 1
    assert "its topic no longer has it" in ran.out


async def test_a_redelivered_event_is_replayed_once(there: Installation) -> None:
    """Two letters of the same event are one replay."""
    there.recorder.poison = {"two"}
    event = new_event(AddNote(author=AUTHOR, text="two"), event_id="e1", source="s", subject=THREAD, time=SystemClock().now())
    async with there.recording():
        await there.publisher.publish([Publication(COMMANDS, THREAD, event.to_json())] * 2)
        await there.until_count(DEAD, 2)
        there.recorder.poison = set()
        ran = await there.parley("replay", "--yes")
    assert "the same event as an earlier letter" in ran.out
    assert "1 taken" in ran.out
    assert await notes_of(there, THREAD) == ["two"]


async def test_fields_that_this_version_does_not_know_stay_in_a_replay(there: Installation) -> None:
    """The record goes out as it was; only the mark is added."""
    event = json.loads(
        new_event(AddNote(author=AUTHOR, text="two"), event_id="e1", source="s", subject=THREAD, time=SystemClock().now()).to_json()
    )
    there.recorder.poison = {"two"}
    async with there.recording():
        await there.publisher.publish([Publication(COMMANDS, THREAD, json.dumps({**event, "newfield": {"a": [1]}}).encode())])
        (letter,) = await there.until_count(DEAD, 1)
        there.recorder.poison = set()
        assert (await there.parley("replay", "--yes")).code == 0
    values = await raw(there)
    assert json.loads(values[-1]) == {**json.loads(values[0]), "replayof": letter.id}
    assert json.loads(values[-1])["newfield"] == {"a": [1]}


async def raw(there: Installation) -> list[bytes]:
    """Return the values on `commands`."""
    from shared.engine.follower import Follower  # noqa: PLC0415 # only this test needs it

    async with Follower(there.bootstrap, there.prefix, [COMMANDS]) as follower:
        return [seen.record.value or b"" async for batch in follower.read_to_end() for seen in batch]


def webhook(account: str) -> dict[str, Any]:
    """Return a webhook of one text message to `account`."""
    message = {"from": "351912000001", "id": "wamid.1", "timestamp": "1795435200", "type": "text", "text": {"body": "Bom dia"}}
    metadata = {"display_phone_number": "15550100001", "phone_number_id": account}
    contacts = [{"profile": {"name": "A customer"}, "wa_id": "351912000001"}]
    value = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, "messages": [message]}
    return {"object": "whatsapp_business_account", "entry": [{"id": "2", "changes": [{"field": "messages", "value": value}]}]}


async def reject(there: Installation, account: str, body: bytes) -> Event[WebhookRejected]:
    """Put a webhook on `rejected`, as ingest does."""
    item = ItemRejected(account, "unknown_account", "no such account", body)
    data = WebhookRejected(
        channel="whatsapp",
        account=account,
        reason="unknown_account",
        explanation=item.explanation,
        body=base64.b64encode(item.raw).decode(),
        received_at=SystemClock().now(),
    )
    event = new_event(data, event_id=f"rejected/{account}", source="parley/ingest", subject=account, time=SystemClock().now())
    await there.publisher.publish([Publication(REJECTED, account, event.to_json())])
    return event


async def test_a_rejected_webhook_is_taken_in_when_it_is_understood_now(there: Installation) -> None:
    """Its account was configured meanwhile: the message goes to its thread as if it had come now, once."""
    letter = await reject(there, "100000000000001", json.dumps(webhook("100000000000001")).encode())
    await reject(there, "199999999999999", json.dumps(webhook("199999999999999")).encode())
    ran = await there.parley("replay", "--from", "rejected", "--config", CONFIG, "--yes")
    assert ran.code == 1
    assert "still rejected: no account whatsapp:199999999999999 is configured" in ran.out
    assert "1 published" in ran.out
    (event,) = await there.events(INBOUND)
    assert isinstance(event.data, MessageReceived)
    assert event.replayof == letter.id
    again = await there.parley("replay", "--from", "rejected", "--config", CONFIG, "--yes")
    assert "replayed before" in again.out
    assert len(await there.events(INBOUND)) == 1
