"""How we come to Kafka: the one home of what every client is told about addresses, TLS and passwords.

What is configured (`Access`) is checked and its files are read once, at the start; what comes of it (`KafkaConnection`) stands wherever
a plain address may stand too, and `client_options` makes the client's arguments of either.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shared.engine.header_names import take_any_header_name
from shared.errors import ConfigurationError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How Kafka lets us in, as configured. `password` or `password_file` (its content, without the line's end), not both."""

    protocol: SecurityProtocol = "PLAINTEXT"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where Kafka is and how it lets us in, ready for clients. As text it is the addresses, and nothing else."""

    bootstrap_servers: str
    protocol: SecurityProtocol = "PLAINTEXT"
    tls: ssl.SSLContext | None = None
    mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the addresses, for messages."""
        return self.bootstrap_servers


Servers = str | KafkaConnection
"""A plain address (`host:port`, several with commas), or one with the way in."""


def reader_options(servers: Servers) -> dict[str, Any]:
    """Return the arguments of every consumer: nothing is acknowledged by itself, and nothing read that a transaction took back.

    Integrators may write in transactions; what they abort has never been said. The price: while a transaction is open, its
    partitions are read only up to its beginning, so the broker's `transaction.max.timeout.ms` bounds how long it can be open.

    The client learns here, at the latest, to read what others may write (shared/engine/header_names.py).
    """
    take_any_header_name()
    return {**client_options(servers), "enable_auto_commit": False, "isolation_level": "read_committed"}


def client_options(servers: Servers) -> dict[str, Any]:
    """Return the arguments that every client of aiokafka (consumer, producer, admin) is given to reach `servers`."""
    if isinstance(servers, str):
        return {"bootstrap_servers": servers}
    return {"bootstrap_servers": servers.bootstrap_servers, **way_in(servers)}


def way_in(connection: KafkaConnection) -> dict[str, Any]:
    """Return the arguments without the addresses, as a single connection of aiokafka takes them too."""
    options: dict[str, Any] = {"security_protocol": connection.protocol, "ssl_context": connection.tls}
    if connection.mechanism is not None:
        options["sasl_mechanism"] = connection.mechanism
        options["sasl_plain_username"] = connection.username
        options["sasl_plain_password"] = connection.password
    return options


def open_way(bootstrap_servers: str, access: Access) -> KafkaConnection:
    """Return the connection that `access` describes. Raises ConfigurationError, in one line that says what to do."""
    _check_combination(access)
    return KafkaConnection(
        bootstrap_servers,
        protocol=access.protocol,
        tls=_tls(access) if access.protocol.endswith("SSL") else None,
        mechanism=access.mechanism,
        username=access.username,
        password=access.password if access.password_file is None else _password_in(access.password_file),
    )


def _check_combination(access: Access) -> None:
    """Refuse what does not belong together."""
    for_tls: dict[str, object] = {"KAFKA_SSL_CA_FILE": access.ca_file, "KAFKA_SSL_CERTIFICATE_FILE": access.certificate_file}
    for_tls |= {"KAFKA_SSL_KEY_FILE": access.key_file, "KAFKA_SSL_KEY_PASSWORD": access.key_password}
    for_sasl: dict[str, object] = {"KAFKA_SASL_MECHANISM": access.mechanism, "KAFKA_SASL_USERNAME": access.username}
    for_sasl |= {"KAFKA_SASL_PASSWORD": access.password, "KAFKA_SASL_PASSWORD_FILE": access.password_file}
    sasl, tls = access.protocol.startswith("SASL"), access.protocol.endswith("SSL")
    for needed, given, remedy in ((tls, for_tls, "SSL or SASL_SSL"), (sasl, for_sasl, "SASL_SSL (or SASL_PLAINTEXT)")):
        unused = [name for name, value in given.items() if value is not None and not needed]
        if unused:
            raise ConfigurationError(
                f"KAFKA_SECURITY_PROTOCOL is {access.protocol}, with which {', '.join(unused)} would go unused: "
                f"set it to {remedy}, or unset the others"
            )
    if sasl and access.mechanism is None:
        raise ConfigurationError(
            f"KAFKA_SECURITY_PROTOCOL is {access.protocol}: set KAFKA_SASL_MECHANISM to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
        )
    if sasl and (not access.username or (access.password is None) == (access.password_file is None)):
        raise ConfigurationError(
            f"KAFKA_SECURITY_PROTOCOL is {access.protocol}: "
            "set KAFKA_SASL_USERNAME, and one of KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE"
        )
    if (access.certificate_file is None) != (access.key_file is None):
        raise ConfigurationError("set KAFKA_SSL_CERTIFICATE_FILE and KAFKA_SSL_KEY_FILE together: a certificate needs its key")


def _password_in(path: Path) -> str:
    """Return what stands in the file, without the end of its line."""
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"KAFKA_SASL_PASSWORD_FILE: {path} cannot be read ({type(error).__name__})") from None
    if not password:
        raise ConfigurationError(f"KAFKA_SASL_PASSWORD_FILE: {path} is empty")
    return password


def _tls(access: Access) -> ssl.SSLContext:
    """Return the TLS settings: the broker's certificate and name are checked, always; ours is shown where there is one."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"KAFKA_SSL_CA_FILE: {access.ca_file} cannot be used ({_reason(error)}): it holds the certificates (PEM) that sign the brokers'"
        ) from None
    if access.certificate_file is not None and access.key_file is not None:
        try:
            # A password in any case: without one, a key that needs it would ask at the terminal.
            context.load_cert_chain(access.certificate_file, access.key_file, password=access.key_password or "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"KAFKA_SSL_CERTIFICATE_FILE and KAFKA_SSL_KEY_FILE: {access.certificate_file} and {access.key_file} cannot be used "
                f"({_reason(error)}): both are PEM, they belong together, and an encrypted key needs KAFKA_SSL_KEY_PASSWORD"
            ) from None
    return context


def _reason(error: OSError) -> str:
    """Return a word or two about what is wrong with a file."""
    return (error.reason if isinstance(error, ssl.SSLError) else "") or error.strerror or type(error).__name__
