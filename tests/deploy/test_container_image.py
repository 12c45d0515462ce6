"""The image: what goes in, who it runs as, and that it holds what the services need and no more."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from types import ModuleType

import pytest

from cli.docs.settings_page import settings_classes, variable
from shared.settings import ServiceSettings
from tests.deploy.manifests import ROOT, workloads

INSTRUCTION = re.compile(r"^([A-Z]+) (.*?)(?<!\\)$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in their order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return INSTRUCTION.findall(text)


@pytest.fixture(scope="module")
def runtime_only() -> ModuleType:
    """The script that takes the tools out of the image."""
    spec = importlib.util.spec_from_file_location("runtime_only", ROOT / "deploy/runtime_only.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    """What follows each instruction of this name."""
    return [value for instruction, value in instructions if instruction == name]


def test_dependencies_are_checked_by_hash(instructions: list[tuple[str, str]]) -> None:
    """The lock is the only source of dependencies; the package itself brings none."""
    installs = [line for value in values(instructions, "RUN") for line in value.split("&&") if "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_image_runs_as_the_user_that_kubernetes_expects(instructions: list[tuple[str, str]]) -> None:
    """A number, not root, the same as in the manifests."""
    (user,) = values(instructions, "USER")
    for workload in workloads():
        security = workload.document["spec"]["template"]["spec"]["securityContext"]
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == user


def test_image_names_only_settings_that_exist(instructions: list[tuple[str, str]]) -> None:
    """Every PARLEY_ variable is one that a service reads, with a port that is exposed."""
    known = {variable(settings, name) for settings in settings_classes().values() for name in settings.model_fields}
    named = dict(re.findall(r"(PARLEY_\w+)=(\S+)", " ".join(values(instructions, "ENV"))))
    assert named.keys() <= known
    exposed = values(instructions, "EXPOSE")[0].split()
    assert exposed == [named["PARLEY_INGEST_PORT"], named["PARLEY_HEALTH_PORT"]]


def test_everything_that_is_copied_exists(instructions: list[tuple[str, str]]) -> None:
    """No instruction copies what is not there, and the builder is sent it."""
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for value in values(instructions, "COPY"):
        if "--from" not in value:
            *sources, _ = value.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in sent, source


def test_command_is_the_projects_own(instructions: list[tuple[str, str]]) -> None:
    """The entry point is the script that the package installs."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert values(instructions, "ENTRYPOINT") == ['["parley"]']
    assert "parley" in scripts


def test_image_keeps_what_the_services_import(runtime_only: ModuleType) -> None:
    """Every dependency of the project stays, and what it needs; extras that are asked for count."""
    keep = runtime_only.needed("parley")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {runtime_only.normalized(re.split(r"[\[>=;< ]", line)[0]) for line in project["dependencies"]}
    assert wanted <= keep
    assert {"starlette", "pydantic-core", "aiosignal", "packaging"} <= keep


def test_image_holds_no_tests_and_no_tools(runtime_only: ModuleType) -> None:
    """What only the extras ask for goes, pip last of all."""
    gone = runtime_only.surplus("parley")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        runtime_only.normalized(re.split(r"[\[>=;< ]", line)[0]) for lines in project["optional-dependencies"].values() for line in lines
    }
    assert extras <= set(gone)
    assert gone[-1] == "pip"
    assert ServiceSettings.__module__.split(".")[0] not in gone
