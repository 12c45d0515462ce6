"""What the emulated account looks like: numbers, templates, secrets, limits, and how the vendor behaves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

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


TEMPLATE_LANGUAGES = frozenset(
    """
    af sq ar ar_EG ar_AE ar_LB ar_MA ar_QA az be_BY bn bn_IN bg ca zh_CN zh_HK zh_TW hr cs da prs_AF nl nl_BE en en_GB en_US en_AE en_AU
    en_CA en_GH en_IE en_IN en_JM en_MY en_NZ en_QA en_SG en_UG en_ZA et fil fi fr fr_BE fr_CA fr_CH fr_CI fr_MA ka de de_AT de_CH el gu
    ha he hi hu id ga it ja kn kk rw_RW ko ky_KG lo lv lt mk ms ml mr nb ps_AF fa pl pt_BR pt_PT pa ro ru sr si_LK sk sl es es_AR es_CL
    es_CO es_CR es_DO es_EC es_HN es_MX es_PA es_PE es_ES es_UY sw sv ta te th tr uk ur uz vi zu
    """.split()  # noqa: SIM905 # ninety codes are read better without quotes
)
"""The codes of templates (WA/templates/supported-languages, 2026-05-21)."""


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


class TemplateHeader(_Frozen):
    """The header component on file; a TEXT one holds at most one placeholder (WA/templates/components, 2026-05)."""

    format: Literal["TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION"]
    text: str = ""


class TemplateButton(_Frozen):
    """A button on file. A URL one that ends in a placeholder takes a parameter, a COPY_CODE and an OTP one need theirs."""

    type: Literal["QUICK_REPLY", "URL", "COPY_CODE", "FLOW", "PHONE_NUMBER", "OTP"]
    text: str = ""
    url: str = ""


class Template(_Frozen):
    """A template as the vendor has it on file.

    `body` holds `{{1}}` or `{{name}}` placeholders and is what the customer sees; `body_parameters` is how many a send must give.
    With `parameter_names` the parameters are named. Only status APPROVED can be sent (132001, paused 132015, disabled 132016).
    `language` is one of the vendor's codes (`pt_BR`): no other can be on file.
    """

    name: str
    language: str
    category: Literal["marketing", "utility", "authentication"] = "utility"
    body_parameters: NonNegativeInt = 0
    parameter_names: tuple[str, ...] = ()
    body: str = ""
    header: TemplateHeader | None = None
    buttons: tuple[TemplateButton, ...] = ()
    status: Literal["APPROVED", "PENDING", "REJECTED", "PAUSED", "DISABLED"] = "APPROVED"

    @field_validator("language")
    @classmethod
    def _is_a_code(cls, language: str) -> str:
        """Refuse a language that the vendor has no code for."""
        if language not in TEMPLATE_LANGUAGES:
            message = f"the vendor knows no templates in '{language}'; its codes are such as en, pt_BR, zh_CN"
            raise ValueError(message)
        return language


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
