"""The HTTP side: what is answered, when, and what is written before it is."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.body import IntakeLimits
from shared.errors import BrokerUnavailableError
from tests.services.ingest.ingest_world import ACCOUNT, HangUpError, call, make_world, signed, text_message, webhook_of

BODY = webhook_of(text_message())


async def test_a_signed_webhook_is_on_its_topic_when_200_is_said() -> None:
    """Published, counted, answered."""
    world = make_world(traceparent=lambda: "00-trace-01")
    answer = await world.post(BODY, signed(BODY))
    assert answer.status == 200
    ((topic, key, document),) = world.log.events()
    assert (topic, key) == ("inbound", f"whatsapp:{ACCOUNT}:351912000001")
    assert document["data"]["content"] == {"kind": "text", "text": "Bom dia"}
    assert document["traceparent"] == "00-trace-01"
    assert world.metrics.answers == [("whatsapp", 200)]
    assert dict(world.metrics.counts[0][1].accepted) == {"message.received": 1}


async def test_the_answer_waits_for_the_acknowledgement() -> None:
    """Nothing is said while the broker has not answered."""
    world, asked, acknowledged = make_world(), asyncio.Event(), asyncio.Event()

    async def broker() -> None:
        asked.set()
        await acknowledged.wait()

    world.log.before = broker
    answering = asyncio.create_task(world.post(BODY, signed(BODY)))
    await asked.wait()
    assert not answering.done()
    acknowledged.set()
    assert (await answering).status == 200


@pytest.mark.parametrize("failure", [BrokerUnavailableError("no answer"), TimeoutError()])
async def test_without_the_broker_the_provider_is_told_to_come_again(failure: Exception) -> None:
    """503, and nothing counts as taken in."""
    world = make_world()
    world.log.fail_with = failure
    assert (await world.post(BODY, signed(BODY))).status == 503
    assert (world.metrics.answers, world.metrics.counts) == ([("whatsapp", 503)], [])


async def test_a_broker_that_says_nothing_makes_503_in_time() -> None:
    """The wait has an end of its own, whatever the client does."""
    world = make_world(limits=IntakeLimits(publish_seconds=0.01))
    world.log.before = asyncio.Event().wait  # type: ignore[assignment] # waits for ever; what it returns does not matter
    assert (await world.post(BODY, signed(BODY))).status == 503


@pytest.mark.parametrize("headers", [{}, signed(BODY, b"another"), signed(BODY + b" "), {"x-hub-signature-256": "sha256=\xe9"}])
async def test_a_bad_signature_is_401_and_nothing_is_written(headers: dict[str, str]) -> None:
    """Neither the item nor a rejection: anybody could fill the topics."""
    world = make_world()
    assert (await world.post(BODY, headers)).status == 401
    assert world.log.publications == []
    assert world.metrics.answers == [("whatsapp", 401)]


async def test_a_batch_is_taken_apart() -> None:
    """Good, malformed, for an unknown number, twice, and known without use, in one POST: each its own way, and 200."""
    spoilt, double = text_message("wamid.B", timestamp="never"), text_message("wamid.C")
    whole = json.loads(webhook_of(text_message("wamid.A"), spoilt, double, double))
    whole["entry"][0]["changes"] += json.loads(webhook_of(text_message("wamid.D"), account="999"))["entry"][0]["changes"]
    whole["entry"][0]["changes"] += json.loads(webhook_of(value={"event": "DISABLED"}, name="account_update"))["entry"][0]["changes"]
    body = json.dumps(whole).encode()
    world = make_world()
    with structlog.testing.capture_logs() as logs:
        assert (await world.post(body, signed(body))).status == 200
    keys = [(topic, key) for topic, key, _ in world.log.events()]
    thread = f"whatsapp:{ACCOUNT}:351912000001"
    assert keys == [("inbound", thread), ("rejected", ACCOUNT), ("inbound", thread), ("rejected", "999")]
    counts = world.metrics.counts[0][1]
    assert dict(counts.rejected) == {"unparseable": 1, "unknown_account": 1}
    assert (dict(counts.ignored), counts.duplicates) == ({"account_update": 1}, 1)
    assert {"event": "account.noticed", "notice": "account_update DISABLED"}.items() <= logs[-1].items()


@pytest.mark.parametrize(
    ("account", "named"), [(ACCOUNT, True), ("104996122399160", True), ("351912000001", False), ("my PIN is 4711", False)]
)
async def test_a_log_line_names_only_what_is_surely_an_account(account: str, named: bool) -> None:  # noqa: FBT001 # a parameter of the table
    """In the place of an account that we do not know may stand a telephone number or a customer's words."""
    value = {"metadata": {"phone_number_id": account}, "errors": [{"code": 130429}]}
    body = webhook_of(value=value)
    world = make_world()
    with structlog.testing.capture_logs() as logs:
        assert (await world.post(body, signed(body))).status == 200
    assert (account in repr(logs)) is named
    assert logs[-1]["account"]


async def test_a_webhook_with_nothing_to_write_is_200_without_the_broker() -> None:
    """Known and ignored: the broker need not answer for it."""
    world = make_world()
    world.log.fail_with = BrokerUnavailableError("down")
    body = webhook_of(value={"metadata": {"phone_number_id": ACCOUNT}, "history": []}, name="history")
    assert (await world.post(body, signed(body))).status == 200


async def test_a_body_that_is_no_webhook_is_kept_under_the_account_of_its_address() -> None:
    """Signed but unreadable: 200, because the provider could only send the same again."""
    world = make_world()
    assert (await world.post(b"no JSON", signed(b"no JSON"), f"/channels/whatsapp/{ACCOUNT}")).status == 200
    assert [(topic, key) for topic, key, _ in world.log.events()] == [("rejected", ACCOUNT)]


@pytest.mark.parametrize("path", ["/channels/carrier_pigeon", "/channels/carrier_pigeon/1"])
async def test_an_unknown_channel_is_404(path: str) -> None:
    """Counted under one name, so that guesses make no new labels."""
    world = make_world()
    assert (await world.post(BODY, signed(BODY), path)).status == 404
    assert (await call(world.app, "GET", path, {})).status == 404
    assert world.metrics.answers == [("unknown", 404)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/channels/whatsapp", 405), ("GET", "/", 404), ("GET", "/docs", 404), ("GET", "/openapi.json", 404)],
)
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    """No other method, no other page."""
    assert (await call(make_world().app, method, path, {})).status == status


async def test_a_handshake_with_our_token_gets_its_challenge_as_plain_text() -> None:
    """And any other is refused."""
    app = make_world().app
    query = "hub.mode=subscribe&hub.verify_token=let-me-in&hub.challenge=%3Cb%3E1"
    answer = await call(app, "GET", "/channels/whatsapp", {}, query=query)
    assert (answer.status, answer.body) == (200, "<b>1")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await call(app, "GET", "/channels/whatsapp", {}, query=query.replace("let-me-in", "guess"))).status == 403


@pytest.mark.parametrize("content_length", [None, "10", "999999999"])
async def test_a_body_is_counted_as_it_comes(content_length: str | None) -> None:
    """One byte above the bound is 413, whatever Content-Length says; the bound itself passes."""
    world = make_world(limits=IntakeLimits(body_bytes_max=len(BODY)))
    more = {"content-length": content_length} if content_length else {}
    chunks = [BODY[:100], b"", BODY[100:]]
    assert (await world.post(chunks, signed(BODY) | more)).status == 200
    answer = await world.post([*chunks, b" "], signed(BODY + b" ") | more)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_the_rest_of_a_body_that_is_too_large_is_not_read() -> None:
    """A sender without end is stopped at the bound."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    world = make_world(limits=IntakeLimits(body_bytes_max=10_000))
    assert (await world.post(endless(), {})).status == 413
    assert taken == 11


async def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    """A connection that is held open for nothing is let go."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    world = make_world(limits=IntakeLimits(read_seconds=0.01))
    assert (await world.post(slow(), {})).status == 408


async def test_a_sender_that_hangs_up_leaves_nothing_behind() -> None:
    """Half a body is no webhook."""

    async def half() -> AsyncIterator[bytes]:
        yield BODY[:50]
        raise HangUpError

    world = make_world()
    assert (await world.post(half(), signed(BODY))).status == 400
    assert world.log.publications == []


async def test_too_many_bodies_at_once_are_told_to_come_again() -> None:
    """Memory is bounded over all requests, and free again when they end."""
    world, arrived, go_on = make_world(limits=IntakeLimits(bytes_in_flight_max=len(BODY))), asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield BODY
        arrived.set()
        await go_on.wait()

    first = asyncio.create_task(world.post(held(), signed(BODY)))
    await arrived.wait()
    assert (await world.post(BODY, signed(BODY))).status == 503
    go_on.set()
    assert (await first).status == 200
    assert (await world.post(BODY, signed(BODY))).status == 200


@pytest.mark.parametrize("sign_packed", [True, False])
async def test_a_compressed_webhook_is_taken_in_signed_before_or_after(sign_packed: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """The vendors do not say which of the two they would sign; a forged one passes neither way."""
    packed = gzip.compress(BODY)
    world = make_world()
    assert (await world.post(packed, signed(packed if sign_packed else BODY) | {"content-encoding": "gzip"})).status == 200
    assert (await world.post(packed, signed(b"other") | {"content-encoding": "gzip"})).status == 401
    assert len(world.log.publications) == 1


async def test_a_bomb_is_refused_unread_and_an_unknown_encoding_too() -> None:
    """413 and 415, before anything is verified."""
    world = make_world()
    assert (await world.post(gzip.compress(b"\0" * 10_000_000), {"content-encoding": "gzip"})).status == 413
    assert (await world.post(BODY, {"content-encoding": "br"})).status == 415


async def test_three_deliveries_of_one_webhook_have_one_id() -> None:
    """Ingest keeps no state: each is published, and readers drop what they have seen by its id."""
    world = make_world()
    for _ in range(3):
        assert (await world.post(BODY, signed(BODY))).status == 200
    assert len({document["id"] for _, _, document in world.log.events()}) == 1


async def test_no_log_line_holds_what_a_customer_wrote_or_a_number() -> None:
    """Good, spoilt, refused, not stored and failed webhooks: no line repeats text, number or secret."""
    secret, number = "my PIN is 4711", "351912000001"
    good, spoilt = webhook_of(text_message(text=secret)), webhook_of(text_message(text=secret, timestamp=secret))
    world = make_world()
    with structlog.testing.capture_logs() as logs:
        for body in (good, spoilt):
            await world.post(body, signed(body))
            await world.post(body, {})
        for failure in (BrokerUnavailableError(secret), ValueError(secret)):
            world.log.fail_with = failure
            await world.post(good, signed(good))
    assert {"items.rejected", "webhook.refused", "webhook.not_stored", "webhook.failed"} <= {line["event"] for line in logs}
    assert not any(word in repr(logs) for word in (secret, number, "app-secret"))


async def test_a_fault_of_ours_is_500_and_names_its_place() -> None:
    """The provider comes again; the operator finds the line."""
    world = make_world()
    world.log.fail_with = ZeroDivisionError("x")
    with structlog.testing.capture_logs() as logs:
        assert (await world.post(BODY, signed(BODY))).status == 500
    assert logs[0]["error"] == "ZeroDivisionError"
    assert logs[0]["where"].startswith("ingest_world.py:")
    assert world.metrics.answers == [("whatsapp", 500)]


@given(st.binary(max_size=300), st.lists(st.binary(max_size=50), max_size=4))
def test_whatever_is_posted_gets_an_answer_of_the_list(body: bytes, chunks: list[bytes]) -> None:
    """Signed or not, whole or in pieces: 200 or 401, never a crash."""

    async def post_both() -> set[int]:
        world = make_world()
        whole = b"".join(chunks)
        statuses: list[Any] = [await world.post(body, signed(body)), await world.post(chunks, signed(whole)), await world.post(body, {})]
        return {answer.status for answer in statuses}

    assert asyncio.run(post_both()) == {200, 401}
