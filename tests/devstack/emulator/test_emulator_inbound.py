"""Customers' messages in Meta's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devstack.emulator.client import EmulatorError
from tests.devstack.emulator.harness import SUPPORT, Stage

CASES: list[tuple[str, Any, str, Any]] = [
    ("text", "Hi", "text", {"body": "Hi"}),
    (
        "location",
        {"latitude": 38.7, "longitude": -9.1, "name": "Office"},
        "location",
        {"latitude": 38.7, "longitude": -9.1, "name": "Office"},
    ),
    ("contacts", [{"name": {"formatted_name": "A"}}], "contacts", [{"name": {"formatted_name": "A"}}]),
    ("button_reply", {"id": "1", "title": "Yes"}, "interactive", {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}),
    (
        "list_reply",
        {"id": "1", "title": "Row", "description": "More"},
        "interactive",
        {"type": "list_reply", "list_reply": {"id": "1", "title": "Row", "description": "More"}},
    ),
    ("button", {"payload": "p", "text": "Yes"}, "button", {"payload": "p", "text": "Yes"}),
    ("reaction", {"message_id": "wamid.x", "emoji": "👍"}, "reaction", {"message_id": "wamid.x", "emoji": "👍"}),
    ("reaction", {"message_id": "wamid.x"}, "reaction", {"message_id": "wamid.x"}),
    ("order", {"catalog_id": "1", "product_items": []}, "order", {"catalog_id": "1", "text": "", "product_items": []}),
    ("system", {"type": "customer_identity_changed", "body": "b"}, "system", {"type": "customer_identity_changed", "body": "b"}),
    ("unsupported", {"type": "poll_creation"}, "unsupported", {"type": "poll_creation"}),
    (
        "edit",
        {"original_message_id": "wamid.x", "message": {"type": "text", "text": {"body": "New"}}},
        "edit",
        {"original_message_id": "wamid.x", "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": "New"}}},
    ),
    ("revoke", {"original_message_id": "wamid.x"}, "revoke", {"original_message_id": "wamid.x"}),
]


@pytest.mark.parametrize(("kind", "content", "name", "expected"), CASES)
async def test_each_kind_has_its_shape(stage: Stage, kind: str, content: Any, name: str, expected: Any) -> None:
    """The object stands under the type's name, beside id, sender and a timestamp of whole seconds as a string."""
    await stage.customer(writes=False)
    answer = await stage.control.send("ana", SUPPORT, content, kind=kind)
    (message,) = stage.receiver.items("messages")
    assert message[name] == expected
    assert (message["type"], message["id"], message["from"]) == (name, answer["id"], "351912000001")
    assert message["timestamp"].isdigit()


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
async def test_media_kinds_have_id_type_and_digest(stage: Stage, kind: str) -> None:
    """Captions where they exist, voice and animated flags where they belong."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, {"caption": "Look"}, kind=kind)
    (message,) = stage.receiver.items("messages")
    media = message[kind]
    assert {"id", "mime_type", "sha256", "url"} <= set(media)
    assert media["caption"] == "Look"
    assert ("voice" in media, "animated" in media) == (kind == "audio", kind == "sticker")


async def test_a_flow_reply_is_json_inside_a_string(stage: Stage) -> None:
    """`response_json` is a string to be decoded."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, {"response": {"flow_token": "t", "rating": "4"}}, kind="nfm_reply")
    (message,) = stage.receiver.items("messages")
    assert json.loads(message["interactive"]["nfm_reply"]["response_json"]) == {"flow_token": "t", "rating": "4"}


async def test_an_unsupported_message_carries_131051(stage: Stage) -> None:
    """Its reason stands in `errors`, and there is no text."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, kind="unsupported")
    (message,) = stage.receiver.items("messages")
    assert message["errors"][0]["code"] == 131051
    assert "unsupported" not in message


async def test_a_hidden_phone_is_left_out_and_not_replaced(stage: Stage) -> None:
    """Neither from nor wa_id: only the business-scoped ids and the username."""
    await stage.customer(phone_hidden=True, username="@ana", parent_bsuid="PT.ENT.5")
    (post,) = stage.receiver.posts
    (message,), (contact,) = post.items("messages"), post.items("contacts")
    assert "from" not in message
    assert "wa_id" not in contact
    assert message["from_user_id"] == contact["user_id"]
    assert (message["from_parent_user_id"], contact["profile"]["username"]) == ("PT.ENT.5", "@ana")
    assert b"351912000001" not in post.body


async def test_a_customer_may_have_no_bsuid(stage: Stage) -> None:
    """The shape of before April 2026: phone only."""
    await stage.customer(bsuid=None)
    (message,) = stage.receiver.items("messages")
    assert "from_user_id" not in message


async def test_a_derived_bsuid_is_stable(stage: Stage) -> None:
    """The same phone has the same id, with the country in front; another phone another one."""
    first = await stage.customer("one", writes=False)
    again = await stage.customer("two", writes=False)
    other = await stage.customer("three", "+371 2000 0001", writes=False)
    assert first["bsuid"] == again["bsuid"]
    assert first["bsuid"].startswith("PT.")
    assert other["bsuid"].startswith("LV.")


async def test_a_reply_names_what_it_answers(stage: Stage) -> None:
    """A context by message id gets the business's number; a forwarded mark passes as it is."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Yes", context={"message_id": "wamid.q"})
    await stage.control.send("ana", SUPPORT, "Look", context={"forwarded": True})
    assert [message["context"] for message in stage.receiver.items("messages")] == [
        {"from": "351210000001", "id": "wamid.q"},
        {"forwarded": True},
    ]


async def test_a_number_change_moves_the_customer(stage: Stage) -> None:
    """The system message names the old phone and has no contacts; afterwards the new phone is the one that works."""
    await stage.customer()
    await stage.control.send("ana", SUPPORT, {"type": "user_changed_number", "wa_id": "351912999999", "user_id": "PT.9"}, kind="system")
    post = stage.receiver.posts[-1]
    assert (post.items("messages")[0]["from"], post.items("contacts")) == ("351912000001", [])
    assert (await stage.text("+351912999999"))[0] == 200
    customer = await stage.control.customer("ana")
    assert (customer["phone"], customer["bsuid"]) == ("351912999999", "PT.9")


async def test_edits_revokes_and_reactions_show_on_the_phone(stage: Stage) -> None:
    """The original bubble changes; no new one appears."""
    await stage.customer(writes=False)
    wamid = (await stage.control.send("ana", SUPPORT, "Helo"))["id"]
    edit = {"original_message_id": wamid, "message": {"type": "text", "text": {"body": "Hello"}}}
    await stage.control.send("ana", SUPPORT, edit, kind="edit")
    await stage.control.send("ana", SUPPORT, {"message_id": wamid, "emoji": "🙂"}, kind="reaction")
    await stage.control.send("ana", SUPPORT, {"original_message_id": wamid}, kind="revoke")
    (bubble,) = await stage.control.conversation("ana")
    assert (bubble["text"], bubble["edited"], bubble["revoked"], bubble["reactions"]) == ("Hello", True, True, {"ana": "🙂"})
    await stage.control.send("ana", SUPPORT, {"message_id": wamid, "emoji": ""}, kind="reaction")
    assert (await stage.control.conversation("ana"))[0]["reactions"] == {}


async def test_the_profile_may_be_missing(stage: Stage) -> None:
    """A contact without profile, as it happens."""
    await stage.customer(writes=False)
    await stage.control.send("ana", SUPPORT, "Hi", omit_profile=True)
    (contact,) = stage.receiver.items("contacts")
    assert "profile" not in contact


@pytest.mark.parametrize(("kind", "content"), [("telegram", "Hi"), ("text", {}), ("button_reply", "Yes"), ("revoke", None)])
async def test_content_that_does_not_fit_is_refused(stage: Stage, kind: str, content: Any) -> None:
    """A script's mistake is answered in words and nothing is posted."""
    await stage.customer(writes=False)
    with pytest.raises(EmulatorError, match="kind"):
        await stage.control.send("ana", SUPPORT, content, kind=kind)
    assert stage.receiver.posts == []
