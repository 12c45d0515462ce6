"""What the emulated account looks like: numbers, templates, secrets, limits, and how the vendor behaves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Probability = float
Range = tuple[NonNegativeFloat, NonNegativeFloat]

# Reactions, edits, revokes: the pages are silent (read again on 2026-09-26), so they do not open, the safe reading. An
# `unsupported` message may hide any of them. Groups, system messages and own sends never open.
OPENING_KINDS = (
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "button_reply",
    "list_reply",
    "nfm_reply",
    "button",
    "order",
)


class _Frozen(BaseModel):
    """A frozen value that refuses unknown names, so that a misspelt setting is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PhoneNumber(_Frozen):
    """A business number. `display_phone_number` is digits without +; `state` other than connected makes sends fail (33, 133010)."""

    phone_number_id: str
    waba_id: str
    display_phone_number: str
    name: str = ""
    state: Literal["connected", "deleted", "unregistered"] = "connected"


class Template(_Frozen):
    """A template as the vendor has it on file.

    `body` holds `{{1}}` or `{{name}}` placeholders and is what the customer sees; `body_parameters` is how many a send must give.
    With `parameter_names` the parameters are named. Only status APPROVED can be sent (132001, paused 132015, disabled 132016).
    """

    name: str
    language: str
    category: Literal["marketing", "utility", "authentication"] = "utility"
    body_parameters: NonNegativeInt = 0
    parameter_names: tuple[str, ...] = ()
    body: str = ""
    buttons: tuple[str, ...] = ()
    status: Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED"] = "APPROVED"


class Limits(_Frozen):
    """The vendor's limits; tests and load may raise them.

    Window 24 h (WA/messages/send-messages, 2025-11-04); pair 1 per 6 s with bursts to 45 (WA/about-the-platform); 80 messages per
    second and number, in and out together (WA/throughput, 2025-11-21); 1,000 free service messages per number and month
    (WA/pricing, 2026-09-10).
    """

    window_seconds: PositiveFloat = 24 * 3600
    pair_interval_seconds: NonNegativeFloat = 6
    pair_burst: PositiveInt = 45
    throughput_per_second: PositiveInt = 80
    free_service_messages_per_month: NonNegativeInt = 1000


class Behaviour(_Frozen):
    """What the vendor does by itself, drawn from `seed` so that it can be repeated. Ranges are (least, most) seconds.

    `statuses`: auto = sent, delivered, read; each delay counts from the step before it. `open_chat_probability`: the chat is
    open, so `delivered` is left out. `hold_probability`: a webhook is held back by `hold_seconds`, so others overtake it.
    `redelivery_probability`: a webhook is posted up to `redelivery_copies_max` times. The last four: the statuses come before the send's
    answer; the answer is lost after the send was accepted; the send is refused with `api_error_code`; it fails later.
    """

    seed: int = 1
    statuses: Literal["auto", "sent_only", "none"] = "auto"
    sent_delay_seconds: Range = (0.02, 0.08)
    delivered_delay_seconds: Range = (0.1, 0.3)
    read_delay_seconds: Range = (0.5, 2.0)
    read_probability: Probability = Field(1.0, ge=0, le=1)
    open_chat_probability: Probability = Field(0.0, ge=0, le=1)
    webhook_delay_seconds: Range = (0.0, 0.0)
    hold_probability: Probability = Field(0.0, ge=0, le=1)
    hold_seconds: Range = (0.1, 1.0)
    redelivery_probability: Probability = Field(0.0, ge=0, le=1)
    redelivery_copies_max: PositiveInt = 3
    early_status_probability: Probability = Field(0.0, ge=0, le=1)
    lost_answer_probability: Probability = Field(0.0, ge=0, le=1)
    api_error_probability: Probability = Field(0.0, ge=0, le=1)
    api_error_code: int = 131000
    failed_probability: Probability = Field(0.0, ge=0, le=1)
    failed_code: int = 131026


class WhatsAppSettings(_Frozen):
    """One emulated app with its numbers.

    `closed_window`: 131047 comes in the answer or as a failed status; the vendor's page of 2025-12-12 names both ways.
    `rate_limit_http_status`: that page lists 400 for 130429 and 131056, older ones 429. `prefix_country_code`: a `to` without + gets the
    business's own country code in front. `batch_items_max` and `batch_linger_seconds` gather items into one POST (the vendor: up to 1,000).
    `run` marks the native ids; None draws one, so that ids of two runs never meet in the same store.
    """

    webhook_url: str = "http://127.0.0.1:8000/channels/whatsapp"
    app_secret: str = "development-app-secret"  # noqa: S105 - a secret of the emulated app only
    access_token: str = "development-access-token"  # noqa: S105 - likewise
    verify_token: str = "development-verify-token"  # noqa: S105 - likewise
    phone_numbers: tuple[PhoneNumber, ...] = (
        PhoneNumber(phone_number_id="100000000000001", waba_id="200000000000001", display_phone_number="351210000001", name="Support"),
    )
    templates: tuple[Template, ...] = ()
    limits: Limits = Limits()
    behaviour: Behaviour = Behaviour()
    closed_window: Literal["answer", "status"] = "answer"
    rate_limit_http_status: Literal[400, 429] = 400
    prefix_country_code: bool = True
    opening_kinds: tuple[str, ...] = OPENING_KINDS
    batch_items_max: PositiveInt = Field(1, le=1000)
    batch_linger_seconds: NonNegativeFloat = 0.0
    run: str | None = None
