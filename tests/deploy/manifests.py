"""Reads deploy/: every YAML document with the file it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/k8s"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document: a resource of Kubernetes, or a kustomization."""

    path: Path
    document: Json

    @property
    def kind(self) -> str:
        """Return what it is."""
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        """Return what it is called."""
        return str(self.document["metadata"]["name"])

    def __str__(self) -> str:
        """Return what pytest shows."""
        return f"{self.path.relative_to(KUBERNETES)}-{self.kind}"


def manifests(*kinds: str) -> list[Manifest]:
    """Return the documents of these kinds (none named: all)."""
    return [one for one in _all() if not kinds or one.kind in kinds]


def workloads() -> list[Manifest]:
    """Return what runs the services."""
    return manifests("Deployment", "StatefulSet")


def container(manifest: Manifest) -> Json:
    """Return the only container of a workload."""
    (only,) = manifest.document["spec"]["template"]["spec"]["containers"]
    found: Json = only
    return found


@cache
def _all() -> tuple[Manifest, ...]:
    """Read everything once: no test changes what it is given."""
    return tuple(
        Manifest(path, document)
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    )
