"""Settings: defaults that work on one machine, and mistakes that name their variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from services.ingest.settings import IngestSettings
from services.outbound.settings import OutboundSettings
from shared.errors import ConfigurationError
from shared.settings import EnvironmentSettings, ServiceSettings
from shared.topics import PARTITIONS_EMBEDDED

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an empty environment."""
    for name in [name for name in os.environ if name.startswith(("PARLEY_", "KAFKA_", "MONGODB_", "OTEL_"))]:
        monkeypatch.delenv(name)


def test_nothing_set_is_one_machine() -> None:
    """SQLite beside the embedded broker, probes on loopback, spans nowhere."""
    settings = ServiceSettings()
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.partitions == PARTITIONS_EMBEDDED
    assert settings.health_host == "127.0.0.1"
    assert (settings.mongodb_uri, settings.otlp_endpoint) == (None, None)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names that the world knows for Kafka, MongoDB and OpenTelemetry, and ours for the rest."""
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "MONGODB_URI": "mongodb://user:geheim@mongo/",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "PARLEY_PARTITIONS": "24",
        "PARLEY_TOPIC_PREFIX": "",
        "PARLEY_SOMETHING_ELSE": "ignored",
    }.items():
        monkeypatch.setenv(name, value)
    settings = ServiceSettings()
    assert (settings.kafka_bootstrap_servers, settings.partitions, settings.topic_prefix) == ("kafka:9092", 24, "")
    assert settings.otlp_endpoint == "http://collector:4318"
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PARLEY_PARTITIONS", "many", "valid integer"),
        ("PARLEY_PARTITIONS", "0", "greater than or equal to 1"),
        ("PARLEY_TOPIC_PREFIX", "a b", "pattern"),
        ("PARLEY_INSTANCE", "", "pattern"),
        ("PARLEY_LOG_LEVEL", "loud", "'warning'"),
        ("PARLEY_HEALTH_PORT", "70000", "less than or equal to 65535"),
        ("PARLEY_SESSION_TIMEOUT_SECONDS", "5", "greater than or equal to 6"),
        ("PARLEY_TRACE_SAMPLE_RATIO", "1.5", "less than or equal to 1"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_is_wrong(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    """One line an operator can act on."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        ServiceSettings()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody likes to correct one after the other."""
    monkeypatch.setenv("PARLEY_PARTITIONS", "many")
    monkeypatch.setenv("PARLEY_LOG_FORMAT", "xml")
    with pytest.raises(ConfigurationError, match=r"PARLEY_PARTITIONS: .*; PARLEY_LOG_FORMAT: "):
        ServiceSettings()


class Secretive(EnvironmentSettings):
    """Settings with a secret under a name of its own."""

    pin: SecretStr = Field(default=SecretStr(""), validation_alias="THE_PIN", max_length=4)


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes to logs and terminals."""
    monkeypatch.setenv("THE_PIN", "geheim")
    with pytest.raises(ConfigurationError, match="THE_PIN") as caught:
        Secretive()
    assert "geheim" not in str(caught.value)


def test_every_setting_says_what_it_is() -> None:
    """The operators' table is made from it."""
    assert all(field.description for field in ServiceSettings.model_fields.values())


def test_a_service_with_a_wrong_setting_ends_with_one_line() -> None:
    """No traceback, and the exit code that says that starting again would not help."""
    ended = subprocess.run(
        [sys.executable, "-m", "services.bot"],
        cwd=ROOT,
        env={**os.environ, "PARLEY_PARTITIONS": "many"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 78
    assert ended.stderr.startswith("bot: a setting cannot be used: PARLEY_PARTITIONS: ")
    assert len(ended.stderr.splitlines()) == 1


def test_no_setting_has_two_homes() -> None:
    """What all services share is set once: a service's own settings do not repeat it under another name of a variable."""
    shared = set(ServiceSettings.model_fields)
    for settings in (OutboundSettings, IngestSettings):
        assert not shared & set(settings.model_fields)
