"""What does not belong together is told at the start, in one line that says what to do; secrets are in no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.engine.connection import Access, client_options, open_way
from shared.errors import ConfigurationError
from shared.settings import ServiceSettings

SERVERS = "kafka:9093,kafka-2:9093"
SECRET = "correct horse"  # opens nothing
LOGIN = {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "parley", "KAFKA_SASL_PASSWORD": SECRET}


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> ServiceSettings:
    """Return a service's settings under these variables."""
    for name, value in ({"KAFKA_BOOTSTRAP_SERVERS": SERVERS} | environment).items():
        monkeypatch.setenv(name, value)
    return ServiceSettings()


def test_without_any_setting_the_way_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on one machine: no TLS, no password."""
    connection = settings(monkeypatch).kafka
    assert client_options(connection) == {"bootstrap_servers": SERVERS, "security_protocol": "PLAINTEXT", "ssl_context": None}
    assert client_options("kafka:9092") == {"bootstrap_servers": "kafka:9092"}


def test_a_password_comes_from_the_environment_or_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mounted secret ends in a line's end or not; spaces are part of it."""
    file = tmp_path / "password"
    file.write_text(f" {SECRET}\n", "utf-8")
    from_file = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "parley", "KAFKA_SASL_PASSWORD_FILE": str(file)}
    for environment, password in ((LOGIN, SECRET), (from_file, f" {SECRET}")):
        with monkeypatch.context() as patch:
            options = client_options(settings(patch, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", **environment).kafka)
        assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("parley", password)
        assert options["sasl_mechanism"] == environment["KAFKA_SASL_MECHANISM"]


def test_no_text_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings nor the connection nor what it is called in messages."""
    found = settings(monkeypatch, KAFKA_SECURITY_PROTOCOL="SASL_SSL", **LOGIN)
    assert str(found.kafka) == SERVERS
    assert f"{found.kafka}" == SERVERS
    assert SECRET not in repr(found) + repr(found.kafka) + repr(Access(password=SECRET, key_password=SECRET))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SASL_USERNAME": "parley"}, "PLAINTEXT, with which KAFKA_SASL_USERNAME would go unused: set it to SASL_SSL"),
        ({"KAFKA_SSL_CA_FILE": "/ca.crt"}, "with which KAFKA_SSL_CA_FILE would go unused: set it to SSL or SASL_SSL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", **LOGIN}, "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD would go unused"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_FILE": "/ca.crt", **LOGIN}, "KAFKA_SSL_CA_FILE would go unused"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "set KAFKA_SASL_MECHANISM to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN"}, "set KAFKA_SASL_USERNAME, and one of"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **LOGIN, "KAFKA_SASL_PASSWORD_FILE": "/p"}, "one of KAFKA_SASL_PASSWORD and"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **LOGIN, "KAFKA_SASL_MECHANISM": "MD5"}, "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTIFICATE_FILE": "/c"}, "KAFKA_SSL_KEY_FILE together"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": "/nowhere"}, "KAFKA_SSL_CA_FILE: /nowhere cannot be used (No such file"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CERTIFICATE_FILE": "/no", "KAFKA_SSL_KEY_FILE": "/where"},
            "/no and /where cannot be used (No such file or directory): both are PEM",
        ),
    ],
)
def test_a_wrong_combination_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str) -> None:
    """With the names of the variables, and never with their secrets."""
    with pytest.raises(ConfigurationError) as caught:
        settings(monkeypatch, **environment)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read (FileNotFoundError)"), (b"\n", "is empty"), (b"\xff\xfe", "cannot be read (Unicode")]
)
def test_a_password_file_that_holds_none_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
    """An empty mount is a mistake, not an empty password."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    access: dict[str, Any] = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": "parley", "password_file": file}
    with pytest.raises(ConfigurationError, match="KAFKA_SASL_PASSWORD_FILE") as caught:
        open_way(SERVERS, Access(**access))
    assert words in str(caught.value)


@pytest.mark.parametrize("file", ["ca_file", "certificate_file"])
def test_a_file_that_is_no_certificate_is_told(tmp_path: Path, file: str) -> None:
    """The reason is OpenSSL's; the key of a certificate that needs a password is never asked for at the terminal."""
    path = tmp_path / "file"
    path.write_text("no certificate", "ascii")
    access: dict[str, Any] = {"protocol": "SSL", file: path}
    if file == "certificate_file":
        access["key_file"] = path
    with pytest.raises(ConfigurationError, match=r"cannot be used \(.+\)"):
        open_way(SERVERS, Access(**access))


def test_tls_checks_the_brokers_name_and_takes_nothing_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no setting that turns it off."""
    tls = settings(monkeypatch, KAFKA_SECURITY_PROTOCOL="SSL").kafka.tls
    assert tls is not None
    assert tls.check_hostname
    assert tls.verify_mode.name == "CERT_REQUIRED"
    assert tls.minimum_version.name == "TLSv1_2"
