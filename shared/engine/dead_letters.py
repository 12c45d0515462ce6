"""Dead letters: a record that could not be taken, kept with all that is needed to understand and to replay it."""

from __future__ import annotations

import base64
from collections import deque
from datetime import datetime, timedelta

from shared.engine.records import Publication, Record
from shared.events.envelope import new_event
from shared.events.rejected import DeadLetter
from shared.ids import dead_letter_id
from shared.topics import RECORD_BYTES_MAX, dead_letters_of

VALUE_BYTES_MAX = RECORD_BYTES_MAX // 2
"""A larger value is cut in the dead letter: base64 and the envelope must fit into a record. The original is at its offset."""
KEY_BYTES_MAX = 16 * 1024
"""A larger key is cut likewise: no key of ours is longer than an id."""


def dead_letter(record: Record, *, reducer: str, reason: str, error: str, version: str, now: datetime) -> Publication:
    """Return the dead letter of `record` for the reducer's topic, under the record's own key.

    Its id follows from where the record stands, so a replayed batch writes the same letter again, not another one.
    """
    topic = dead_letters_of(reducer)
    letter_id = dead_letter_id(reducer, record.topic.name, record.partition, record.offset)
    key = record.key.decode("utf-8", "replace") if record.key else "without-key"
    letter = DeadLetter.model_validate(
        {
            "topic": record.topic.name,
            "partition": record.partition,
            "offset": record.offset,
            "key": None if record.key is None else base64.b64encode(record.key[:KEY_BYTES_MAX]).decode(),
            "value": None if record.value is None else base64.b64encode(record.value[:VALUE_BYTES_MAX]).decode(),
            "reason": reason,
            "error": error,
            "attempts": 1,
            "version": version,
            "first_failed_at": now,
        }
    )
    event = new_event(letter, event_id=letter_id, source=f"parley/{reducer}", subject=key[:512], time=now)
    return Publication(topic, key[:512], event.to_json())


class DeadLetterLimit:
    """Counts dead letters in a sliding minute, so that a bad deployment stops instead of draining a topic into them."""

    WINDOW = timedelta(minutes=1)

    def __init__(self, per_minute_max: int) -> None:
        self.per_minute_max = per_minute_max
        self._written: deque[tuple[datetime, int]] = deque()
        self._sum = 0

    def would_exceed(self, count: int, now: datetime) -> bool:
        """Return whether `count` more at `now` are too many; a try that is repeated because something else failed counts nothing."""
        self._forget(now)
        return bool(count) and self._sum + count > self.per_minute_max

    def written(self, count: int, now: datetime) -> None:
        """Take note of `count` dead letters that are acknowledged."""
        if count:
            self._written.append((now, count))
            self._sum += count

    def exceeded_by(self, count: int, now: datetime) -> bool:
        """Take note of `count` dead letters at `now`; return whether the last minute holds more than the limit."""
        self.written(count, now)
        self._forget(now)
        return self._sum > self.per_minute_max

    def _forget(self, now: datetime) -> None:
        while self._written and now - self._written[0][0] > self.WINDOW:
            self._sum -= self._written.popleft()[1]
