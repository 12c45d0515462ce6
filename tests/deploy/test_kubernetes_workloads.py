"""The manifests of the services, held to what the code reads, serves and needs when it stops."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

import services
from cli.docs.settings_page import settings_classes, variable
from cli.run import Service
from services.ingest.settings import IngestSettings
from shared.asyncapi import APPLICATIONS
from shared.engine import publisher
from shared.engine.options import LoopOptions
from shared.engine.stopping import STOP_TIMEOUT_SECONDS
from shared.engine.worker_options import WorkerOptions
from shared.settings import ServiceSettings
from shared.topics import PARTITIONS_PRODUCTION
from tests.deploy.manifests import Manifest, container, manifests, workloads
from tests.shared.engine.certificates import make_identities

MARGIN_SECONDS = 10
HEALTH_PORT = 8081
HTTP_PORT = 8080

each_workload = pytest.mark.parametrize("workload", workloads(), ids=str)


def variables() -> set[str]:
    """Every environment variable that a service reads."""
    return {variable(settings, name) for settings in settings_classes().values() for name in settings.model_fields}


def config_map() -> dict[str, str]:
    """The settings that all pods share."""
    (settings,) = [one for one in manifests("ConfigMap") if one.name == "settings"]
    data: dict[str, str] = settings.document["data"]
    return data


def pod(workload: Manifest) -> dict[str, object]:
    """The pod that a workload makes."""
    spec: dict[str, object] = workload.document["spec"]["template"]["spec"]
    return spec


def test_every_service_has_one_workload() -> None:
    """One Deployment or StatefulSet per service, and none besides."""
    expected = sorted(module.name for module in pkgutil.iter_modules(services.__path__) if module.ispkg)
    assert sorted(one.name for one in workloads()) == expected == sorted(Service)


def test_what_reads_topics_has_a_stable_name() -> None:
    """A service with a consumer group is a StatefulSet named by its ordinal (static membership); one without is a Deployment."""
    stateful = {application.service for application in APPLICATIONS if application.group}
    assert {one.name for one in manifests("StatefulSet")} == stateful
    for workload in workloads():
        (instance,) = [one for one in container(workload)["env"] if one["name"] == "PARLEY_INSTANCE"]
        expected = "metadata.labels['apps.kubernetes.io/pod-index']" if workload.name in stateful else "metadata.name"
        assert instance["valueFrom"]["fieldRef"]["fieldPath"] == expected


@each_workload
def test_pod_runs_its_service(workload: Manifest) -> None:
    """The image's command, `parley`, is given `run` and the service's name; selectors and labels fit."""
    assert container(workload)["args"] == ["run", workload.name]
    labels = {"app.kubernetes.io/name": workload.name}
    assert workload.document["spec"]["selector"]["matchLabels"] == labels
    assert labels.items() <= workload.document["spec"]["template"]["metadata"]["labels"].items()


@each_workload
def test_pod_keeps_the_restricted_standard(workload: Manifest) -> None:
    """Non-root, no privileges, no capabilities, a read-only root with a bounded /tmp, and no access to the cluster's API."""
    spec, one = pod(workload), container(workload)
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert isinstance(security, dict)
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in one["volumeMounts"]} == {
        config_map()["PARLEY_CONFIG_DIRECTORY"]: True,
        "/etc/parley/kafka-cluster": True,
        "/etc/parley/kafka-user": True,
        "/tmp": False,  # noqa: S108 # the pod's own
    }
    assert config_map()["PARLEY_DATA_DIRECTORY"].startswith("/tmp/")  # noqa: S108 # the only place where a pod may write
    assert {"requests", "limits"} <= one["resources"].keys()


@each_workload
def test_kubernetes_sets_no_variables_of_its_own(workload: Manifest) -> None:
    """Service links would set INGEST_PORT and the like to addresses; they are off."""
    assert pod(workload)["enableServiceLinks"] is False


@each_workload
def test_probes_ask_what_the_service_answers(workload: Manifest) -> None:
    """/live for starting and living, /ready for readiness, on the health port that the settings name."""
    one = container(workload)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports["health"] == int(config_map()["PARLEY_HEALTH_PORT"]) == HEALTH_PORT
    probes = {name: one[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"health"}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/live",
        "livenessProbe": "/live",
        "readinessProbe": "/ready",
    }


def test_ingest_serves_the_port_that_its_service_names() -> None:
    """The channels' requests arrive where ingest listens."""
    (ingest,) = [one for one in workloads() if one.name == "ingest"]
    ports = {port["name"]: port["containerPort"] for port in container(ingest)["ports"]}
    assert ports["http"] == int(config_map()["PARLEY_INGEST_PORT"]) == HTTP_PORT
    (service,) = [one for one in manifests("Service") if one.name == "ingest"]
    assert service.document["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    (ingress,) = manifests("Ingress")
    (rule,) = ingress.document["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/channels"
    assert path["backend"]["service"] == {"name": "ingest", "port": {"name": "http"}}


def test_every_variable_is_a_setting() -> None:
    """A variable that no class reads would be a misspelt one."""
    known = variables()
    assert set(config_map()) <= known
    for workload in workloads():
        assert {one["name"] for one in container(workload)["env"]} <= known


@each_workload
def test_the_way_to_kafka_is_mounted(workload: Manifest) -> None:
    """Each file that the settings name comes from a secret: the cluster's authority, and the workload's own user."""
    spec = pod(workload)
    volumes = spec["volumes"]
    assert isinstance(volumes, list)
    secrets = {one["name"]: one["secret"] for one in volumes if "secret" in one}
    files = {
        f"{mount['mountPath']}/{item['path']}": (secrets[mount["name"]]["secretName"], item["key"])
        for mount in container(workload)["volumeMounts"]
        if mount["name"] in secrets
        for item in secrets[mount["name"]]["items"]
    }
    settings = config_map()
    user = f"parley-{workload.name}"
    assert settings["KAFKA_SECURITY_PROTOCOL"] == "SSL"
    assert {name: files.get(path) for name, path in settings.items() if name.startswith("KAFKA_SSL_")} == {
        "KAFKA_SSL_CA_FILE": ("kafka-cluster-ca", "ca.crt"),
        "KAFKA_SSL_CERTIFICATE_FILE": (user, "user.crt"),
        "KAFKA_SSL_KEY_FILE": (user, "user.key"),
    }
    assert user in {one.name for one in manifests("KafkaUser")}


def test_settings_can_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The classes take the values: by TLS, reachable from outside the pod, and with the partitions of production."""
    made = make_identities(tmp_path, "pod")["pod"]
    given = {"KAFKA_SSL_CA_FILE": made.certificate, "KAFKA_SSL_CERTIFICATE_FILE": made.certificate, "KAFKA_SSL_KEY_FILE": made.key}
    for name, value in config_map().items():
        monkeypatch.setenv(name, str(given.get(name, value)))
    settings, ingest = ServiceSettings(), IngestSettings()
    assert settings.kafka.tls is not None
    assert settings.partitions == PARTITIONS_PRODUCTION
    assert {settings.health_host, ingest.host} == {"0.0.0.0"}  # noqa: S104 # inside the pod; network policies say who comes in
    assert (settings.health_port, ingest.port) == (HEALTH_PORT, HTTP_PORT)


def test_secrets_go_only_to_who_needs_them() -> None:
    """The store's address to who keeps state; the secrets that verify to ingest, those that send to outbound."""
    given = {one.name: {ref["secretRef"]["name"] for ref in container(one)["envFrom"] if "secretRef" in ref} for one in workloads()}
    assert given == {
        "ingest": {"channels-ingest"},
        "router": {"store"},
        "bot": {"store"},
        "sla": {"store"},
        "outbound": {"store", "channels-outbound"},
    }


@each_workload
def test_a_stop_has_the_time_it_needs(workload: Manifest) -> None:
    """The grace period covers what the code waits for when it is told to stop, and a margin."""
    settings = ServiceSettings.model_construct()
    match workload.name:
        case "ingest":
            leaving = container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
            needed = leaving + int(config_map()["PARLEY_INGEST_STOP_GRACE_SECONDS"])
        case "outbound":
            loop = LoopOptions("", "", 1, "")
            needed = WorkerOptions(loop).stop_grace_seconds + STOP_TIMEOUT_SECONDS
        case _:
            needed = settings.store_timeout_seconds + settings.publish_timeout_seconds + STOP_TIMEOUT_SECONDS
    needed += publisher.STOP_TIMEOUT_SECONDS + MARGIN_SECONDS
    grace = pod(workload)["terminationGracePeriodSeconds"]
    assert isinstance(grace, int)
    assert grace >= needed


def test_every_workload_survives_a_drain_one_pod_at_a_time() -> None:
    """A disruption budget for each, that also lets sick pods go; spread over zones and nodes, each rollout for itself."""
    budgets = {one.name: one.document["spec"] for one in manifests("PodDisruptionBudget")}
    assert set(budgets) == {one.name for one in workloads()}
    for workload in workloads():
        budget = budgets[workload.name]
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["selector"]["matchLabels"] == workload.document["spec"]["selector"]["matchLabels"]
        constraints = pod(workload)["topologySpreadConstraints"]
        assert isinstance(constraints, list)
        assert {one["topologyKey"] for one in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        revision = "pod-template-hash" if workload.kind == "Deployment" else "controller-revision-hash"
        assert all(one["matchLabelKeys"] == [revision] for one in constraints)
