"""WhatsApp's settings, limits and handshake."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from shared.channels.whatsapp import channel
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.errors import ConfigurationError


def test_each_role_names_the_variables_it_lacks() -> None:
    """Receiving needs other secrets than sending, and what is set is not named."""
    bare = channel(WhatsAppSettings())
    assert bare.missing("ingest") == ("PARLEY_WHATSAPP_APP_SECRET", "PARLEY_WHATSAPP_VERIFY_TOKEN")
    assert bare.missing("outbound") == ("PARLEY_WHATSAPP_ACCESS_TOKEN",)
    assert channel(WhatsAppSettings(access_tokens={"1": SecretStr("token")})).missing("outbound") == ()
    assert channel(WhatsAppSettings(app_secret=SecretStr("s"), verify_token=SecretStr("v"))).missing("ingest") == ()


def test_settings_come_from_the_environment_and_hide_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret shows in what a log line would print."""
    monkeypatch.setenv("PARLEY_WHATSAPP_APP_SECRET", "new-secret, old-secret")
    monkeypatch.setenv("PARLEY_WHATSAPP_ACCESS_TOKENS", '{"209900000000001": "token-one"}')
    settings = WhatsAppSettings()
    assert settings.app_secrets() == (b"new-secret", b"old-secret")
    assert settings.access_token_of("209900000000001") == "token-one"
    assert "secret" not in repr(settings).replace("app_secret", "")
    assert "token-one" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_WHATSAPP_API_VERSION", "24"),
        ("PARLEY_WHATSAPP_API_BASE_URL", "graph.facebook.com"),
        ("PARLEY_WHATSAPP_APP_SECRET", "copied with a line break\n"),
        ("PARLEY_WHATSAPP_SENDS_PER_SECOND", "-7"),
        ("PARLEY_WHATSAPP_SENDS_PER_SECOND_BY_ACCOUNT", '{"1": 0}'),
        ("PARLEY_WHATSAPP_ACCESS_TOKENS", "a token that is no JSON"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error names the variable; the value may be a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as raised:
        channel()
    assert value.strip() not in str(raised.value).replace(name, "")


def test_a_number_has_its_own_rate_else_the_channels_else_the_vendors() -> None:
    """The vendor raises single numbers; the default is its 80 per second, and one per 6 s to one customer in bursts of 45."""
    vendor = channel(WhatsAppSettings()).limits("1")
    assert (vendor.sends_per_second, vendor.pair_interval_seconds, vendor.pair_burst) == (80, 6, 45)
    chosen = channel(
        WhatsAppSettings(sends_per_second=20, sends_per_second_by_account={"1": 1000}, pair_interval_seconds=0, pair_burst=100)
    )
    assert chosen.limits("1").sends_per_second == 1000
    assert chosen.limits("2").sends_per_second == 20
    assert (chosen.limits("2").pair_interval_seconds, chosen.limits("2").pair_burst) == (0, 100)


def test_settings_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValidationError):
        WhatsAppSettings().api_version = "v1.0"  # type: ignore[misc] # the point of the test
