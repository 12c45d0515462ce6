"""deploy/k8s/kafka and users: the topics and users of a cluster run by Strimzi, from the tables of topics and applications.

Strimzi's resources are of its API version v1 (Strimzi 1.0 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from shared.asyncapi import APPLICATIONS, GROUPS, Application
from shared.engine.topic_admin import RECORD_OVERHEAD_BYTES
from shared.settings import ServiceSettings
from shared.topics import PARTITIONS_PRODUCTION, RECORD_BYTES_MAX, all_topics, dead_letters_of

Json = dict[str, Any]

API_VERSION = "kafka.strimzi.io/v1"
CLUSTER = "parley"
REPLICAS = 3
IN_SYNC_MIN = 2
INTEGRATOR = "integrator"
SCALER = "scaler"
"""Who asks how far each group has come, and changes nothing: KEDA."""
INTEGRATOR_GROUPS = "integrator."
"""Integrators name their consumer groups `<prefix>integrator.<anything>`."""


def prefix() -> str:
    """Return what stands before every topic and group name."""
    return str(ServiceSettings.model_fields["topic_prefix"].default)


def topic_resources() -> list[Json]:
    """Return a KafkaTopic for every topic of an installation."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "KafkaTopic",
            "metadata": {"name": prefix() + topic.name, "labels": {"strimzi.io/cluster": CLUSTER}},
            "spec": {
                "partitions": PARTITIONS_PRODUCTION,
                "replicas": REPLICAS,
                "config": {
                    "cleanup.policy": "delete",
                    "retention.ms": topic.retention_milliseconds,
                    "min.insync.replicas": IN_SYNC_MIN,
                    "max.message.bytes": RECORD_BYTES_MAX + RECORD_OVERHEAD_BYTES,
                },
            },
        }
        for topic in all_topics(GROUPS)
    ]


def user_resources() -> list[Json]:
    """Return a KafkaUser per service, one for an integrator and one for the scaler, each with what it needs and nothing else."""
    users = [_user(service, list(_rights(list(applications)))) for service, applications in groupby(APPLICATIONS, attrgetter("service"))]
    return [*users, _user(SCALER, [_rule(kind, prefix(), "prefix", ["Describe"]) for kind in ("topic", "group")])]


def _user(name: str, rights: list[Json]) -> Json:
    """Return a user who comes with a certificate."""
    return {
        "apiVersion": API_VERSION,
        "kind": "KafkaUser",
        "metadata": {"name": f"{CLUSTER}-{name}", "labels": {"strimzi.io/cluster": CLUSTER}},
        "spec": {"authentication": {"type": "tls"}, "authorization": {"type": "simple", "acls": rights}},
    }


def _rights(applications: list[Application]) -> Iterator[Json]:
    """Yield the access rules of one service's applications, one per topic and group."""
    reads = {topic.name for application in applications for topic in application.receives}
    writes = {topic.name for application in applications for topic in application.sends}
    for application in applications:
        if application.group is not None:
            writes.add(dead_letters_of(application.group).name)
            # A record that another partitioner misplaced is written again where it belongs.
            writes.update(topic.name for topic in application.receives)
    for name in (topic.name for topic in all_topics(GROUPS)):
        operations = [*(["Read"] if name in reads else []), *(["Write"] if name in writes else [])]
        if operations:
            yield _rule("topic", prefix() + name, "literal", [*operations, "Describe"])
    for application in applications:
        if application.group is not None:
            yield _rule("group", prefix() + application.group, "literal", ["Read"])
        elif application.receives:
            yield _rule("group", prefix() + INTEGRATOR_GROUPS, "prefix", ["Read"])


def _rule(kind: str, name: str, pattern: str, operations: list[str]) -> Json:
    return {"resource": {"type": kind, "name": name, "patternType": pattern}, "operations": operations}
