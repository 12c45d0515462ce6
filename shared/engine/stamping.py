"""Outputs of a rule as records: numbered on from what the document has emitted, each in its envelope, none larger than can be written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.engine.document import Document, Emitted
from shared.engine.reducer import Output, Reducer
from shared.events.envelope import Event, encode_event
from shared.ids import output_id
from shared.topics import RECORD_BYTES_MAX

OUTBOX_BYTES_MAX = 4 * 1024 * 1024
"""What one step may leave in a document's outbox; a decision with more is a bug of its rule. Far below what the store takes."""


class OutputTooLargeError(Exception):
    """A decision's output is larger than the broker takes: it must not become state."""


def stamped(
    outputs: Sequence[Output], reducer: Reducer[Any], document: Document[Any], event: Event[Any], now: datetime
) -> tuple[list[Emitted], dict[str, int]]:
    """Return what `event` made a rule say, as records, and the last seq per topic of those under the document's own key.

    Raises OutputTooLargeError.
    """
    entries: list[Emitted] = []
    emitted_to: dict[str, int] = {}
    for seq, output in enumerate(outputs, start=document.emitted + 1):
        own = output.key == document.key
        previous = None
        if own:
            previous = emitted_to.get(output.topic.name, document.emitted_to.get(output.topic.name, 0))
            emitted_to[output.topic.name] = seq
        value = encode_event(
            output.data,
            event_id=output_id(reducer.name, document.key, seq),
            source=reducer.source,
            subject=output.key,
            time=now,
            seq=seq,
            previousseq=previous,
            emitter=None if own else document.key,
            causationid=event.id,
            traceparent=event.traceparent,
        )
        if len(value) > RECORD_BYTES_MAX:
            raise OutputTooLargeError
        entries.append(Emitted(output.topic.name, output.key, value))
    if bytes_of(entries) > OUTBOX_BYTES_MAX:
        raise OutputTooLargeError
    return entries, emitted_to


def bytes_of(entries: Sequence[Emitted]) -> int:
    """Return the bytes of outputs."""
    return sum(len(entry.value) for entry in entries)
