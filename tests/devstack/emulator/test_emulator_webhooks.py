"""Webhooks as the receiver gets them: bytes, signature, batches, copies, retries."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.emulator.webhooks import DeliverySettings, retry_pauses
from tests.devstack.emulator.harness import INSTANT, SALES, SUPPORT, Stage, staged


async def test_the_signature_covers_exactly_the_bytes_sent(stage: Stage) -> None:
    """Non-ASCII is escaped with lowercase hex, and the HMAC of the raw body matches."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Olá 😀 日本")
    (post,) = stage.receiver.posts
    assert post.signed
    assert rb"Ol\u00e1 \ud83d\ude00 \u65e5\u672c" in post.body
    assert post.body.isascii()
    assert post.headers["Content-Type"] == "application/json"


async def test_a_bad_or_absent_signature_is_sent_on_demand(stage: Stage) -> None:
    """The receiver can be shown a forgery."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Hi", signature="bad")
    await stage.control.send("ana", SUPPORT, "Hi", signature="absent")
    forged, bare = stage.receiver.posts
    assert forged.headers["X-Hub-Signature-256"].startswith("sha256=")
    assert not forged.signed
    assert "X-Hub-Signature-256" not in bare.headers


async def test_copies_are_the_same_bytes(stage: Stage) -> None:
    """A redelivery three times: one id, one body, one signature."""
    await stage.customer(writes=False)
    answer = await stage.control.send("ana", SUPPORT, "Hi", copies=3)
    assert [outcome["http_status"] for outcome in answer["webhooks"]] == [200, 200, 200]
    assert len({post.body for post in stage.receiver.posts}) == 1
    assert len(stage.receiver.posts) == 3
    assert (await stage.control.counts())["messages.created"] == 1


async def test_several_customers_come_in_one_post(stage: Stage) -> None:
    """Neighbours of one number share a change, other numbers and accounts have their own; each contact is named once."""
    await stage.customer("ana", writes=False)
    await stage.customer("rui", "+351912000002", writes=False)
    message = {"type": "message", "phone_number_id": SUPPORT}
    answer = await stage.control.webhook(
        [
            {**message, "customer": "ana", "content": "One"},
            {**message, "customer": "rui", "content": "Two"},
            {**message, "customer": "ana", "content": "Three"},
            {**message, "customer": "ana", "content": "Four", "phone_number_id": SALES},
        ]
    )
    (post,) = stage.receiver.posts
    support, sales = post.json["entry"]
    (change,) = support["changes"]
    assert [message["id"] for message in change["value"]["messages"]] == answer["ids"][:3]
    assert [contact["wa_id"] for contact in change["value"]["contacts"]] == ["351912000001", "351912000002"]
    assert sales["changes"][0]["value"]["metadata"]["phone_number_id"] == SALES
    assert post.signed


async def test_a_malformed_item_travels_among_good_ones(stage: Stage) -> None:
    """Any JSON value can stand in `messages`, its neighbours untouched."""
    await stage.customer(writes=False)
    good = {"type": "message", "phone_number_id": SUPPORT, "customer": "ana", "content": "Hi"}
    answer = await stage.control.webhook([good, {"type": "raw", "phone_number_id": SUPPORT, "payload": {"id": 5, "type": []}}, good])
    messages = stage.receiver.items("messages")
    assert [message.get("text") for message in messages] == [{"body": "Hi"}, None, {"body": "Hi"}]
    assert answer["ids"][1] is None


async def test_other_fields_and_unknown_numbers_can_be_posted(stage: Stage) -> None:
    """A whole value of any field, with metadata or without, and a number that nobody configured."""
    await stage.customer(writes=False)
    errors = {"type": "value", "phone_number_id": SUPPORT, "value": {"errors": [{"code": 130429}]}}
    account = {"type": "value", "phone_number_id": SUPPORT, "field": "account_update", "metadata": False, "value": {"event": "X"}}
    await stage.control.webhook([errors, account])
    first, second = stage.receiver.posts[0].json["entry"][0]["changes"]
    assert first["value"]["metadata"]["phone_number_id"] == SUPPORT
    assert (second["field"], second["value"]) == ("account_update", {"event": "X"})
    await stage.control.send("ana", "999", "Hi")
    assert stage.receiver.posts[1].json["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] == "999"


async def test_raw_bytes_are_sent_as_they_are(stage: Stage) -> None:
    """Not even JSON, but signed."""
    await stage.control.webhook(raw_body="{broken")
    await stage.control.webhook(raw_body_base64="//4=")
    assert [post.body for post in stage.receiver.posts] == [b"{broken", b"\xff\xfe"]
    assert all(post.signed for post in stage.receiver.posts)


@pytest.mark.parametrize("refusal", [500, 404, 302, 204])
async def test_anything_but_200_is_retried_until_it_is_taken(stage: Stage, refusal: int) -> None:
    """Each attempt carries the same bytes; the log tells them apart."""
    stage.receiver.answers.extend([refusal, refusal])
    await stage.customer(writes=False)
    answer = await stage.control.send("ana", SUPPORT, "Hi", wait="acknowledged")
    assert answer["webhooks"][0]["attempts"] == 3
    assert len({post.body for post in stage.receiver.posts}) == 1
    entries = (await stage.control.log(kind="webhook"))["entries"]
    assert [(entry["attempt"], entry["http_status"]) for entry in entries] == [(1, refusal), (2, refusal), (3, 200)]
    assert entries[0]["items"][0] == {"item": "message", "id": answer["id"], "kind": "text", "customer": "ana", "phone_number_id": SUPPORT}


async def test_a_webhook_is_given_up_beyond_the_horizon() -> None:
    """After the horizon it is dropped, and the log says so."""
    async with staged(delivery={"retry_delays_seconds": (0.0,), "retry_horizon_seconds": 2.0}) as stage:
        stage.receiver.answers.extend([503] * 50)
        await stage.customer(writes=False)
        await stage.control.send("ana", SUPPORT, "Hi", wait="acknowledged")
        counts = await stage.control.counts()
        assert (counts["webhooks.given_up"], counts.get("webhooks.acknowledged")) == (1, None)
        assert (await stage.control.wait_for(kind="webhook_given_up"))["attempts"] == counts["webhooks.attempts"]


async def test_an_unreachable_receiver_is_retried_as_well() -> None:
    """Nobody there: no status, an error in words."""
    with socket.socket() as bound_but_deaf:
        bound_but_deaf.bind(("127.0.0.1", 0))
        async with staged(webhook_url=f"http://127.0.0.1:{bound_but_deaf.getsockname()[1]}/hook") as stage:
            await stage.control.put_customer("ana", phone="351912000001")
            answer = await stage.control.send("ana", SUPPORT, "Hi")
    (outcome,) = answer["webhooks"]
    assert outcome["http_status"] is None
    assert "Connect" in outcome["error"]


@given(st.lists(st.floats(0, 100), max_size=6), st.floats(0, 1000), st.floats(0.001, 10))
def test_retries_end_with_the_horizon(delays: list[float], horizon: float, scale: float) -> None:
    """The pauses never add up to more than the scaled horizon, and there is an end to them."""
    settings = DeliverySettings(retry_delays_seconds=tuple(delays), retry_horizon_seconds=horizon, time_scale=scale)
    pauses = list(retry_pauses(settings))
    assert sum(pauses) <= horizon * scale * 1.000001


def test_the_first_retry_is_at_once_and_the_next_ones_slow_down() -> None:
    """The default schedule keeps the vendor's shape."""
    pauses = list(retry_pauses(DeliverySettings()))
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert sum(pauses) <= 600


async def test_statuses_are_batched_when_asked() -> None:
    """With batching on, statuses of several sends share a POST."""
    async with staged(behaviour=INSTANT, batch_items_max=100, batch_linger_seconds=0.02) as stage:
        await stage.customer()
        await stage.text("+351912000001")
        await stage.text("+351912000001")
        await stage.control.wait_until_quiet()
        assert len(stage.receiver.items("statuses")) == 6
        assert len([post for post in stage.receiver.posts if post.items("statuses")]) < 6


async def test_customers_messages_wait_for_company_when_asked() -> None:
    """A full batch goes out at once, in order of arrival."""
    async with staged(batch_items_max=2, batch_linger_seconds=30) as stage:
        await stage.customer(writes=False)
        for text in ("One", "Two"):
            await stage.control.send("ana", SUPPORT, text, batch=True)
        await stage.control.wait_until_quiet()
        (post,) = stage.receiver.posts
        assert [message["text"]["body"] for message in post.items("messages")] == ["One", "Two"]


async def test_a_held_back_webhook_is_overtaken(stage: Stage) -> None:
    """Order of posting is not order of writing when a delay says so."""
    await stage.customer(writes=False)
    slow = await stage.control.send("ana", SUPPORT, "First", delay_seconds=0.4, wait="none")
    fast = await stage.control.send("ana", SUPPORT, "Second")
    await stage.control.wait_until_quiet()
    assert [message["id"] for message in stage.receiver.items("messages")] == [fast["id"], slow["id"]]


async def test_the_handshake_is_performed_and_judged(stage: Stage) -> None:
    """Right token: the bare challenge comes back; wrong token: not verified."""
    assert (await stage.control.handshake(challenge="1158201444"))["verified"]
    refused = await stage.control.handshake(verify_token="wrong")
    assert (refused["verified"], refused["http_status"]) == (False, 403)


async def test_many_webhooks_are_delivered_concurrently_and_once(stage: Stage) -> None:
    """A burst arrives complete, each message once."""
    await stage.customer(writes=False)
    answers = await asyncio.gather(*(stage.control.send("ana", SUPPORT, f"{n}", wait="none") for n in range(200)))
    await stage.control.wait_until_quiet()
    received = [message["id"] for message in stage.receiver.items("messages")]
    assert sorted(received) == sorted(answer["id"] for answer in answers)


async def test_a_load_of_messages_takes_one_call(stage: Stage) -> None:
    """Each message goes in a POST of its own; the ids come back in the order asked."""
    await stage.control.put_customers([{"id": f"c{n}", "phone": f"35191200{n:04d}"} for n in range(20)])
    messages = [{"customer": f"c{n}", "phone_number_id": SUPPORT, "content": f"{n}"} for n in range(20)]
    ids = await stage.control.messages(messages, interval_seconds=0.005)
    await stage.control.wait_until_quiet()
    texts = {message["id"]: message["text"]["body"] for message in stage.receiver.items("messages")}
    assert [texts[wamid] for wamid in ids] == [f"{n}" for n in range(20)]
    assert len(stage.receiver.posts) == 20
