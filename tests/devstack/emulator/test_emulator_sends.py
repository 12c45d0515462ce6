"""Sends over real HTTP: Meta's answers, and the statuses that follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.devstack.emulator.harness import INSTANT, SALES, SILENT, SUPPORT, Stage, staged

PHONE = "+351912000001"


def template(name: str, language: str, *values: str) -> dict[str, Any]:
    """Return a template send with positional text parameters."""
    parameters = [{"type": "text", "text": value} for value in values]
    content = {"name": name, "language": {"code": language}, "components": [{"type": "body", "parameters": parameters}] if values else []}
    return {"messaging_product": "whatsapp", "to": PHONE, "type": "template", "template": content}


async def test_an_accepted_send_is_answered_as_meta_does(stage: Stage) -> None:
    """The answer names the input, the phone as read and a wamid."""
    await stage.customer()
    status, answer = await stage.text("+351 912-000-001")
    assert status == 200
    assert answer["messaging_product"] == "whatsapp"
    assert answer["contacts"] == [{"input": "+351 912-000-001", "wa_id": "351912000001"}]
    assert answer["messages"][0]["id"].startswith("wamid.")


async def test_a_wrong_token_is_401_with_190(stage: Stage) -> None:
    """Without the account's token nothing is accepted."""
    status, answer = await stage.api({}, token="other")
    assert (status, answer["error"]["code"], answer["error"]["type"]) == (401, 190, "OAuthException")
    assert answer["error"]["fbtrace_id"]


async def test_an_unknown_number_is_100_with_subcode_33(stage: Stage) -> None:
    """Graph does not tell unknown from forbidden ids."""
    status, answer = await stage.api({"messaging_product": "whatsapp"}, number="42")
    assert (status, answer["error"]["code"], answer["error"]["error_subcode"]) == (400, 100, 33)


async def test_an_error_has_metas_body(stage: Stage) -> None:
    """Message with code and title, error_data with product and details, a trace id."""
    status, answer = await stage.api(b"{not json")
    error = answer["error"]
    assert status == 400
    assert error["message"] == "(#100) Invalid parameter"
    assert error["error_data"] == {"messaging_product": "whatsapp", "details": "The parameter messaging_product is required."}
    assert set(error) == {"message", "type", "code", "error_data", "fbtrace_id"}


async def test_a_window_of_a_past_message_closes_on_the_emulators_clock(stage: Stage) -> None:
    """A message of 23 h 59 min 40 s ago leaves 20 s; after them free form is refused and the template passes."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    await stage.control.clock(frozen_at=now.isoformat())
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Hi", ago_seconds=24 * 3600 - 20)
    windows = (await stage.control.customer("ana"))["windows"]
    assert windows == {SUPPORT: (now + timedelta(seconds=20)).isoformat()}
    await stage.control.clock(advance_seconds=19)
    assert (await stage.text(PHONE))[0] == 200
    await stage.control.clock(advance_seconds=1)
    status, answer = await stage.text(PHONE)
    assert (status, answer["error"]["code"]) == (400, 131047)
    assert (await stage.api(template("come_back", "pt_PT", "Ana")))[0] == 200


async def test_each_number_has_its_own_window(stage: Stage) -> None:
    """Writing to support does not open sales."""
    await stage.customer()
    body = {"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "Hi"}}
    _, answer = await stage.api(body, number=SALES)
    assert answer["error"]["code"] == 131047


@pytest.mark.parametrize(
    ("kind", "content", "opens"),
    [
        ("text", "Hi", True),
        ("button_reply", {"id": "1", "title": "Yes"}, True),
        ("location", {"latitude": 1, "longitude": 2}, True),
        ("reaction", {"message_id": "wamid.x", "emoji": "👍"}, False),
        ("edit", {"original_message_id": "wamid.x", "message": {"type": "text", "text": {"body": "x"}}}, False),
        ("revoke", {"original_message_id": "wamid.x"}, False),
        ("system", {"type": "customer_identity_changed", "body": "changed"}, False),
        ("unsupported", None, False),
        ("request_welcome", None, False),
    ],
)
async def test_only_the_customers_own_messages_open_the_window(stage: Stage, kind: str, content: Any, *, opens: bool) -> None:
    """Reactions, edits, revokes, system and unsupported items leave it closed."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, content, kind=kind)
    assert (await stage.text(PHONE))[0] == (200 if opens else 400)


async def test_a_group_message_opens_nothing(stage: Stage) -> None:
    """What is said in a group is not said to the business alone."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Hi all", group_id="120@g.us")
    assert (await stage.text(PHONE))[1]["error"]["code"] == 131047


async def test_the_closed_window_may_be_told_by_status() -> None:
    """In mode `status` the send is accepted and a failed status with 131047 follows."""
    async with staged(behaviour=INSTANT, closed_window="status") as stage:
        await stage.customer(writes=False)
        assert (await stage.text(PHONE, biz_opaque_callback_data="out-7"))[0] == 200
        await stage.control.wait_until_quiet()
        (failed,) = stage.receiver.items("statuses")
        assert (failed["status"], failed["errors"][0]["code"], failed["biz_opaque_callback_data"]) == ("failed", 131047, "out-7")
        assert "recipient_user_id" not in failed
        assert "contacts" not in stage.receiver.posts[-1].json["entry"][0]["changes"][0]["value"]


async def test_the_pair_limit_refuses_and_names_its_code() -> None:
    """Beyond the burst the answer is 131056 with the configured HTTP status; other customers are free."""
    async with staged(limits={"pair_burst": 2}, rate_limit_http_status=429) as stage:
        await stage.customer()
        await stage.customer("rui", "+351912000002")
        await stage.control.clock(frozen_at=datetime.now(UTC).isoformat())
        statuses = [(await stage.text(PHONE))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await stage.text(PHONE))[1]["error"]["code"] == 131056
        assert (await stage.text("+351912000002"))[0] == 200


async def test_incoming_messages_use_the_throughput_too() -> None:
    """In and out together make the number's rate."""
    async with staged(limits={"throughput_per_second": 3}) as stage:
        await stage.control.clock(frozen_at=datetime.now(UTC).isoformat())
        await stage.customer()
        codes = [(await stage.text(PHONE))[1].get("error", {}).get("code") for _ in range(3)]
        assert codes == [None, None, 130429]


@pytest.mark.parametrize(
    ("name", "language", "values", "refusal"),
    [
        ("come_back", "en", ["Ana"], (404, 132001)),
        ("nothing", "pt_PT", [], (404, 132001)),
        ("pending", "en", [], (404, 132001)),
        ("come_back", "pt_PT", [], (400, 132000)),
        ("paused", "en", [], (400, 132015)),
        ("disabled", "en", [], (400, 132016)),
    ],
)
async def test_templates_are_refused_with_their_codes(
    stage: Stage, name: str, language: str, values: list[str], refusal: tuple[int, int]
) -> None:
    """Unknown name or language 404, a wrong number of parameters 400."""
    await stage.customer()
    status, answer = await stage.api(template(name, language, *values))
    assert (status, answer["error"]["code"]) == refusal


async def test_a_bsuid_in_to_is_accepted_and_fails() -> None:
    """The vendor keeps the digits, accepts, and reports 131026 for them."""
    async with staged(behaviour=INSTANT) as stage:
        customer = await stage.customer()
        status, answer = await stage.text(customer["bsuid"])
        digits = customer["bsuid"][3:]
        assert (status, answer["contacts"]) == (200, [{"input": customer["bsuid"], "wa_id": digits}])
        await stage.control.wait_until_quiet()
        (failed,) = stage.receiver.items("statuses")
        assert (failed["status"], failed["recipient_id"], failed["errors"][0]["code"]) == ("failed", digits, 131026)


async def test_a_bsuid_in_recipient_reaches_the_customer_without_a_phone() -> None:
    """The answer has user_id and no wa_id, the statuses recipient_user_id and no recipient_id."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer(phone=None, bsuid="PT.123", username="@ana")
        body = {"messaging_product": "whatsapp", "recipient": "PT.123", "type": "text", "text": {"body": "Hi"}}
        _, answer = await stage.api(body)
        assert answer["contacts"] == [{"input": "PT.123", "user_id": "PT.123"}]
        await stage.control.wait_until_quiet()
        statuses = stage.receiver.items("statuses")
        assert {(status["recipient_user_id"], "recipient_id" in status) for status in statuses} == {("PT.123", False)}


async def test_to_wins_over_recipient(stage: Stage) -> None:
    """With both, the phone is used and the answer names both ids."""
    customer = await stage.customer()
    _, answer = await stage.text(PHONE, recipient=customer["bsuid"])
    assert answer["contacts"] == [{"input": PHONE, "wa_id": "351912000001", "user_id": customer["bsuid"]}]


async def test_a_number_without_plus_is_taken_for_a_national_one() -> None:
    """Without + the business's country code comes in front, so the full digits reach nobody; the setting turns it off."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer()
        assert (await stage.text("912000001"))[1]["contacts"][0]["wa_id"] == "351912000001"
        assert (await stage.text("351912000001"))[1]["contacts"][0]["wa_id"] == "351351912000001"
    async with staged(prefix_country_code=False) as stage:
        await stage.customer()
        assert (await stage.text("351912000001"))[1]["contacts"][0]["wa_id"] == "351912000001"


@pytest.mark.parametrize("fields", [{"to": "nobody"}, {"recipient": "12345"}])
async def test_an_address_that_is_none_is_refused(stage: Stage, fields: dict[str, str]) -> None:
    """A `to` without digits and a `recipient` that is no business-scoped id are 131009."""
    _, answer = await stage.api({"messaging_product": "whatsapp", "type": "text", "text": {"body": "Hi"}, **fields})
    assert answer["error"]["code"] == 131009


async def test_statuses_follow_with_pricing_and_the_senders_own_data() -> None:
    """Sent and delivered carry the price, read does not; each carries the opaque data, the contact and both ids."""
    async with staged(behaviour=INSTANT) as stage:
        customer = await stage.customer(username="@ana")
        _, answer = await stage.text(PHONE, biz_opaque_callback_data="out-1")
        await stage.control.wait_until_quiet()
        statuses = stage.receiver.items("statuses")
        by_name = {status["status"]: status for status in statuses}
        assert sorted(by_name) == ["delivered", "read", "sent"]
        price = {"billable": False, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
        assert by_name["sent"]["pricing"] == by_name["delivered"]["pricing"] == price
        assert "pricing" not in by_name["read"]
        assert {status["id"] for status in statuses} == {answer["messages"][0]["id"]}
        assert {status["biz_opaque_callback_data"] for status in statuses} == {"out-1"}
        assert {status["recipient_user_id"] for status in statuses} == {customer["bsuid"]}
        contacts = {
            post.items("statuses")[0]["status"]: post.items("contacts")[0] for post in stage.receiver.posts if post.items("statuses")
        }
        assert contacts["delivered"]["profile"] == {"name": "Customer", "username": "@ana"}
        assert contacts["sent"]["profile"] == {"name": "Customer"}


async def test_an_open_chat_leaves_delivered_out() -> None:
    """`read` implies `delivered` and then carries the price."""
    async with staged(behaviour={**INSTANT, "open_chat_probability": 1}) as stage:
        await stage.customer()
        await stage.text(PHONE)
        await stage.control.wait_until_quiet()
        assert {status["status"]: "pricing" in status for status in stage.receiver.items("statuses")} == {"sent": True, "read": True}


async def test_the_months_free_messages_run_out() -> None:
    """After the free ones service messages are regular; a template is priced by its category."""
    async with staged(behaviour=INSTANT, limits={"free_service_messages_per_month": 1}) as stage:
        await stage.customer()
        for body in (None, None, template("come_back", "pt_PT", "Ana")):
            await (stage.text(PHONE) if body is None else stage.api(body))
            await stage.control.wait_until_quiet()
        prices = [status["pricing"] for status in stage.receiver.items("statuses") if status["status"] == "sent"]
        assert [(price["type"], price["category"], price["billable"]) for price in prices] == [
            ("free_customer_service", "service", False),
            ("regular", "service", True),
            ("regular", "utility", True),
        ]


async def test_an_ad_makes_a_free_entry_point() -> None:
    """The answer to a click-to-WhatsApp message is free for 72 h and carries the conversation object."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer(writes=False)
        await stage.control.send(
            "ana", SUPPORT, "I saw your ad", referral={"source_type": "ad", "source_id": "1", "source_url": "https://fb.me/x"}
        )
        await stage.text(PHONE)
        await stage.control.wait_until_quiet()
        (sent,) = [status for status in stage.receiver.items("statuses") if status["status"] == "sent"]
        assert sent["pricing"]["type"] == "free_entry_point"
        assert sent["conversation"]["origin"] == {"type": "referral_conversion"}
        assert stage.receiver.items("messages")[0]["referral"]["source_type"] == "ad"


async def test_a_reaction_only_gets_sent_and_shows_on_the_message() -> None:
    """Reactions must point at a known message, are never delivered or read, and appear on the bubble."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer(writes=False)
        wamid = (await stage.control.send("ana", SUPPORT, "Hi"))["id"]
        reaction = {"messaging_product": "whatsapp", "to": PHONE, "type": "reaction", "reaction": {"message_id": wamid, "emoji": "👍"}}
        assert (await stage.api(reaction))[0] == 200
        await stage.control.wait_until_quiet()
        assert [status["status"] for status in stage.receiver.items("statuses")] == ["sent"]
        assert (await stage.control.conversation("ana"))[0]["reactions"] == {"business": "👍"}
        reaction["reaction"] = {"message_id": "wamid.unknown", "emoji": "👍"}
        assert (await stage.api(reaction))[1]["error"]["code"] == 131009


async def test_a_read_receipt_marks_the_earlier_messages_too(stage: Stage) -> None:
    """Reading the second reads the first; an unknown id, another number's and one of 31 days ago are 131009."""
    await stage.customer(writes=False)
    ids = [(await stage.control.send("ana", SUPPORT, text))["id"] for text in ("One", "Two", "Three")]
    receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": ids[1], "typing_indicator": {"type": "text"}}
    assert await stage.api(receipt) == (200, {"success": True})
    assert ["read" in bubble["statuses"] for bubble in await stage.control.conversation("ana")] == [True, True, False]
    assert (await stage.api({**receipt, "message_id": "wamid.unknown"}))[1]["error"]["code"] == 131009
    assert (await stage.api(receipt, number=SALES))[1]["error"]["code"] == 131009
    await stage.control.clock(advance_seconds=31 * 24 * 3600)
    assert (await stage.api(receipt))[1]["error"]["code"] == 131009
    assert (await stage.control.counts())["typing.shown"] == 1


async def test_the_customers_phone_shows_the_rendered_template(stage: Stage) -> None:
    """The conversation holds both directions in order, templates as the customer reads them."""
    await stage.customer()
    await stage.api(template("come_back", "pt_PT", "Ana"))
    await stage.text(PHONE, "Bom dia")
    bubbles = await stage.control.conversation("ana", SUPPORT)
    assert [(bubble["direction"], bubble["text"]) for bubble in bubbles] == [
        ("in", "Hi"),
        ("out", "Olá Ana, ainda precisa de ajuda?"),
        ("out", "Bom dia"),
    ]
    assert await stage.control.conversation("ana", SALES) == []


async def test_what_fails_is_not_seen_by_the_customer(stage: Stage) -> None:
    """A failed send leaves no bubble."""
    await stage.customer(reachable=False)
    assert (await stage.text(PHONE))[0] == 200
    assert [bubble["direction"] for bubble in await stage.control.conversation("ana")] == ["in"]


async def test_who_stopped_marketing_fails_with_131050() -> None:
    """The template is accepted, the failed status says why."""
    async with staged(behaviour=INSTANT) as stage:
        await stage.customer(stopped_marketing=True)
        await stage.api(template("offer", "en"))
        await stage.control.wait_until_quiet()
        assert stage.receiver.items("statuses")[0]["errors"][0]["code"] == 131050


async def test_the_customer_reads_by_script(stage: Stage) -> None:
    """Opening the chat makes one read status per unread message, once."""
    await stage.customer()
    first = (await stage.text(PHONE))[1]["messages"][0]["id"]
    second = (await stage.text(PHONE))[1]["messages"][0]["id"]
    assert await stage.control.read("ana", up_to=first) == [first]
    assert await stage.control.read("ana", phone_number_id=SUPPORT) == [second]
    assert await stage.control.read("ana") == []
    await stage.control.wait_until_quiet()
    assert [status["status"] for status in stage.receiver.items("statuses")] == ["read", "read"]


async def test_a_status_can_be_made_by_script(stage: Stage) -> None:
    """Any status of an accepted send, with its code and as often as asked."""
    await stage.customer()
    wamid = (await stage.text(PHONE))[1]["messages"][0]["id"]
    await stage.control.status(wamid, "failed", code=131049, copies=2)
    await stage.control.wait_until_quiet()
    assert [status["errors"][0]["code"] for status in stage.receiver.items("statuses")] == [131049, 131049]
    assert stage.receiver.posts[-1].body == stage.receiver.posts[-2].body


async def test_the_same_seed_gives_the_same_day() -> None:
    """Which sends fail, are refused or repeated depends on seed and script alone."""

    async def day(seed: int) -> list[Any]:
        behaviour = {**SILENT, "seed": seed, "api_error_probability": 0.4, "failed_probability": 0.3, "redelivery_probability": 0.5}
        async with staged(behaviour=behaviour) as stage:
            await stage.customer()
            answers = [(await stage.text(PHONE))[0] for _ in range(20)]
            for _ in range(5):
                await stage.control.send("ana", SUPPORT, "Hi")
            counts = await stage.control.counts()
            return [answers, counts.get("sends.failed_later"), counts["webhooks.copies"]]

    assert await day(7) == await day(7)
    assert await day(7) != await day(8)
