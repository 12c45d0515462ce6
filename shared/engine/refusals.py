"""Why Kafka turned a client away. A client of aiokafka says only that it could not connect; here it is asked once more, for the reason."""

from __future__ import annotations

import asyncio
import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from shared.engine.connection import KafkaConnection, Servers, way_in

REFUSAL_TIMEOUT_SECONDS = 10.0
"""How long asking for the reason may take."""


async def refusal(servers: Servers, error: BaseException) -> str:
    """Return why a client of `servers` that ended with `error` was turned away: the end of a sentence that begins with "Kafka at …"."""
    unanswered = f"does not answer ({type(error).__name__})"
    if not isinstance(error, KafkaConnectionError):
        return unanswered
    connection = KafkaConnection(servers) if isinstance(servers, str) else servers
    host, _, port = connection.bootstrap_servers.split(",")[0].strip().rpartition(":")
    try:
        async with asyncio.timeout(REFUSAL_TIMEOUT_SECONDS):
            made = await create_conn(host.strip("[]"), int(port), **way_in(connection))
            try:
                await made.send(MetadataRequest([]))  # a broker that wants a password answers until the first request proper
            finally:
                made.close()
    except (KafkaError, OSError, TimeoutError, ValueError) as cause:
        return _words(connection, cause) or unanswered
    return unanswered


def _words(connection: KafkaConnection, cause: BaseException) -> str | None:
    """Return what `cause` means for whoever configured the connection; None: nothing more is known."""
    match cause:
        case SaslAuthenticationFailed():
            return f"refuses the user {connection.username!r} or the password: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD(_FILE)"
        case UnsupportedSaslMechanismError():
            return f"does not take the mechanism {connection.mechanism}: check KAFKA_SASL_MECHANISM"
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that is not trusted ({cause.verify_message.rstrip('.')}): check KAFKA_SSL_CA_FILE and the address"
        case ssl.SSLError():
            return (
                f"does not agree on TLS ({cause.reason or 'handshake failed'}): "
                "check KAFKA_SECURITY_PROTOCOL, and whether it asks for a certificate (KAFKA_SSL_CERTIFICATE_FILE)"
            )
        case ConnectionResetError() | KafkaConnectionError():
            return (
                f"takes the connection but not what {connection.protocol} says: check KAFKA_SECURITY_PROTOCOL, "
                "and whether it asks for a certificate (KAFKA_SSL_CERTIFICATE_FILE)"
            )
        case _:
            return None
