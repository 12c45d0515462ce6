"""The published WhatsApp samples yield what their list says must be extracted.

They are data of others and no part of this repository: the folder is given by PARLEY_SAMPLES, else looked for beside the
repository. Where it is absent these tests are skipped; the fixtures of the channel carry the same shapes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings
from tests.channels.fixture_cases import RECEIVED_AT, describe

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PARLEY_SAMPLES", ROOT.parent / "shared" / "payloads")) / "whatsapp"
CHANNEL = channel(WhatsAppSettings())
SCOPED = "US.13491208655302741918"
PARENT = "US.ENT.11815799212886844830"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no published samples: {FOLDER} is absent (set PARLEY_SAMPLES)")

EXPECTED: dict[str, list[dict[str, Any]]] = {
    "text_real_signed": [
        {
            "event": "message.received",
            "thread": "whatsapp:277321005464405:972544401243",
            "at": "2024-10-29T19:58:23.000Z",
            "data": {
                "account": "277321005464405",
                "message_id": "wamid.HBgMOTcyNTQ0NDAxMjQzFQIAEhggM0RFQTNCMEEwRTY3QzUwODYzMDc4NjQ4QzM4ODAxM0YA",
                "customer": {"id": "972544401243", "phone": "+972544401243", "display_name": "PyWa Tests"},
                "content": {"kind": "text", "text": "Hey there! I am using PyWa."},
            },
        }
    ],
    "text_bsuid_optional": [
        {
            "event": "message.received",
            "thread": f"whatsapp:1122334455667:{SCOPED}",
            "data": {
                "customer": {"phone": "+972987654321", "business_scoped_id": SCOPED, "parent_id": PARENT},
                "content": {"text": "Body Text"},
            },
        }
    ],
    "image": [
        {
            "data": {
                "content": {"media_kind": "image", "media_id": "65463453", "mime_type": "image/jpeg", "sha256": "4654+8g=", "caption": ...}
            }
        }
    ],
    "video_forwarded": [
        {
            "data": {
                "content": {"media_kind": "video", "media_id": "765756756", "caption": "caption"},
                "forwarded": True,
                "reply_to": ...,
            }
        }
    ],
    "document_forwarded": [
        {
            "data": {
                "content": {"media_kind": "document", "media_id": "1234567890987654321", "filename": "filename.pdf", "caption": "caption"},
                "forwarded": True,
            }
        }
    ],
    "audio_voice_note": [{"data": {"content": {"media_kind": "voice", "media_id": "1234567890987654321"}}}],
    "sticker_static": [{"data": {"content": {"media_kind": "sticker", "media_id": "1234567890987654321", "animated": False}}}],
    "reaction": [{"event": "reaction.changed", "data": {"message_id": "wamid.yzxyzx=", "emoji": "😮"}}],
    "reaction_removed_empty_emoji": [{"event": "reaction.changed", "data": {"message_id": "wamid.yzxyzx=", "emoji": None}}],
    "location_named": [
        {
            "data": {
                "content": {
                    "kind": "location",
                    "latitude": 37.4611978,
                    "longitude": -122.2164385,
                    "name": "Facebook HQ",
                    "address": "1 Hacker Way, Menlo Park, CA 94025",
                    "url": "https://maps.google.com/?cid=2000000000000000000",
                }
            }
        }
    ],
    "contacts_three": [
        {
            "event": "message.received",
            "data": {
                "customer": {"phone": "+972987654321"},
                "content": {
                    "kind": "contacts",
                    "contacts": [
                        {"name": "Chandler Bing", "phones": ["+1 555-555-5555"]},
                        {"name": "Monica", "phones": ["+1 666-666-6666"]},
                        {"name": "Rachel Green", "phones": ["+1 777-777-7777"]},
                    ],
                },
            },
        }
    ],
    "contacts_request_bsuid": [
        {
            "event": "message.received",
            "thread": f"whatsapp:106540352242922:{SCOPED}",
            "data": {
                "customer": {"business_scoped_id": SCOPED, "phone": ..., "username": "@realsheenanelson"},
                "content": {"kind": "contacts", "contacts": [{"phones": ["15551234567"]}]},
            },
        },
        {
            "event": "customer.identified",
            "thread": f"whatsapp:106540352242922:{SCOPED}",
            "data": {"aliases": {"phone": "+15551234567", "business_scoped_id": SCOPED}, "reason": "contact_shared"},
        },
    ],
    "order": [
        {
            "data": {
                "content": {
                    "kind": "order",
                    "catalog_id": "354160437058781",
                    "text": "",
                    "items": [
                        {"product_id": "HAMBURGER", "quantity": 3, "unit_price": "30", "currency": "ILS"},
                        {"product_id": "FRENCH_FRIES", "quantity": 2, "unit_price": "35", "currency": "ILS"},
                        {"product_id": "SODA", "quantity": 2, "unit_price": "10", "currency": "ILS"},
                    ],
                }
            }
        }
    ],
    "interactive_button_reply": [
        {
            "event": "message.received",
            "data": {
                "message_id": "wamid.xyzxyz",
                "reply_to": "wamid.xyzxyz",
                "content": {"kind": "choice", "choice_id": "callback_data", "title": "title", "via": "button"},
            },
        }
    ],
    "interactive_list_reply": [
        {"data": {"content": {"choice_id": "callback_data", "title": "title", "description": "description", "via": "list"}}}
    ],
    "template_quick_reply_button": [
        {
            "data": {
                "content": {"choice_id": "callback_data", "title": "title", "via": "template"},
                "reply_to": "wamid.xyzxyz==",
            }
        }
    ],
    "flow_nfm_reply": [
        {
            "data": {
                "content": {
                    "kind": "form",
                    "values": {"comment_text": "Comment Text", "delivery_rating": "4", "flow_token": "AQAAAAACS5FpgQ_cAAAAAD0QI3s."},
                }
            }
        }
    ],
    "reply_context": [{"data": {"content": {"text": "replied text"}, "reply_to": "wamid.xyzxyz=="}}],
    "referral_ctwa": [
        {"data": {"content": {"text": "BODY"}, "origin": {"kind": "ad", "id": "ADID", "click_id": "CTWA_CLID", "body": "AD_DESCRIPTION"}}}
    ],
    "official_text_referral_ctwa": [
        {
            "data": {
                "origin": {
                    "kind": "ad",
                    "id": "120226305854810726",
                    "payload": "Hi there! Let us know how we can help!",
                    "title": "Chat with us",
                    "click_id": (
                        "Aff-n8ZTODiE79d22KtAwQKj9e_mIEOOj27vDVwFjN80dp4_0NiNhEgpGo0AHemvuSoifXaytfTzcchptiErTKCqTrJ5nW1h7IHYeYymGb5K5J5iTROpBhWAGaIAeUzHL50"
                    ),
                }
            }
        }
    ],
    "unsupported_131051": [{"event": "message.received", "data": {"content": {"kind": "unsupported", "code": "131051"}}}],
    "revoke": [{"event": "message.deleted", "data": {"message_id": "<ORIGINAL_WHATSAPP_MESSAGE_ID>"}}],
    "edit_image": [
        {
            "event": "message.edited",
            "data": {
                "message_id": "wamid.HBgLMTQxMjU1NTA4MjkVAgASGBQzQUNCNjk5RDUwNUZGMUZEM0VBRAA=",
                "content": {"media_kind": "image", "caption": "Updated image caption"},
                "reply_to": ...,
            },
        }
    ],
    "system_number_change": [
        {
            "event": "customer.identified",
            "thread": "whatsapp:1122334455667:972987654321",
            "data": {
                "aliases": {"phone": "+972912345678"},
                "previous": {"phone": "+972987654321"},
                "reason": "number_changed",
            },
        }
    ],
    "group_text_bsuid": [{"ignored": "group_message"}],
    "status_sent": [{"event": "message.sent", "data": {"message_id": "wamid.xyzxyz", "price": {"billable": True, "category": "service"}}}],
    "status_delivered": [{"event": "message.delivered", "thread": f"whatsapp:1122334455667:{SCOPED}"}],
    "status_read": [{"event": "message.read"}],
    "status_failed": [{"event": "message.failed", "data": {"failure": {"code": "130472", "class": "dead_letter"}}}],
    "status_failed_131026": [{"event": "message.failed", "data": {"failure": {"code": "131026", "class": "other_channel"}}}],
    "official_status_failed_131049": [{"event": "message.failed", "data": {"failure": {"code": "131049", "class": "wait"}}}],
    "status_with_tracker": [{"event": "message.sent", "data": {"send_id": "some data"}}],
    "status_bsuid_pmp": [
        {
            "event": "message.delivered",
            "thread": f"whatsapp:106540352242922:{SCOPED}",
            "data": {"price": {"billable": True, "category": "marketing", "type": "regular"}},
        }
    ],
    "smb_echo_text": [{"ignored": "message_echo", "thread": "whatsapp:1122334455667:<BSUID>"}],
    "user_preferences_resume": [
        {
            "event": "customer.opted_in",
            "thread": "whatsapp:106540352242922:16505551234",
            "at": "2024-11-15T21:22:01.000Z",
            "data": {"scope": "marketing"},
        }
    ],
    "account_update_restriction": [{"ignored": "account_update", "notice": "account_update ACCOUNT_RESTRICTION"}],
    "template_status_approved": [{"ignored": "message_template_status_update", "notice": "message_template_status_update APPROVED"}],
    "official_history_chunk": [{"ignored": "history"}],
    "official_value_errors": [{"ignored": "account_error", "notice": "account_error 130429"}],
}
"""Per sample what must be found, item by item. `...` stands for a field that must be absent; fields that are not named may be there."""


def assert_holds(found: Any, expected: Any, path: str = "") -> None:
    """Assert that `found` has everything that `expected` names."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            if value is ...:
                assert name not in found, f"{path}.{name} must be absent"
            else:
                assert name in found, f"{path}.{name} is absent"
                assert_holds(found[name], value, f"{path}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for position, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_holds(one, other, f"{path}[{position}]")
    else:
        assert found == expected, path


@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_sample_yields_what_its_list_says(name: str) -> None:
    """Exactly these items, each with these fields."""
    items = CHANNEL.parse((FOLDER / f"{name}.json").read_bytes(), RECEIVED_AT)
    assert_holds([describe(item) for item in items], EXPECTED[name])


def test_no_published_sample_is_left_out() -> None:
    """A sample that is added later needs its row here."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EXPECTED)
