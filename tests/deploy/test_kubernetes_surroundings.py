"""Kafka, network, scaling and monitoring in deploy/k8s, held to the topics, groups, ports and metrics of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from devstack.cluster import COMMON_SETTINGS
from shared.asyncapi import APPLICATIONS, GROUPS
from shared.metrics import Metrics
from shared.settings import ServiceSettings
from shared.topics import COMMANDS, CONVERSATIONS, PARTITIONS_PRODUCTION, SENDS, all_topics
from tests.deploy.manifests import KUBERNETES, ROOT, manifests, workloads

METRIC = re.compile(r"\bparley_[a-z_]+")
PREFIX = str(ServiceSettings.model_fields["topic_prefix"].default)
KUSTOMIZE_SECONDS_MAX = 60


def rights(user: str) -> dict[tuple[str, str], set[str]]:
    """What a user may do: (kind of resource, name) → operations."""
    (found,) = [one for one in manifests("KafkaUser") if one.name == user]
    rules = found.document["spec"]["authorization"]["acls"]
    return {(rule["resource"]["type"], rule["resource"]["name"]): set(rule["operations"]) for rule in rules}


def test_every_document_is_a_resource() -> None:
    """Each has a version, a kind and (kustomizations excepted) a name."""
    assert len(manifests()) > 50
    for one in manifests():
        assert one.document["apiVersion"], one
        assert one.kind == "Kustomization" or one.name, one


def test_kustomizations_name_every_file_once() -> None:
    """No manifest is left out, and none is named that is not there."""
    named = set()
    for one in manifests("Kustomization"):
        for resource in one.document["resources"]:
            path = (one.path.parent / resource).resolve()
            assert path.exists(), f"{one.path}: {resource}"
            named.add(path)
    written = {one.path.resolve() for one in manifests() if one.kind != "Kustomization"}
    assert written <= named


def test_namespace_is_restricted() -> None:
    """What breaks the pod security standard is refused by the cluster."""
    (namespace,) = [one for one in manifests("Namespace") if one.name == "parley"]
    assert namespace.document["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_an_open_transaction_is_bounded_alike_everywhere() -> None:
    """It holds up all readers of its partitions: for so long at most on Kubernetes, with Docker and on the embedded broker."""
    (kafka,) = manifests("Kafka")
    most = kafka.document["spec"]["kafka"]["config"]["transaction.max.timeout.ms"]
    assert most == COMMON_SETTINGS["transaction.max.timeout.ms"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert int(compose["services"]["kafka"]["environment"]["KAFKA_TRANSACTION_MAX_TIMEOUT_MS"]) == most


def test_every_topic_is_made_alike() -> None:
    """All topics of an installation, dead letters included, with one partition count, three copies and their retention."""
    topics = {one.name: one.document["spec"] for one in manifests("KafkaTopic")}
    expected = {PREFIX + topic.name: topic for topic in all_topics(GROUPS)}
    assert topics.keys() == expected.keys()
    for name, spec in topics.items():
        assert (spec["partitions"], spec["replicas"]) == (PARTITIONS_PRODUCTION, 3)
        assert spec["config"]["min.insync.replicas"] == 2
        assert spec["config"]["retention.ms"] == expected[name].retention_milliseconds


@pytest.mark.parametrize("application", [one for one in APPLICATIONS if one.group], ids=lambda one: one.name)
def test_services_have_the_rights_they_need(application: Any) -> None:
    """A reader reads its inputs in its group, writes its outputs and its dead letters, and may put back what was misplaced."""
    granted = rights(f"parley-{application.service}")
    assert granted["group", PREFIX + application.group] == {"Read"}
    for topic in application.receives:
        assert {"Read", "Write", "Describe"} <= granted["topic", PREFIX + topic.name]
    for topic in application.sends:
        assert {"Write", "Describe"} <= granted["topic", PREFIX + topic.name]
    assert "Write" in granted["topic", f"{PREFIX}dead.{application.group}"]


def test_rights_are_no_wider_than_needed() -> None:
    """Ingest reads nothing; an integrator may ask and read, but decide nothing; only sla and outbound touch what is sent."""
    assert all("Read" not in operations for operations in rights("parley-ingest").values())
    integrator = rights("parley-integrator")
    assert integrator["topic", PREFIX + COMMANDS.name] == {"Write", "Describe"}
    assert "Write" not in integrator["topic", PREFIX + CONVERSATIONS.name]
    assert "Write" not in integrator["topic", PREFIX + SENDS.name]
    for user in ("ingest", "router", "bot"):
        assert ("topic", PREFIX + SENDS.name) not in rights(f"parley-{user}")


def test_nothing_is_reachable_unless_said() -> None:
    """Default deny, both ways; then Kafka, the store, the webhooks, the channels, the probes' readers and names."""
    policies = {one.name: one.document["spec"] for one in manifests("NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {
        name: {port["port"] for rule in (*p.get("egress", ()), *p.get("ingress", ())) for port in rule["ports"]}
        for name, p in policies.items()
    }
    ports.pop("default-deny")
    assert ports == {
        "names": {53},
        "kafka": {9093},
        "store": {27017},
        "webhooks": {"http"},
        "channels": {443},
        "metrics": {"health"},
        "traces": {4318},
    }
    (kafka,) = manifests("Kafka")
    (listener,) = [one for one in kafka.document["spec"]["kafka"]["listeners"] if one["name"] == "services"]
    assert ports["kafka"] == {listener["port"]}
    keeps_state = policies["store"]["podSelector"]["matchExpressions"][0]["values"]
    assert set(keeps_state) == {application.service for application in APPLICATIONS if application.group}


def test_nobody_comes_to_kafka_in_the_clear_or_unnamed() -> None:
    """Every listener is TLS with a certificate, nobody is above the rights, and the services are sent to theirs."""
    (kafka,) = manifests("Kafka")
    spec = kafka.document["spec"]
    assert all(one["tls"] is True and one["authentication"] == {"type": "tls"} for one in spec["kafka"]["listeners"])
    assert spec["kafka"]["authorization"] == {"type": "simple"}
    (listener,) = [one for one in spec["kafka"]["listeners"] if one["name"] == "services"]
    (settings,) = [one for one in manifests("ConfigMap") if one.name == "settings"]
    assert settings.document["data"]["KAFKA_BOOTSTRAP_SERVERS"].endswith(f":{listener['port']}")
    users = [one for one in manifests("Kustomization") if one.path.parent.name == "users"]
    assert spec["entityOperator"]["userOperator"]["watchedNamespace"] == users[0].document["namespace"] == "parley"


def test_the_scaler_looks_and_touches_nothing() -> None:
    """KEDA reads the groups' lag through TLS, as a user who can describe and do nothing else."""
    assert rights("parley-scaler") == {("topic", PREFIX): {"Describe"}, ("group", PREFIX): {"Describe"}}
    (way_in,) = manifests("TriggerAuthentication")
    given = {one["parameter"]: (one["name"], one["key"]) for one in way_in.document["spec"]["secretTargetRef"]}
    assert given == {"ca": ("kafka-cluster-ca", "ca.crt"), "cert": ("parley-scaler", "user.crt"), "key": ("parley-scaler", "user.key")}
    triggers = [one for scaled in manifests("ScaledObject") for one in scaled.document["spec"]["triggers"] if one["type"] == "kafka"]
    assert triggers
    for trigger in triggers:
        assert trigger["metadata"]["tls"] == "enable"
        assert trigger["metadata"]["bootstrapServers"].endswith(":9093")
        assert trigger["authenticationRef"] == {"name": way_in.name}


def test_scaling_follows_groups_that_exist() -> None:
    """Each trigger names the group and a topic of the workload it scales, and never more pods than partitions."""
    by_name = {one.name: one for one in workloads()}
    for one in manifests("ScaledObject"):
        spec = one.document["spec"]
        assert spec["scaleTargetRef"]["kind"] == by_name[spec["scaleTargetRef"]["name"]].kind
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
        for trigger in spec["triggers"]:
            if trigger["type"] == "kafka":
                (application,) = [a for a in APPLICATIONS if a.group and trigger["metadata"]["consumerGroup"] == PREFIX + a.group]
                assert application.service == spec["scaleTargetRef"]["name"]
                assert trigger["metadata"]["topic"] in {PREFIX + topic.name for topic in application.receives}
                assert trigger["metadata"]["offsetResetPolicy"] == "earliest"
                assert PARTITIONS_PRODUCTION % spec["maxReplicaCount"] == 0


def test_alerts_speak_of_metrics_that_exist() -> None:
    """Every metric in a rule is exported; a typo would be an alert that never fires."""
    exported = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    histograms = {family.name for family in Metrics().registry.collect() if family.type == "histogram"}
    exported |= {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    (rule,) = manifests("PrometheusRule")
    rules = [one for group in rule.document["spec"]["groups"] for one in group["rules"]]
    assert len(rules) >= 7
    for one in rules:
        assert set(METRIC.findall(one["expr"])) <= exported, one["alert"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: the overlays are not put together")
@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_overlay_can_be_put_together(overlay: str) -> None:
    """Kustomize builds it; every pod has a tagged image, every resource its namespace, and counts that share the partitions evenly."""
    command = ("kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay))
    built = subprocess.run(command, check=True, capture_output=True, timeout=KUSTOMIZE_SECONDS_MAX)  # noqa: S603 # our own command
    documents = list(yaml.safe_load_all(built.stdout))
    running = [one for one in documents if one["kind"] in {"Deployment", "StatefulSet"}]
    assert len(running) == len(workloads())
    for one in running:
        (only,) = one["spec"]["template"]["spec"]["containers"]
        assert ":" in only["image"]
        assert one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "parley"
        assert PARTITIONS_PRODUCTION % one["spec"].get("replicas", 1) == 0
    assert {one["metadata"].get("namespace") for one in documents if one["kind"] != "Namespace"} == {"parley", "parley-kafka"}
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in documents if one["kind"] == "ScaledObject"}
    assert {one["metadata"]["name"] for one in running if "replicas" not in one["spec"]} == scaled
