"""Listeners of an embedded Kafka that ask who is there: TLS, client certificates, passwords, rights.

The open listener stays beside them (the stack's own clients use it); it counts as a user who may do everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One guarded listener of every node, by a name of small letters.

    `identity`: a PEM file with the broker's key and certificate (for SSL and SASL_SSL). `clients`: a PEM file with the certificates of
    those who may come; given, a client must show one. `users`: passwords by name, for both PLAIN and SCRAM. `mighty`: who may do everything
    (a user's name, or `CN=…` of a certificate); where some are named, everybody else is let in and may do nothing.
    """

    name: str
    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    identity: Path | None = None
    clients: Path | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    mighty: tuple[str, ...] = ()

    @property
    def listener(self) -> str:
        """Return what the broker calls it."""
        return f"GUARD_{self.name.upper()}"

    def settings(self) -> dict[str, str]:
        """Return what the broker must know about this listener."""
        settings: dict[str, str] = {}
        if self.identity is not None:
            settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(self.identity)}
        if self.clients is not None:
            settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.clients), "ssl.client.auth": "required"}
        if self.users:
            passwords = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
            settings["sasl.enabled.mechanisms"] = ",".join(("PLAIN", *SCRAM))
            settings["plain.sasl.jaas.config"] = f"{_LOGIN}.plain.PlainLoginModule required {passwords};"
            settings |= {f"{name.lower()}.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;" for name in SCRAM}
        return {f"listener.name.{self.listener.lower()}.{name}": value for name, value in settings.items()}


def rights_settings(guards: Iterable[Guard]) -> dict[str, str]:
    """Return the settings of who may do what, where a guard names the mighty; the open listener's clients are among them."""
    mighty = [name for guard in guards for name in guard.mighty]
    if not mighty:
        return {}
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{name}" for name in ("ANONYMOUS", *mighty)),
    }


def format_arguments(guards: Iterable[Guard]) -> list[str]:
    """Return what the formatter of the storage must know: SCRAM passwords live in the cluster's own metadata."""
    known = {(name, password) for guard in guards for name, password in guard.users.items()}
    return [
        argument
        for name, password in sorted(known)
        for mechanism in SCRAM
        for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]
