"""A connection that the other side has just cut, seen by aiokafka on uvloop.

asyncio's transports take a write after their end in silence, and aiokafka hears of the end a moment later. uvloop's raise
RuntimeError, which aiokafka expects nowhere: its background tasks die of it, and so would a service (seen with uvloop 0.22 and
aiokafka 0.14, when a broker's connections are reset under load).
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_MARK = "minds_closed_transports"


def mind_closed_connections() -> None:
    """Let every connection of aiokafka in this process tell of its end by the error that its callers expect; a second call does nothing."""
    original = AIOKafkaConnection.send
    if hasattr(original, _MARK):
        return

    @wraps(original)
    def send(self: Any, *arguments: Any, **options: Any) -> Any:
        writer = self._writer
        if writer is not None and writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self._host}:{self._port} was closed by the other side")
        return original(self, *arguments, **options)

    setattr(send, _MARK, True)
    AIOKafkaConnection.send = send
