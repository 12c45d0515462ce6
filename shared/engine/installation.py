"""Whether the topics are still the ones that the stored offsets speak of.

A document remembers offsets of its inputs. On another cluster, or with another number of partitions, the same numbers mean other
records, and what is new would be taken for a replay; a topic that was deleted and made again begins at 0. So the cluster's id, the
topics' ids and the partition count are stored once; a service that finds others refuses to start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

import orjson
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.engine.connection import Servers, client_options
from shared.engine.refusals import refusal
from shared.engine.topic_identity import ClusterIdentity, identify
from shared.errors import BrokerUnavailableError, ParleyError
from shared.store.port import CollectionSpec, Store, StoredDocument
from shared.topics import Topic

INSTALLATION = CollectionSpec("installation")
DESCRIBE_TIMEOUT_SECONDS = 10.0
BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 5.0

logger = structlog.get_logger(__name__)


class InstallationChangedError(ParleyError):
    """The store belongs to other topics than the ones that are there."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Which log the offsets belong to: the cluster, the partition count of every topic, and each topic's id by its name."""

    cluster: str
    partitions: int
    topics: dict[str, str] = field(default_factory=dict)


async def describe(bootstrap_servers: Servers, topics: Iterable[str]) -> ClusterIdentity:
    """Return the cluster's id, and the id and partition count of each of `topics` that exists.

    Raises BrokerUnavailableError when Kafka does not answer within DESCRIBE_TIMEOUT_SECONDS.
    """
    admin = AIOKafkaAdminClient(**client_options(bootstrap_servers))
    try:
        async with asyncio.timeout(DESCRIBE_TIMEOUT_SECONDS):
            await admin.start()
            return await identify(admin, topics)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerUnavailableError(f"Kafka at {bootstrap_servers} {await refusal(bootstrap_servers, error)}") from None
    finally:
        await admin.close()


async def wait_for_topics(
    bootstrap_servers: Servers, topic_prefix: str, topics: Iterable[Topic], *, partitions: int, stop: asyncio.Event
) -> Installation | None:
    """Wait until Kafka answers and has `topics`; return what they are, or None when told to stop before.

    Raises InstallationChangedError where a topic has another partition count than configured.
    """
    names = [topic_prefix + topic.name for topic in topics]
    delay = BACKOFF_SECONDS
    while not stop.is_set():
        try:
            found = await describe(bootstrap_servers, names)
        except BrokerUnavailableError as error:
            logger.warning("broker.unreachable", detail=str(error), retry_in_seconds=delay)
        else:
            missing = sorted(set(names) - set(found.topics))
            wrong = {name: topic.partitions for name, topic in found.topics.items() if topic.partitions != partitions}
            if wrong:
                raise InstallationChangedError(
                    f"PARLEY_PARTITIONS is {partitions}, but {', '.join(f'{name} has {count}' for name, count in sorted(wrong.items()))}: "
                    "set it to what the topics have; they cannot change it without losing the order of threads"
                )
            if not missing:
                return Installation(found.cluster, partitions, {name: topic.topic_id for name, topic in found.topics.items()})
            if found.forbidden:
                to_do = "give the user the rights that deploy/k8s/users/users.yaml lists"
                logger.warning("topics.forbidden", topics=list(found.forbidden), to_do=to_do, retry_in_seconds=delay)
            else:
                logger.warning("topics.missing", topics=missing, to_do="run `parley topics create`", retry_in_seconds=delay)
        try:
            async with asyncio.timeout(delay):
                await stop.wait()
        except TimeoutError:
            delay = min(BACKOFF_SECONDS_MAX, delay * 2)
    return None


async def check_store(store: Store, reducer: str, found: Installation) -> None:
    """Remember which log the reducer's documents belong to, or raise InstallationChangedError where they belong to another."""
    collection = await store.open(INSTALLATION)
    stored = (await collection.load([reducer])).get(reducer)
    known = None if stored is None else Installation(**orjson.loads(stored.body))
    if known is not None:
        _compare(reducer, known, found)
        if known.topics.items() >= found.topics.items():
            return
        found = replace(found, topics={**known.topics, **found.topics})
    version = 0 if stored is None else stored.version
    result = await collection.save([StoredDocument(reducer, version, orjson.dumps(asdict(found)))])
    if not result.complete:
        await check_store(store, reducer, found)


def _compare(reducer: str, known: Installation, found: Installation) -> None:
    """Raise InstallationChangedError where the documents' offsets would mean other records than they did."""
    if (known.cluster, known.partitions) != (found.cluster, found.partitions):
        raise InstallationChangedError(
            f"the state of {reducer} belongs to cluster {known.cluster} with {known.partitions} partitions, "
            f"Kafka is cluster {found.cluster} with {found.partitions}: "
            "connect to that one, or start with an empty store (everything that the topics still hold is then decided again)"
        )
    remade = sorted(name for name, topic_id in found.topics.items() if known.topics.get(name, topic_id) != topic_id)
    if remade:
        raise InstallationChangedError(
            f"the state of {reducer} belongs to topics that were deleted; {', '.join(remade)} of that name is a new one: "
            "start with an empty store (everything that the topics still hold is then decided again)"
        )
