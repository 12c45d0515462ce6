"""WhatsApp's rules as values: the windows, the limits of an account, and the bounds of what can be sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, ConfigDict

from shared.channels.contract import Limits, Policy
from shared.channels.policy import load_policy


class ContentLimits(BaseModel):
    """What fits into one message. Each name ends in its unit, or is a count."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text_characters: int
    caption_characters: int
    buttons: int
    button_title_characters: int
    button_id_characters: int
    button_body_characters: int
    list_rows: int
    list_button_characters: int
    list_row_id_characters: int
    list_row_title_characters: int
    list_row_description_characters: int
    list_body_characters: int
    opaque_data_characters: int
    contacts: int
    template_name_characters: int
    template_header_characters: int
    template_body_characters: int
    template_spaces_in_a_row: int
    template_buttons: int
    template_payload_characters: int
    template_url_characters: int
    template_code_characters: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything in `policy.yaml`."""

    policy: Policy
    limits: Limits
    content: ContentLimits


@cache
def rules() -> Rules:
    """Return the rules of this version, read at the first call."""
    document = load_policy(__package__)
    return Rules(document.policy(), document.account_limits(), ContentLimits.model_validate(document.content))
