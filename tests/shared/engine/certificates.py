"""Keys and certificates for tests, made by the Java runtime that runs the broker: nothing else need be installed.

`keytool` is part of every runtime's base module, though not every runtime ships the command, so it is called as a class. It writes a
JKS file, whose format is simple enough to be read here; what comes out are the PEM files that Python and Kafka take.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
import textwrap
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from devstack.java import find_java

PASSWORD = "changeit"  # of a file that lives as long as a test
KEYTOOL_SECONDS_MAX = 60
_MAGIC, _PRIVATE_KEY, _SALT_BYTES, _CHECK_BYTES = 0xFEEDFEED, 1, 20, 20


@dataclass(frozen=True, slots=True)
class Identity:
    """A key with its self-signed certificate. `both` holds the two, as Kafka takes them."""

    key: Path
    certificate: Path
    both: Path


def make_identities(directory: Path, *names: str) -> dict[str, Identity]:
    """Return an identity per name, each for 127.0.0.1."""
    store = directory / "identities.jks"
    for name in names:
        _keytool(
            *("-genkeypair", "-alias", name, "-dname", f"CN={name}", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30"),
            *("-ext", "bc:c", "-ext", "ku=digitalSignature,keyCertSign", "-ext", "san=ip:127.0.0.1"),
            *("-keystore", str(store), "-storetype", "JKS", "-storepass", PASSWORD, "-keypass", PASSWORD),
        )
    return {name: _written(directory, name, key, certificate) for name, (key, certificate) in _entries(store.read_bytes()).items()}


def _keytool(*arguments: str) -> None:
    command = [str(find_java().executable), "-m", "java.base/sun.security.tools.keytool.Main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=KEYTOOL_SECONDS_MAX, check=False)  # noqa: S603 # built here
    assert done.returncode == 0, done.stdout + done.stderr


def _written(directory: Path, name: str, key: bytes, certificate: bytes) -> Identity:
    identity = Identity(directory / f"{name}.key", directory / f"{name}.crt", directory / f"{name}.pem")
    key_text, certificate_text = _pem("PRIVATE KEY", key), _pem("CERTIFICATE", certificate)
    for path, text in ((identity.key, key_text), (identity.certificate, certificate_text), (identity.both, key_text + certificate_text)):
        path.write_text(text, "ascii")
    return identity


def _pem(label: str, content: bytes) -> str:
    lines = textwrap.fill(base64.b64encode(content).decode(), 64)
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _entries(store: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Return (PKCS#8 key, certificate) by alias; the format is that of sun.security.provider.JavaKeyStore, version 2."""
    data = BytesIO(store)

    def number() -> int:
        (value,) = struct.unpack(">I", data.read(4))
        return int(value)

    def text() -> str:
        (length,) = struct.unpack(">H", data.read(2))
        return data.read(length).decode()

    magic, version, count = number(), number(), number()
    assert (magic, version) == (_MAGIC, 2)
    found: dict[str, tuple[bytes, bytes]] = {}
    for _ in range(count):
        kind, alias = number(), text()
        assert kind == _PRIVATE_KEY
        data.read(8)  # when it was made
        key = _opened(data.read(number()))
        chain_length = number()
        assert (chain_length, text()) == (1, "X.509")
        found[alias] = key, data.read(number())
    return found


def _opened(protected: bytes) -> bytes:
    """Return the key in an EncryptedPrivateKeyInfo of Sun's own scheme: a salt, the key under a SHA-1 key stream, a check sum."""
    # The last OCTET STRING holds salt, key and check sum; its length is what remains after the header and the algorithm.
    secret = PASSWORD.encode("utf-16-be")
    start = _octets_at(protected)
    salt, body = protected[start : start + _SALT_BYTES], protected[start + _SALT_BYTES : -_CHECK_BYTES]
    stream, digest = b"", salt
    while len(stream) < len(body):
        digest = hashlib.sha1(secret + digest, usedforsecurity=False).digest()
        stream += digest
    key = bytes(one ^ other for one, other in zip(body, stream, strict=False))
    assert hashlib.sha1(secret + key, usedforsecurity=False).digest() == protected[-_CHECK_BYTES:]
    return key


def _octets_at(encoded: bytes) -> int:
    """Return where the content of the OCTET STRING begins in SEQUENCE { SEQUENCE { algorithm }, OCTET STRING }."""
    inside = _content_at(encoded, 0)[0]
    algorithm, length = _content_at(encoded, inside)
    return _content_at(encoded, algorithm + length)[0]


def _content_at(encoded: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the DER element at `at` begins, and how long it is."""
    first = encoded[at + 1]
    if first < 0x80:
        return at + 2, first
    size = first & 0x7F
    return at + 2 + size, int.from_bytes(encoded[at + 2 : at + 2 + size], "big")
