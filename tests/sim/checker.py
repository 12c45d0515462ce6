"""All checks of a run, fed by the world: every record, every save, every commit, every request, and the rest in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka import TopicPartition

from shared.clock import to_epoch_milliseconds
from shared.events.envelope import Event
from shared.store.memory import MemoryData
from shared.store.port import SaveResult, StoredDocument
from tests.sim.broker import Broker
from tests.sim.conversations import Conversations
from tests.sim.decisions import Decisions
from tests.sim.facts import Facts, Findings
from tests.sim.log import LogRecord
from tests.sim.outputs import Outputs
from tests.sim.picture import Picture
from tests.sim.sends import Sends
from tests.sim.vendor import Vendor

REST_SECONDS = 420.0
"""In a calm, what is older than this must be done: a session, a rebalance, and the skew of a clock are shorter together."""


class Checker:
    """The checks of one run; `seconds` tells its time."""

    def __init__(self, stores: dict[str, MemoryData], partitions: int, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._stores = stores
        self.findings = Findings()
        self.facts = Facts(partitions)
        self.picture = Picture()
        self.outputs = Outputs(self.findings)
        self.decisions = Decisions(self.facts, self.outputs, self.findings, seconds)
        self.conversations = Conversations(self.facts, self.picture, self.findings)
        self.sends = Sends(self.facts, self.findings, self._ledger_entry)

    def spoils(self, reducer: str, event: Event[Any]) -> bool:
        """Return whether a rule should raise: it should not."""
        del reducer, event
        return False

    def _ledger_entry(self, send_id: str) -> StoredDocument | None:
        table = self._stores["outbound"].tables.get("ledger")
        return None if table is None else table.documents.get(send_id)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def written(self, record: LogRecord, writer: str) -> dict[str, Any] | None:
        """Check a record; return its event where it is new."""
        del writer
        taken = self.facts.take(record)
        if taken is None:
            return None
        event, new = taken
        if event.get("seq") is not None:
            self.outputs.written(record.topic, (record.key or b"").decode(), event, record.value or b"", new=new)
        if not new:
            return None
        if record.topic == "conversations":
            self.conversations.written(event)
        self.sends.written(record.topic, event)
        return event

    def saved(self, collection: str, changes: Sequence[StoredDocument], result: SaveResult, process: str) -> None:
        """Check a save."""
        self.decisions.saved(collection, changes, result, process)

    def committed(self, group: str, before: int, offset: int, records: Sequence[LogRecord], place: TopicPartition) -> None:
        """Check a commit of one partition."""
        if group in self.decisions.reducers:
            self.decisions.committed(group, before, offset, records, place)

    # --- when it rests ------------------------------------------------------------------------------------------------

    def at_rest(self, now: datetime, broker: Broker) -> None:
        """Check that nothing is left behind that is older than everybody's recovery."""
        before = now - timedelta(seconds=REST_SECONDS)
        self._check_timers(before)
        for reducer, key in self.outputs.left(self._seconds() - REST_SECONDS):
            self.findings.report("outputs reach the topics", f"{reducer} of {key} has saved outputs that stand on no topic", key)
        self._check_lag(to_epoch_milliseconds(before), broker)

    def _check_timers(self, before: datetime) -> None:
        limit = to_epoch_milliseconds(before)
        for (reducer, key), memory in self.decisions.documents.items():
            if memory.due_at is not None and memory.due_at < limit and memory.parked is None:
                self.findings.report("no timer is forgotten", f"{reducer} of {key}: due {memory.due_at}, not fired by {limit}", key)

    def _check_lag(self, limit: int, broker: Broker) -> None:
        for name, group in broker.groups.items():
            topics = [topic.name for topic in self.decisions.reducers[name].inputs] if name in self.decisions.reducers else ["sends"]
            for place in (place for topic in topics for place in broker.log.places(topic)):
                offset = group.offsets.get(place, 0)
                left = broker.log.read_always(place, offset, offset + 1)
                if left and left[0].timestamp < limit:
                    self.findings.report("nothing stands still", f"{name} has committed {offset} on {place}, of {broker.log.end(place)}")

    def at_end(self, now: datetime, broker: Broker, vendor: Vendor) -> None:
        """Check the whole, after everything came to rest."""
        self.at_rest(now, broker)
        self.conversations.reconcile()
        self.sends.reconcile()
        del vendor
