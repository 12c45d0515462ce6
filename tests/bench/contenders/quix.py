"""The same job on Quix Streams: one message at a time, state in RocksDB with a changelog topic, offsets committed with a checkpoint.

It runs on an interpreter of its own (see `quix_environment`), so that its dependencies are none of the project's. Its durability is
another: at least once, state is written with the checkpoint (every 5 s, its default) and lives in the changelog topic, so outputs leave
before the state behind them is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.router.app import build_reducers
from shared.clock import SystemClock
from shared.contact_centre.loader import load_contact_centre
from shared.engine.document import Document, DocumentCodec
from shared.engine.records import Record
from shared.engine.step import Engine
from shared.store.port import StoredDocument
from shared.topics import CONVERSATIONS, INBOUND
from tests.bench.contenders.contest import Contest, Stopwatch
from tests.bench.world import CONFIG

STATE = "document"


async def run(contest: Contest) -> None:
    """Work the backlog off; measured from the end of the first message to the last checkpoint."""
    # Only the interpreter of the Quix environment has it.
    from quixstreams import Application, message_context  # type: ignore[import-not-found] # noqa: PLC0415 - see above

    reliable = {"acks": "all", "enable.idempotence": True}
    application = Application(
        broker_address=contest.bootstrap,
        consumer_group="quix",
        auto_offset_reset="earliest",
        state_dir=contest.path / "quix",
        producer_extra_config=reliable,
        loglevel="WARNING",
    )
    source = application.topic(contest.prefix + INBOUND.name, key_deserializer="str", value_deserializer="bytes")
    target = application.topic(contest.prefix + CONVERSATIONS.name, key_serializer="str", value_serializer="bytes")
    handler = Handler(contest, message_context, application.stop)
    dataframe = application.dataframe(source)
    dataframe = dataframe.apply(handler, stateful=True, expand=True, metadata=True)
    dataframe.to_topic(target)
    application.run()
    assert handler.watch is not None  # it ran until all were handled
    handler.watch.tell(handler.handled - 1)


class Handler:
    """Decides about one message: state in, state out, outputs as a list."""

    def __init__(self, contest: Contest, context: Callable[[], Any], stop: Callable[[], None]) -> None:
        reducer = build_reducers(load_contact_centre(CONFIG))[0]
        self._engine: Engine[Any] = Engine(reducer, partitions=contest.partitions, version="bench")
        self._codec: DocumentCodec[Any] = DocumentCodec(reducer.state)
        self._clock = SystemClock()
        self._context = context
        self._stop = stop
        self._events = contest.events
        self.handled = 0
        self.watch: Stopwatch | None = None

    def __call__(self, value: bytes, key: str, _timestamp: int, _headers: Any, state: Any) -> list[bytes]:
        """Return the outputs of a message; at the last one, ask for the end."""
        where = self._context()
        documents: dict[str, Document[Any]] = {}
        if (body := state.get_bytes(STATE)) is not None:
            documents[key] = self._codec.from_stored(StoredDocument(key, 1, body, {"shard": where.partition}))
            documents[key].outbox.clear()
        record = Record(INBOUND, where.partition, where.offset, key.encode(), value)
        plan = self._engine.step(where.partition, [record], documents, self._clock.now())
        for document in plan.saves:
            state.set_bytes(STATE, self._codec.to_stored(document).body)
        self.handled += 1
        if self.watch is None:
            self.watch = Stopwatch()
        if self.handled == self._events:
            self._stop()
        assert all(one.topic is CONVERSATIONS and one.key == key for one in plan.publishes)  # else there were more topics
        return [one.value for one in plan.publishes]
