"""What goes wrong by script: the vendor's own failures as the caller sees them."""

from __future__ import annotations

import aiohttp
import pytest
from pydantic import ValidationError

from devstack.emulator.whatsapp.faults import FAULTS_MAX, Fault, FaultQueue
from tests.devstack.emulator.harness import INSTANT, SALES, SUPPORT, Stage, staged

PHONE = "+351912000001"


async def test_an_error_is_answered_as_often_as_ordered(stage: Stage) -> None:
    """The next two sends answer the code; the third passes."""
    await stage.customer()
    await stage.control.fault("error", code=131000, count=2)
    answers = [await stage.text(PHONE) for _ in range(3)]
    assert [status for status, _ in answers] == [500, 500, 200]
    assert answers[0][1]["error"]["code"] == 131000
    assert await stage.control.faults() == []


async def test_an_error_may_have_any_status_and_body(stage: Stage) -> None:
    """A proxy's page instead of Meta's JSON, and a rate limit as 429."""
    await stage.customer()
    await stage.control.fault("error", code=4, http_status=429)
    await stage.control.fault("error", http_status=502, body="<html>Bad gateway</html>")
    status, answer = await stage.text(PHONE)
    assert (status, answer["error"]["code"]) == (429, 4)
    headers = {"Authorization": "Bearer a-token"}
    body = {"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "Hi"}}
    async with stage.session.post(f"{stage.emulator.url}/v24.0/{SUPPORT}/messages", json=body, headers=headers) as page:
        assert (page.status, await page.text()) == (502, "<html>Bad gateway</html>")


async def test_a_fault_only_meets_who_it_is_meant_for(stage: Stage) -> None:
    """Another customer and another number pass."""
    await stage.customer()
    await stage.customer("rui", "+351912000002")
    await stage.control.fault("error", customer="ana")
    await stage.control.fault("error", phone_number_id=SALES)
    assert (await stage.text("+351912000002"))[0] == 200
    assert (await stage.text(PHONE))[0] == 500
    assert [fault["phone_number_id"] for fault in await stage.control.faults()] == [SALES]
    await stage.control.clear_faults()
    assert await stage.control.faults() == []


async def test_a_lost_answer_is_an_accepted_send() -> None:
    """The connection is cut before the answer, yet the customer has the message and the statuses tell its id."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer()
        await stage.control.fault("lose_answer")
        with pytest.raises(aiohttp.ClientError):
            await stage.text(PHONE, "Once", biz_opaque_callback_data="out-1")
        await stage.control.wait_until_quiet()
        assert [bubble["text"] for bubble in await stage.control.conversation("ana")] == ["Hi", "Once"]
        assert {status["biz_opaque_callback_data"] for status in stage.receiver.items("statuses")} == {"out-1"}
        entry = await stage.control.wait_for(kind="send")
        assert (entry["outcome"], entry["send_id"], entry["fault"]) == ("answer_lost", "out-1", "lose_answer")
        counts = await stage.control.counts()
        assert (counts["sends.accepted"], counts["sends.answers_lost"]) == (1, 1)


@pytest.mark.parametrize("fault", [{"kind": "drop"}, {"kind": "hang", "seconds": 0.05}])
async def test_a_cut_connection_is_no_send(stage: Stage, fault: dict[str, object]) -> None:
    """Dropped at once or after a silence: nothing was accepted."""
    await stage.customer()
    await stage.control.fault(**fault)  # type: ignore[arg-type]  # the fault's fields are of several types
    with pytest.raises(aiohttp.ClientError):
        await stage.text(PHONE)
    counts = await stage.control.counts()
    assert (counts["sends.unanswered"], counts.get("sends.accepted")) == (1, None)
    assert len(await stage.control.conversation("ana")) == 1


async def test_a_slow_answer_is_still_one(stage: Stage) -> None:
    """The caller's patience decides; the send was accepted before."""
    await stage.customer()
    await stage.control.fault("slow_answer", seconds=0.01)
    assert (await stage.text(PHONE))[0] == 200


async def test_statuses_may_come_before_the_answer() -> None:
    """When the answer arrives, the receiver already has sent and delivered."""
    async with staged(behaviour=INSTANT | {"read_probability": 0}) as stage:
        await stage.customer()
        await stage.control.fault("early_statuses")
        _, answer = await stage.text(PHONE)
        statuses = stage.receiver.items("statuses")
        assert sorted(status["status"] for status in statuses) == ["delivered", "sent"]
        assert {status["id"] for status in statuses} == {answer["messages"][0]["id"]}


async def test_early_statuses_work_with_batching() -> None:
    """What waits for its batch is posted before the answer as well, in one POST."""
    async with staged(behaviour=INSTANT | {"early_status_probability": 1, "read_probability": 0}, batch_items_max=10) as stage:
        await stage.customer()
        await stage.text(PHONE)
        assert [status["status"] for status in stage.receiver.posts[-1].items("statuses")] == ["sent", "delivered"]


async def test_a_send_may_fail_later_with_any_code() -> None:
    """Accepted, then a failed status."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer()
        await stage.control.fault("fail_later", code=131049)
        assert (await stage.text(PHONE))[0] == 200
        await stage.control.wait_until_quiet()
        (failed,) = stage.receiver.items("statuses")
        assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131049)


async def test_the_seed_may_lose_answers_too() -> None:
    """With probability 1 every answer is lost."""
    async with staged(behaviour={**INSTANT, "lost_answer_probability": 1}) as stage:
        await stage.customer()
        with pytest.raises(aiohttp.ClientError):
            await stage.text(PHONE)


def test_the_queue_of_faults_is_bounded() -> None:
    """Too many waiting faults are refused, so a script's loop is noticed."""
    queue = FaultQueue()
    for _ in range(FAULTS_MAX):
        queue.add(Fault(kind="drop"))
    with pytest.raises(ValueError, match="already"):
        queue.add(Fault(kind="drop"))


def test_an_unknown_fault_is_refused() -> None:
    """A misspelt kind does not pass silently."""
    with pytest.raises(ValidationError):
        Fault.model_validate({"kind": "explode"})
