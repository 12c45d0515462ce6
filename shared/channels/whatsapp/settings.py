"""WhatsApp's settings from the environment (`PARLEY_WHATSAPP_…`)."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from shared.channels.contract import ChannelSettings, Role

PREFIX = "PARLEY_WHATSAPP_"
_NEEDED: dict[Role, tuple[str, ...]] = {"ingest": ("app_secret", "verify_token"), "outbound": ("access_token",)}
"""What each role cannot do without."""


class WhatsAppSettings(ChannelSettings):
    """Settings of the channel. A service needs only the secrets of its role; nothing is needed to know the policy."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    app_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret of the app that signs the webhooks; several, separated by commas, while they rotate"
    )
    verify_token: SecretStr = Field(default=SecretStr(""), description="The token that the vendor repeats when it checks our address")
    access_token: SecretStr = Field(default=SecretStr(""), description="Token for sending, for every number without one of its own")
    access_tokens: dict[str, SecretStr] = Field(default_factory=dict, description="Tokens for sending by phone number id, as a JSON object")
    api_base_url: str = Field(
        default="https://graph.facebook.com", pattern=r"^https?://[^\s?#]+$", description="Where the Graph API answers"
    )
    api_version: str = Field(default="v24.0", pattern=r"^v\d{1,3}\.\d{1,2}$", description="Version of the Graph API")
    sends_per_second: float | None = Field(default=None, gt=0, description="Sends per second and number; absent: as policy.yaml says")
    sends_per_second_by_account: dict[str, float] = Field(
        default_factory=dict, description="The same for single numbers, by phone number id, as a JSON object"
    )
    pair_interval_seconds: float | None = Field(
        default=None, ge=0, description="Seconds between two messages to one customer in the long run; absent: as policy.yaml says"
    )
    pair_burst: int | None = Field(default=None, ge=1, description="Messages to one customer at once; absent: as policy.yaml says")
    list_button: str = Field(default="☰", min_length=1, max_length=20, description="What stands on the button that opens a list")

    @field_validator("app_secret", "verify_token", "access_token")
    @classmethod
    def _no_blanks_around(cls, secret: SecretStr) -> SecretStr:
        """Refuse a secret with a blank or line break at an end: it was copied wrongly, and every signature would fail."""
        if secret.get_secret_value() != secret.get_secret_value().strip():
            message = "the secret begins or ends with a blank or a line break"
            raise ValueError(message)
        return secret

    @field_validator("api_base_url")
    @classmethod
    def _no_slash_at_the_end(cls, address: str) -> str:
        """Return the address as paths can be put behind it."""
        return address.rstrip("/")

    @field_validator("sends_per_second_by_account")
    @classmethod
    def _faster_than_nothing(cls, rates: dict[str, float]) -> dict[str, float]:
        """Refuse an account that could never send."""
        if any(rate <= 0 for rate in rates.values()):
            message = "a number needs more than 0 sends per second"
            raise ValueError(message)
        return rates

    def app_secrets(self) -> tuple[bytes, ...]:
        """Return every secret that may have signed a webhook."""
        return tuple(part.strip().encode() for part in self.app_secret.get_secret_value().split(",") if part.strip())

    def access_token_of(self, account: str) -> str:
        """Return the token that sends for `account`; empty where there is none."""
        return self.access_tokens.get(account, self.access_token).get_secret_value()

    def missing(self, role: Role) -> tuple[str, ...]:
        """Return the environment variables that `role` needs and that are not set."""
        if role == "outbound" and self.access_tokens:
            return ()
        return tuple(PREFIX + name.upper() for name in _NEEDED[role] if not getattr(self, name).get_secret_value())
