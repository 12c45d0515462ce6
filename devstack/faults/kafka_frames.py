"""Kafka's requests as they pass: which kind each one is, so that a fault can meet one kind only.

A request is a 4-byte length and a header that begins with its API key (Kafka protocol guide, "Protocol Primitives" and "The
Messages", kafka.apache.org/43/protocol, read 2026-11).
"""

from __future__ import annotations

import struct

OFFSET_COMMIT, HEARTBEAT, JOIN_GROUP, SYNC_GROUP = 8, 12, 11, 14
FIND_COORDINATOR = 10
PRODUCE = 0
GROUP_REQUESTS = frozenset({OFFSET_COMMIT, HEARTBEAT, JOIN_GROUP, SYNC_GROUP})
"""What a consumer asks the coordinator of its group, and nobody else."""
_LENGTH_BYTES = 4
_KEY_BYTES = 2


class RequestKinds:
    """Follows one connection's requests; fed with its bytes in any pieces, it names the API key of each request that begins."""

    def __init__(self) -> None:
        self._head = b""
        self._body_left = 0

    def feed(self, data: bytes) -> list[int]:
        """Return the API keys of the requests whose heads are complete with `data`."""
        found: list[int] = []
        position = 0
        while position < len(data):
            if self._body_left:
                passed = min(self._body_left, len(data) - position)
                self._body_left -= passed
                position += passed
                continue
            wanted = _LENGTH_BYTES + _KEY_BYTES - len(self._head)
            self._head += data[position : position + wanted]
            position += wanted
            if len(self._head) == _LENGTH_BYTES + _KEY_BYTES:
                length, key = struct.unpack(">ih", self._head)
                self._head, self._body_left = b"", max(0, length - _KEY_BYTES)
                found.append(key)
        return found
