"""The settings of ingest, from the environment (`PARLEY_INGEST_…`)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.ingest.body import IntakeLimits
from shared.settings import EnvironmentSettings


class IngestSettings(EnvironmentSettings):
    """What an operator may change."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_INGEST_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address on which webhooks are taken in.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port on which webhooks are taken in.")
    publish_seconds: float = Field(
        default=2.0, gt=0, le=30, description="How long Kafka may take before the provider is told to come again (503)."
    )
    read_seconds: float = Field(default=10.0, gt=0, le=120, description="How long a provider may take to send a body.")
    body_bytes_max: int = Field(default=IntakeLimits().body_bytes_max, ge=1024, description="Largest body of a webhook.")
    inflated_bytes_max: int = Field(default=IntakeLimits().inflated_bytes_max, ge=1024, description="Largest body after inflating.")
    bytes_in_flight_max: int = Field(default=IntakeLimits().bytes_in_flight_max, ge=1024, description="All bodies in memory at once.")
    stop_grace_seconds: int = Field(default=10, ge=1, le=120, description="How long a stop waits for webhooks that are being taken in.")

    @property
    def limits(self) -> IntakeLimits:
        """Return the bounds of the intake."""
        return IntakeLimits(
            body_bytes_max=self.body_bytes_max,
            inflated_bytes_max=self.inflated_bytes_max,
            bytes_in_flight_max=self.bytes_in_flight_max,
            read_seconds=self.read_seconds,
            publish_seconds=self.publish_seconds,
        )
