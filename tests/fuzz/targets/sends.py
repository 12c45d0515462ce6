"""The outbound worker on bad sends and bad answers: each send has one outcome, and its neighbour's message goes out."""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from services.outbound.app import Outbound
from services.outbound.sender import AnswerLostError, HttpAnswer, RequestNotSentError
from services.outbound.settings import OutboundSettings
from shared.channels.contract import Channel, Channels, HttpRequest, Refused
from shared.clock import ManualClock
from shared.engine.records import Publication, Record
from shared.engine.worker_local import LocalWorker
from shared.engine.worker_sleeper import ManualSleeper
from shared.errors import InvalidEventError
from shared.events.deliveries import SendAccepted, SendRefused, SendUnknown
from shared.events.envelope import EventData, format_time
from shared.events.rejected import DeadLetter
from shared.events.sends import SendRequested
from shared.metrics import Metrics
from shared.store.memory import MemoryStore
from shared.topics import SENDS, Topic
from tests.fuzz.answers import any_answer, good_answer
from tests.fuzz.canaries import PHONE_DIGITS
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.records import NOW, PARTITIONS, RecordMaker, packed_record, unpacked
from tests.fuzz.targets.answers import packed as packed_answer
from tests.fuzz.targets.answers import unpacked as unpacked_answer

DRAW_INPUTS = 5_000
ANSWERS_MAX = 10
DAYS_MAX = 2
"""A send waits for hours at most; where the worker still waits then, it waits for ever."""
BESIDE = "send-beside"


@dataclass(slots=True)
class Log:
    """The records of a case, and what was published."""

    records: Sequence[Record]
    partitions: int = PARTITIONS
    publications: list[Publication] = field(default_factory=list)

    def read(self, topic: Topic, partition: int, offset: int, limit: int) -> list[Record]:
        """Return the records of a partition from `offset` on."""
        return [one for one in self.records if one.topic == topic and one.partition == partition and one.offset >= offset][:limit]

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Keep `publications`."""
        self.publications += publications


@dataclass(slots=True)
class Vendor:
    """Answers as the case says; the send beside is always answered well."""

    channel: Channel
    answers: list[dict[str, Any]]
    good: tuple[int, dict[str, str], bytes]
    requests: Counter[bool] = field(default_factory=Counter)
    open_ended: set[bytes] = field(default_factory=set)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Answer, or lose the answer."""
        beside = BESIDE.encode() in request.body
        self.requests[beside] += 1
        if beside or not self.answers:
            return HttpAnswer(*self.good)
        if request.body in self.open_ended:
            raise BrokenPromiseError("twice", "a request was made again that may have been taken")
        answer = self.answers.pop(0)
        if answer["status"] < 0:
            raise RequestNotSentError("no connection")
        meaning = self.channel.interpret(*unpacked_answer(answer))
        if answer["status"] == 0 or (isinstance(meaning, Refused) and meaning.maybe_sent):
            self.open_ended.add(request.body)
        if answer["status"] == 0:
            raise AnswerLostError("the answer was lost")
        return HttpAnswer(*unpacked_answer(answer))


class Sends:
    """The sends of one channel."""

    share = 0.05

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._maker = RecordMaker((SENDS,))
        self._good = good_answer(channel)
        self._metrics = Metrics()

    @property
    def name(self) -> str:
        """Return `sends:<channel>`."""
        return f"sends:{self._channel.name}"

    def make(self, seed: int, number: int) -> Case:
        """Return sends and the answers to them; the last send is a good one on another thread and account."""
        chance = chance_of(self.name, seed, number)
        history, bad = self._maker.history(chance, seed + number // DRAW_INPUTS)
        key = base64.b64decode(history[bad]["key"] or b"").decode("utf-8", "replace") or "a:b:c"
        for place in range(len(history) - 1):
            if place != bad or chance.randrange(2):
                history[place] = self._send(key, f"s{place}", chance.choice(("1", "2")))
        history[-1] = self._send(f"{self._channel.name}:beside:{PHONE_DIGITS}9", BESIDE, "beside")
        answers = [packed_answer(any_answer(chance)) for _ in range(chance.randrange(ANSWERS_MAX))]
        body = orjson.dumps({"records": history, "answers": answers})
        return Case(self.name, "sends", body, {"bad": bad}, seed, number)

    def _send(self, thread: str, send_id: str, account: str) -> dict[str, Any]:
        """Return a good send."""
        data = {
            "send_id": send_id,
            "reply_id": "r",
            "channel": self._channel.name,
            "account": account,
            "to": {"id": f"{PHONE_DIGITS}9", "phone": f"+{PHONE_DIGITS}9"},
            "permission": "free_form",
            "content": {"kind": "text", "text": "cnry-words beside"},
            "lane": "answer",
        }
        event = {
            "specversion": "1.0", "id": send_id, "source": "parley/sla/sla", "type": SendRequested.event_type(), "subject": thread,
            "time": format_time(NOW), "datacontenttype": "application/json", "data": data,
        }  # fmt: skip
        return packed_record(SENDS, thread.encode(), orjson.dumps(event))

    async def carry_out(self, case: Case) -> Ending:
        """Let the worker take the sends until nothing waits any more."""
        document = json.loads(case.body)
        records = unpacked(document["records"])
        log, vendor, clock = Log(records), Vendor(self._channel, document["answers"], self._good), ManualClock(NOW)
        sleeper = ManualSleeper(clock)
        outbound = Outbound(
            channels=Channels({self._channel.name: self._channel}),
            store=MemoryStore(),
            publisher=log,
            transport=vendor,
            clock=clock,
            sleeper=sleeper,
            settings=OutboundSettings(ledger_linger_seconds=0),
            metrics=self._metrics,
            instance="fuzz",
            version="fuzz",
            partitions=PARTITIONS,
        )
        await outbound.open()
        worker = LocalWorker(outbound, (SENDS,), log, clock=clock, sleeper=sleeper)
        try:
            await _until_rest(worker, clock)
        finally:
            await worker.close()
            await outbound.close()
        return _judged(records, int(case.parts["bad"]), log.publications, vendor)


async def _until_rest(worker: LocalWorker, clock: ManualClock) -> None:
    """Let the worker work, and time pass, until nobody waits."""
    end = clock.now() + timedelta(days=DAYS_MAX)
    await worker.turn()
    while (moment := worker.next_moment(clock.now())) is not None:
        if moment > end:
            raise BrokenPromiseError("hang", f"a send still waits after {DAYS_MAX} days")
        clock.move_to(moment)
        await worker.turn()


def _judged(records: Sequence[Record], bad: int, publications: Sequence[Publication], vendor: Vendor) -> Ending:
    """Return how the bad send ended. Raises BrokenPromiseError."""
    told: dict[str, list[EventData]] = defaultdict(list)
    letters: set[tuple[int, int]] = set()
    for data in map(_read, publications):
        if isinstance(data, DeadLetter):
            letters.add((data.partition, data.offset))
        elif isinstance(data, SendAccepted | SendRefused | SendUnknown):
            told[data.send_id].append(data)
    if [type(data) for data in told[BESIDE]] != [SendAccepted] or vendor.requests[True] != 1:
        raise BrokenPromiseError("neighbour", f"the send beside is told as {told[BESIDE]} after {vendor.requests[True]} requests")
    unknown = sum(isinstance(data, SendUnknown) for outcomes in told.values() for data in outcomes)
    if unknown < len(vendor.open_ended):
        raise BrokenPromiseError("unknown", "an answer left open whether the message was taken, and its send is not told as unknown")
    for number, record in enumerate(records):
        send = _send_in(record)
        if send is not None and not told[send.send_id]:
            raise BrokenPromiseError("vanished", f"send {number} has no outcome")
    if (records[bad].partition, records[bad].offset) in letters:
        return Ending.QUARANTINED
    return Ending.EVENTS if _send_in(records[bad]) is not None else Ending.IGNORED


def _read(publication: Publication) -> EventData:
    """Return what was published, as its consumers read it. Raises BrokenPromiseError."""
    try:
        data: EventData = publication.topic.decode(publication.value).data
    except InvalidEventError as error:
        raise BrokenPromiseError("record", f"a record on {publication.topic.name} that nobody can read: {error}") from None
    if isinstance(data, DeadLetter) and data.reason != "invalid":
        raise BrokenPromiseError("crash", f"a valid send made outbound raise: {data.error}")
    return data


def _send_in(record: Record) -> SendRequested | None:
    """Return the send in a record, where there is a valid one."""
    try:
        data = record.topic.decode(record.value or b"").data
    except InvalidEventError:
        return None
    return data if isinstance(data, SendRequested) else None
