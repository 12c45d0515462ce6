"""Asking Kafka which topics these are: their ids, beside the cluster's id and the partition counts.

A topic that was deleted and made again has the same name and offsets that begin at 0: what is new there would be taken for a replay.
Only the id tells the two apart, and aiokafka's own metadata request (version 5) does not know ids, so the request is version 12 here,
built from aiokafka's protocol types (Kafka protocol guide, Metadata API; every broker since 3.1 answers it).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

UUID_BYTES = 16
_METADATA = 3
_VERSION = 12


class _Uuid:
    """Kafka's UUID: 16 bytes; all zero where a topic is asked for by its name."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        """Return the bytes of `value`."""
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        """Return the next id in `data`."""
        return uuid.UUID(bytes=data.read(UUID_BYTES))


def _array(*fields: Any) -> Array:
    """Return a compact array of a structure that ends in tagged fields."""
    return CompactArray(*fields, ("tags", TaggedFields))


_TEXT = CompactString("utf-8")
_BROKERS = _array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))
_PARTITIONS = _array(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
)
_TOPICS = _array(
    ("error_code", Int16),
    ("topic", _TEXT),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", _PARTITIONS),
    ("authorized_operations", Int32),
)


class _MetadataResponse(Response):  # type: ignore[misc] # aiokafka carries no types
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _BROKERS),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", _TOPICS),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc] # likewise
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = _VERSION
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", _array(("topic_id", _Uuid), ("name", _TEXT))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc] # likewise
    API_KEY = _METADATA

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        """Return the request: these topics by name, none of them to be made."""
        nameless = uuid.UUID(int=0)
        return request_struct_class([(nameless, name, {}) for name in self._topics], False, False, {})


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """One topic as it exists now."""

    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """The cluster's id, those of the asked topics that exist, and the names of those that this user may not even look at."""

    cluster: str
    topics: dict[str, TopicIdentity]
    forbidden: tuple[str, ...] = ()


async def identify(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> ClusterIdentity:
    """Return what `topics` are on the cluster of a started admin client; raises aiokafka's errors."""
    response = await admin._send_request(_MetadataRequest(list(topics)))  # noqa: SLF001 # aiokafka has no public way to send a request of ours
    found = {
        name: TopicIdentity(str(topic_id), len(partitions))
        for error_code, name, topic_id, _internal, partitions, _operations, _tags in response.topics
        if error_code == 0
    }
    forbidden = tuple(sorted(topic[1] for topic in response.topics if topic[0] == TopicAuthorizationFailedError.errno))
    return ClusterIdentity(str(response.cluster_id), found, forbidden)
