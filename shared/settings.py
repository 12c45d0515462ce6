"""What every service reads from its environment. Each setting has a default that works on one machine, and is checked at start."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.engine.connection import Access, KafkaConnection, SaslMechanism, SecurityProtocol, open_way
from shared.engine.options import DEAD_LETTERS_PER_MINUTE_MAX, STORE_TIMEOUT_SECONDS
from shared.errors import ConfigurationError
from shared.topics import PARTITIONS_EMBEDDED

CLOCK_SKEW_SECONDS_MAX = 24 * 3600


class EnvironmentSettings(BaseSettings):
    """Settings from the environment; a wrong one is told by the name of its variable, without its value (it may be a secret)."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            prefix = self.model_config.get("env_prefix", "")
            wrong = "; ".join(f"{_variable(prefix, one['loc'], type(self))}: {one['msg']}" for one in found)
            raise ConfigurationError(f"a setting cannot be used: {wrong}") from None


def _variable(prefix: str, where: tuple[int | str, ...], settings: type[BaseSettings]) -> str:
    """Return the environment variable that an error is about; a field with a name of its own is told by that."""
    name = str(where[0]) if where else ""
    return (prefix + name).upper() if name in settings.model_fields and settings.model_fields[name].validation_alias is None else name


class KafkaSettings(EnvironmentSettings):
    """Where Kafka is, and how it lets us in."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", frozen=True, extra="ignore", populate_by_name=True)

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Where Kafka is: `host:port`, several with commas.",
    )
    kafka_security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="`PLAINTEXT`, `SSL` (encrypted), `SASL_SSL` (encrypted, with a password) or `SASL_PLAINTEXT` (in the clear).",
    )
    kafka_ssl_ca_file: Path | None = Field(
        default=None,
        validation_alias="KAFKA_SSL_CA_FILE",
        description="The certificates (PEM) that sign the brokers'; absent: those of the system.",
    )
    kafka_ssl_certificate_file: Path | None = Field(
        default=None, validation_alias="KAFKA_SSL_CERTIFICATE_FILE", description="Our own certificate (PEM), where Kafka asks for one."
    )
    kafka_ssl_key_file: Path | None = Field(
        default=None, validation_alias="KAFKA_SSL_KEY_FILE", description="The key (PEM) of our own certificate."
    )
    kafka_ssl_key_password: SecretStr | None = Field(
        default=None, validation_alias="KAFKA_SSL_KEY_PASSWORD", description="What decrypts the key, where it is encrypted."
    )
    kafka_sasl_mechanism: SaslMechanism | None = Field(
        default=None,
        validation_alias="KAFKA_SASL_MECHANISM",
        description="`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`: how the password is shown.",
    )
    kafka_sasl_username: str | None = Field(default=None, validation_alias="KAFKA_SASL_USERNAME", description="Who we are to Kafka.")
    kafka_sasl_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SASL_PASSWORD", description="The password.")
    kafka_sasl_password_file: Path | None = Field(
        default=None, validation_alias="KAFKA_SASL_PASSWORD_FILE", description="A file that holds the password, in place of the variable."
    )

    @cached_property
    def kafka(self) -> KafkaConnection:
        """Return where Kafka is with the way in; files are read at the first call, which is at the start."""
        access = Access(
            protocol=self.kafka_security_protocol,
            ca_file=self.kafka_ssl_ca_file,
            certificate_file=self.kafka_ssl_certificate_file,
            key_file=self.kafka_ssl_key_file,
            key_password=_revealed(self.kafka_ssl_key_password),
            mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_sasl_username,
            password=_revealed(self.kafka_sasl_password),
            password_file=self.kafka_sasl_password_file,
        )
        return open_way(self.kafka_bootstrap_servers, access)

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        """Refuse what does not belong together, and files that cannot be used, with a ConfigurationError."""
        _ = self.kafka
        return self


def _revealed(secret: SecretStr | None) -> str | None:
    """Return the secret itself."""
    return None if secret is None else secret.get_secret_value()


class ServiceSettings(KafkaSettings):
    """Settings that all services share."""

    mongodb_uri: SecretStr | None = Field(
        default=None,
        validation_alias="MONGODB_URI",
        description="Keeps state in MongoDB (database `parley` unless the URI names one); absent: SQLite.",
    )
    topic_prefix: str = Field(default="parley.", pattern=r"^[a-zA-Z0-9._-]*$", description="Stands before every topic and group name.")
    partitions: int = Field(
        default=PARTITIONS_EMBEDDED, ge=1, le=1_000, description="Partitions of every topic; fixed at installation (24 in production)."
    )
    data_directory: Path = Field(default=Path("var"), description="Where the embedded store keeps its files, one per service.")
    config_directory: Path = Field(default=Path("config"), description="The contact centre's configuration.")
    instance: str = Field(
        default="0",
        pattern=r"^[a-zA-Z0-9._-]{1,64}$",
        description="A stable name of this process among its equals, for example the pod's ordinal.",
    )
    health_host: str = Field(default="127.0.0.1", description="Address of /live, /ready and /metrics.")
    health_port: int = Field(default=0, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 picks a free one and logs it.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least severe line that is written.")
    log_format: Literal["json", "console"] = Field(default="json", description="JSON lines, or coloured lines for a person.")
    trace_sample_ratio: float = Field(default=0.01, ge=0, le=1, description="Share of webhooks whose way is traced.")
    otlp_endpoint: str | None = Field(
        default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT", description="Where spans go (OTLP over HTTP); absent: nowhere."
    )
    clock_skew_seconds: float = Field(
        default=0.0,
        ge=-CLOCK_SKEW_SECONDS_MAX,
        le=CLOCK_SKEW_SECONDS_MAX,
        description="For trials only: how far this process's clock is to be wrong (ahead, or behind where negative).",
    )
    records_max: int = Field(default=2_000, ge=1, le=20_000, description="Records of one batch.")
    documents_cached_max: int = Field(default=20_000, ge=0, description="Documents that a reducer holds in memory.")
    dead_letters_per_minute_max: int = Field(
        default=DEAD_LETTERS_PER_MINUTE_MAX, ge=1, description="More dead letters in a minute stop a reducer, and make outbound wait."
    )
    session_timeout_seconds: float = Field(default=45.0, ge=6, le=300, description="How long Kafka waits for a silent process.")
    publish_timeout_seconds: float = Field(default=5.0, gt=0, le=120, description="How long one write to Kafka may take.")
    store_timeout_seconds: float = Field(
        default=STORE_TIMEOUT_SECONDS, gt=0, le=120, description="How long one call of the store may take."
    )
    fetch_wait_milliseconds: int = Field(default=500, ge=10, le=5_000, description="How long Kafka holds a read when nothing is there.")
