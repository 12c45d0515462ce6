"""A channel's reading of its servers' answers to a send: whatever comes back, it is accepted or refused, and can be told to others."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from services.outbound.core.outcome import SOURCE
from shared.channels.contract import Accepted, Channel, Refused
from shared.events.deliveries import SendAccepted, SendRefused
from shared.events.envelope import EventData, encode_event
from shared.topics import DELIVERIES, RECORD_BYTES_MAX
from tests.fuzz.answers import any_answer
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.records import NOW


def packed(answer: tuple[int, Mapping[str, str], bytes]) -> dict[str, Any]:
    """Return an answer as plain data, for a case's body."""
    status, headers, body = answer
    return {"status": status, "headers": dict(headers), "body": base64.b64encode(body).decode()}


def unpacked(document: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Return what `packed` was given."""
    return document["status"], document["headers"], base64.b64decode(document["body"])


class Answers:
    """The answers of one channel."""

    share = 0.3

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def name(self) -> str:
        """Return `answers:<channel>`."""
        return f"answers:{self._channel.name}"

    def make(self, seed: int, number: int) -> Case:
        """Return answer `number`."""
        answer = any_answer(chance_of(self.name, seed, number))
        return Case(self.name, "answer", orjson.dumps(packed(answer)), {}, seed, number)

    async def carry_out(self, case: Case) -> Ending:
        """Let the channel read the answer, and tell what it says as outbound tells it."""
        meaning = self._channel.interpret(*unpacked(json.loads(case.body)))
        if isinstance(meaning, Accepted):
            if not meaning.message_id:
                raise BrokenPromiseError("meaning", "a success without a name of the message: its statuses will find no send")
            _tell(SendAccepted(send_id="s1", message_id=meaning.message_id, at=NOW))
            return Ending.EVENTS
        if not isinstance(meaning, Refused):
            raise BrokenPromiseError("meaning", f"neither accepted nor refused: {type(meaning).__name__}")
        wait = meaning.retry_after_seconds
        if wait is not None and not (math.isfinite(wait) and wait > 0):
            raise BrokenPromiseError("meaning", f"to be tried again after {wait} seconds")
        _tell(SendRefused(send_id="s1", failure=meaning.failure, at=NOW, final=True))
        return Ending.REFUSED


def _tell(data: EventData) -> None:
    """Write an outcome and read it as its consumers do."""
    value = encode_event(data, event_id="outbound/s1/x", source=SOURCE, subject="a:b:c", time=NOW)
    if len(value) > RECORD_BYTES_MAX:
        raise BrokenPromiseError("record", f"an outcome of {len(value)} bytes: no broker takes it")
    DELIVERIES.decode(value)
