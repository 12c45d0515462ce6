"""All checks of a run, fed by the world: every record, every save, every commit, every request, and the rest in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka import TopicPartition

from shared.clock import to_epoch_milliseconds
from shared.events.envelope import Event
from shared.ids import dead_letter_id
from shared.store.memory import MemoryData
from shared.store.port import SaveResult, StoredDocument
from tests.sim.broker import Broker
from tests.sim.conversations import Conversations
from tests.sim.decisions import Decisions
from tests.sim.dispatching import Dispatching
from tests.sim.facts import Facts, Findings
from tests.sim.fold import check_states
from tests.sim.log import LogRecord
from tests.sim.outputs import Outputs
from tests.sim.picture import Picture
from tests.sim.sends import Sends
from tests.sim.vendor import Delivery, Request, Vendor

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
        self.dispatching = Dispatching(self.findings)
        self.conversations = Conversations(self.facts, self.picture, self.findings)
        self.sends = Sends(self.facts, self.findings, self._ledger_entry)

    def spoils(self, reducer: str, event: Event[Any]) -> bool:
        """Return whether a rule should raise: it should not."""
        del reducer, event
        return False

    def made_request(self, request: Request) -> None:
        """Check a request that reached the vendor."""
        asked = self.sends.requested.get(request.send_id)
        told = request.message_id or f"refused {request.code}"
        self.facts.lines.append((self._seconds(), f"{request.process} requested {request.send_id}: {told}", asked and asked[0]))
        self.sends.made_request(request)

    def story(self) -> list[tuple[float, str]]:
        """Return what happened to the thread of the first violation, or all of the end where it names none."""
        violation = self.findings.first
        key = None if violation is None else violation.key
        return [(seconds, line) for seconds, line, about in self.facts.lines if key is None or about == key]

    def _ledger_entry(self, send_id: str) -> StoredDocument | None:
        table = self._stores["outbound"].tables.get("ledger")
        return None if table is None else table.documents.get(send_id)

    # --- while it runs ----------------------------------------------------------------------------------------------

    def written(self, record: LogRecord, writer: str) -> dict[str, Any] | None:
        """Check a record; return its event where it is new."""
        taken = self.facts.take(record)
        key = (record.key or b"").decode("utf-8", "replace")
        place = f"{record.topic}/{record.partition}/{record.offset} by {writer}"
        if taken is None:
            self.facts.lines.append((self._seconds(), f"{place}: a record that is no event of its topic", key))
            return None
        event, new = taken
        self.facts.lines.append((self._seconds(), f"{place}: {event['type']} {event['id']}{'' if new else ' (again)'}", key))
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
        for change in changes:
            refused = "refused" if change.key in result.stale | result.duplicate else "saved"
            self.facts.lines.append((self._seconds(), f"{process} {refused} {collection} at version {change.version}", change.key))
        for progress in self.decisions.saved(collection, changes, result, process):
            if collection == "dispatch":
                self.dispatching.saved(progress)

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
        self._reconcile_webhooks(vendor)
        self._reconcile_poison()
        check_states(self.facts, self.decisions, self.findings)

    def _reconcile_webhooks(self, vendor: Vendor) -> None:
        """Check that what was answered 200 stands on a topic, once per item, and nothing else does."""
        sent = {name for delivery in vendor.deliveries for name in _items_of(delivery)}
        told = {name for delivery in vendor.deliveries if delivery.answered for name in _items_of(delivery)}
        stored = {
            event["id"].split("/", 2)[2]
            for topic in ("inbound", "deliveries")
            for event in self.facts.events[topic]
            if event["source"] == "parley/ingest"
        }
        if told - stored:
            self.findings.report("a webhook answered 200 is stored", f"{len(told - stored)} items are on no topic: {min(told - stored)}")
        if stored - sent:
            self.findings.report("events come from webhooks", f"{len(stored - sent)} were never sent: {min(stored - sent)}")

    def _reconcile_poison(self) -> None:
        """Check that every record that nobody can read is a dead letter of each of its readers."""
        for record in self.facts.poisoned_records:
            if self.facts.poison[record.value] == "tomorrow":
                continue
            readers = [name for name, reducer in self.decisions.reducers.items() if record.topic in {one.name for one in reducer.inputs}]
            for name in readers:
                letter = dead_letter_id(name, record.topic, record.partition, record.offset)
                if letter not in self.facts.letters[name]:
                    detail = f"{record.topic}/{record.partition}/{record.offset} is no dead letter of {name}"
                    self.findings.report("poison is put aside", detail)


def _items_of(delivery: Delivery) -> list[str]:
    """Return the kind and the native id of a webhook's items, as the ids of their events end."""
    messages = [f"message/{item['id']}" for item in delivery.value.get("messages", ())]
    return messages + [f"status.{item['status']}/{item['id']}" for item in delivery.value.get("statuses", ())]
