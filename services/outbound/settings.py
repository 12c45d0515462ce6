"""The settings of outbound, from the environment (`PARLEY_OUTBOUND_…`)."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict

from services.outbound.core.breaker import BreakerPolicy
from services.outbound.core.retry import RetryPolicy
from shared.settings import EnvironmentSettings


class OutboundSettings(EnvironmentSettings):
    """What an operator may change."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_OUTBOUND_", frozen=True, extra="ignore")

    connect_timeout_seconds: PositiveFloat = Field(
        default=5.0, description="Time to get a connection to a channel; nothing has left before."
    )
    request_timeout_seconds: PositiveFloat = Field(default=20.0, description="Time for a whole request; after it the send is unknown.")
    claim_margin_seconds: PositiveFloat = Field(
        default=20.0, description="How much longer than a request another process's claim is believed to be alive."
    )
    requests_per_account_max: PositiveInt = Field(default=100, description="Requests under way per account and process.")
    connections_max: PositiveInt = Field(default=500, description="Connections to all channels of this process.")
    attempts_max: PositiveInt = Field(default=8, description="Requests per send, all error classes together.")
    wait_seconds_max: PositiveFloat = Field(default=600.0, description="Longest single wait of a send; a longer one refuses it.")
    account_failures_max: PositiveInt = Field(default=5, description="Failures in a row that open an account's breaker.")
    account_wait_seconds_max: PositiveFloat = Field(
        default=300.0, description="How long sends wait for an account in trouble before they are refused at once."
    )
    ledger_linger_seconds: float = Field(default=0.002, ge=0, le=0.1, description="How long a ledger entry waits to be saved with others.")
    ledger_days: PositiveFloat = Field(default=8.0, description="How long a settled send is remembered: longer than the topic keeps it.")

    @property
    def retry(self) -> RetryPolicy:
        """Return the bounds of trying again."""
        return RetryPolicy(attempts_max=self.attempts_max, wait_seconds_max=self.wait_seconds_max)

    @property
    def breaker(self) -> BreakerPolicy:
        """Return the bounds of an account's breaker."""
        return BreakerPolicy(failures_max=self.account_failures_max, wait_seconds_max=self.account_wait_seconds_max)

    @property
    def claim_seconds(self) -> float:
        """Return how long another process's claim is believed to be alive."""
        return self.request_timeout_seconds + self.claim_margin_seconds

    @property
    def claim_fresh_seconds(self) -> float:
        """Return how long after a claim was begun its request may still leave: it must be over before others give the claim up."""
        return self.claim_margin_seconds / 2
