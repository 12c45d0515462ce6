"""The control interface: log, counts, waiting, clock, mistakes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devstack.emulator.client import EmulatorError, WaitTimeoutError, connect
from devstack.emulator.clock import EmulatorClock
from devstack.emulator.journal import Journal
from tests.devstack.emulator.harness import SUPPORT, Stage


async def test_the_log_is_read_by_cursor_and_filter(stage: Stage) -> None:
    """Nothing twice, nothing left out; any field filters."""
    await stage.customer()
    first = await stage.control.log(limit=1)
    rest = await stage.control.log(first["cursor"])
    assert [entry["kind"] for entry in first["entries"] + rest["entries"]] == ["message", "webhook"]
    assert (await stage.control.log(rest["cursor"]))["entries"] == []
    assert [entry["http_status"] for entry in (await stage.control.log(http_status=200))["entries"]] == [200]


async def test_the_log_tells_each_call_with_its_answer(stage: Stage) -> None:
    """Request, answer, codes and the sender's own id are there to compare with."""
    await stage.customer()
    _, answer = await stage.text("+351912000001", biz_opaque_callback_data="out-1")
    await stage.text("+351912000001", body=" ", biz_opaque_callback_data="out-2")
    accepted, refused = (await stage.control.log(kind="send"))["entries"]
    assert (accepted["outcome"], accepted["send_id"], accepted["http_status"], accepted["code"]) == ("accepted", "out-1", 200, None)
    assert (accepted["wamid"], accepted["customer"], accepted["answer"]) == (answer["messages"][0]["id"], "ana", answer)
    assert (refused["outcome"], refused["send_id"], refused["code"], refused["request"]["type"]) == ("refused", "out-2", 131008, "text")


async def test_sends_reconcile(stage: Stage) -> None:
    """Asked = accepted + refused + unanswered."""
    await stage.customer()
    await stage.text("+351912000001")
    await stage.text("+351912000001", body="")
    await stage.api({}, token="wrong")
    counts = await stage.control.counts()
    assert (counts["sends.asked"], counts["sends.accepted"], counts["sends.refused"]) == (3, 1, 2)
    assert (counts["sends.refused.131008"], counts["sends.refused.190"]) == (1, 1)


async def test_waiting_ends_with_the_event(stage: Stage) -> None:
    """A waiter is answered as soon as a matching entry is written."""
    await stage.customer(writes=False)
    waiting = asyncio.create_task(stage.control.wait_for(lambda entry: entry["http_status"] == 200, kind="webhook", within_seconds=5))
    sent = await stage.control.send("ana", SUPPORT, "Hi", wait="none")
    assert (await waiting)["items"][0]["id"] == sent["id"]
    assert await stage.control.wait_for_count("webhooks.acknowledged", 1) == 1


async def test_waiting_in_vain_says_so(stage: Stage) -> None:
    """What never happens is reported with what was waited for."""
    with pytest.raises(WaitTimeoutError, match="handshake"):
        await stage.control.wait_for(kind="handshake", within_seconds=0.05)
    with pytest.raises(WaitTimeoutError, match=r"sends\.accepted is 0"):
        await stage.control.wait_for_count("sends.accepted", 1, within_seconds=0.05)
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Hi", delay_seconds=60, wait="none")
    with pytest.raises(WaitTimeoutError, match="1 webhooks"):
        await stage.control.wait_until_quiet(within_seconds=0.05)


async def test_the_clock_moves_and_stops(stage: Stage) -> None:
    """Offset, advance, freeze, run on."""
    await stage.control.clock(frozen_at="2026-11-22T12:00:00+01:00")
    assert (await stage.control.clock())["now"] == "2026-11-22T11:00:00+00:00"
    assert (await stage.control.clock(advance_seconds=60))["now"] == "2026-11-22T11:01:00+00:00"
    state = await stage.control.clock(frozen_at=None, offset_seconds=-3600)
    assert (state["frozen_at"], state["offset_seconds"]) == (None, -3600)
    assert (await stage.control.clock(advance_seconds=60))["offset_seconds"] == -3540


async def test_customers_come_by_one_or_by_many(stage: Stage) -> None:
    """A list makes many; without an id one is given; the same id replaces."""
    created = await stage.control.put_customers([{"phone": "351912000001"}, {"phone": "351912000002", "name": "Rui"}])
    assert [customer["id"] for customer in created] == ["customer-1", "customer-2"]
    await stage.control.put_customer("customer-1", phone="351912000009")
    customers = await stage.control._call("GET", "customers")
    assert [customer["phone"] for customer in customers["customers"]] == ["351912000009", "351912000002"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "customers", {"name": "Nobody"}, "phone or a bsuid"),
        ("POST", "customers", {"phone": "1", "colour": "blue"}, "colour"),
        ("GET", "customers/nobody", None, "404 No customer 'nobody'"),
        ("GET", "conversations/nobody", None, "404"),
        ("POST", "customers/nobody/send", {"phone_number_id": "1"}, "404"),
        ("POST", "webhooks", {}, "Give items"),
        ("POST", "webhooks", {"raw_body_base64": "!"}, "Base64"),
        ("POST", "webhooks", {"items": [{"type": "other"}]}, "items"),
        ("POST", "statuses", {"wamid": "wamid.x", "status": "read"}, "404 No accepted send"),
        ("POST", "faults", {"kind": "explode"}, "kind"),
        ("PATCH", "behaviour", {"sead": 1}, "sead"),
        ("PATCH", "clock", {"frozen_at": "noon"}, "frozen_at"),
        ("GET", "log?after=x", None, "after must be a number"),
        ("GET", "log?after=-1", None, "after must be at least 0"),
    ],
)
async def test_a_mistake_in_a_script_is_answered_in_words(stage: Stage, method: str, path: str, body: Any, message: str) -> None:
    """No mistake passes silently."""
    with pytest.raises(EmulatorError, match=message):
        await stage.control._call(method, path, body)


async def test_a_body_that_is_no_json_is_refused(stage: Stage) -> None:
    """With the place where it breaks."""
    async with stage.session.post(f"{stage.emulator.url}/control/customers", data=b"{") as answer:
        assert answer.status == 400
        assert "not JSON" in (await answer.json())["error"]


async def test_behaviour_changes_while_it_runs(stage: Stage) -> None:
    """Only what is named changes."""
    before = await stage.control.behave(seed=9)
    after = await stage.control.behave(redelivery_probability=1, redelivery_copies_max=2)
    assert {name: value for name, value in after.items() if before[name] != value} == {
        "redelivery_probability": 1,
        "redelivery_copies_max": 2,
    }
    await stage.customer()
    assert len(stage.receiver.posts) == 2


async def test_a_template_can_be_put_on_file(stage: Stage) -> None:
    """From then on it can be sent."""
    await stage.customer(writes=False)
    await stage.control.put_template("new", "lv", body="Labdien")
    body = {
        "messaging_product": "whatsapp",
        "to": "+351912000001",
        "type": "template",
        "template": {"name": "new", "language": {"code": "lv"}},
    }
    assert (await stage.api(body))[0] == 200
    assert (await stage.control.conversation("ana"))[0]["text"] == "Labdien"


async def test_the_client_opens_its_own_session(stage: Stage) -> None:
    """A script needs one line to connect."""
    async with connect(stage.emulator.url) as client:
        assert await client.counts() == {}


def test_the_log_is_bounded_and_says_what_was_lost() -> None:
    """The oldest entries go, the cursor and the counts stay; a late reader is told how many it missed."""
    journal = Journal(EmulatorClock(), entries_max=10)
    for number in range(95):
        journal.append("tick", number=number)
        journal.count("ticks")
    page = journal.page(0, {}, limit=100)
    assert 10 <= len(page.entries) < 20
    assert page.entries[-1]["number"] == 94
    assert page.lost + len(page.entries) == 95
    assert (page.cursor, journal.counts["ticks"]) == (95, 95)
    assert journal.page(93, {}).entries[0]["number"] == 93
    assert journal.page(95, {}).entries == []
