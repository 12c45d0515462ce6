"""The generated pages follow from the code, and the check says so when they do not."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import services
import shared
from cli.docs.__main__ import ROOT, main, pages
from cli.docs.settings_page import settings_classes, settings_page, variable
from shared.channels.contract import ChannelSettings
from shared.metrics import Metrics
from shared.settings import EnvironmentSettings, KafkaSettings


@pytest.fixture(scope="module")
def texts() -> Mapping[str, str]:
    """Every page as the code has it now."""
    return pages()


def test_pages_in_the_repository_follow_from_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """What `make docs` would write is what is committed; otherwise the message names the pages and what to run."""
    code = main(["--check"])
    assert code == 0, capsys.readouterr().err


def test_check_names_the_page_that_differs(tmp_path: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A changed and a missing page are named, the others are not, and nothing is written."""
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "docs/metrics.md").write_text("changed by hand", encoding="utf-8")
    (tmp_path / "docs/events.md").unlink()
    assert main(["--check", "--root", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "docs/metrics.md" in message
    assert "docs/events.md" in message
    assert "docs/settings.md" not in message
    assert "make docs" in message
    assert not (tmp_path / "docs/events.md").exists()


def test_writing_makes_the_check_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into an empty directory every page is written; a second run changes nothing."""
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("0 of them changed\n")


def test_every_setting_is_on_the_page() -> None:
    """Each class of settings in services and shared, wherever it stands, is found, and each of its variables is listed."""
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" not in module.name:
                importlib.import_module(module.name)
    known = set(settings_classes().values())
    bases = {EnvironmentSettings, ChannelSettings, KafkaSettings}
    ours = {one for one in _subclasses(BaseSettings) if one.__module__.startswith(("services.", "shared."))} - bases
    assert ours == known
    page = settings_page()
    for settings in known:
        for name, field in settings.model_fields.items():
            assert f"`{variable(settings, name)}`" in page
            assert field.description, f"{settings.__name__}.{name} needs a description: it is its documentation"


def test_every_metric_is_on_the_page(texts: dict[str, str]) -> None:
    """Each metric is listed under the name that Prometheus shows."""
    families = [family for family in Metrics().registry.collect() if not family.name.endswith("_created")]
    assert len(families) > 10
    for family in families:
        assert f"`{family.name}{'_total' if family.type == 'counter' else ''}`" in texts["docs/metrics.md"]


def test_no_secret_has_a_default_on_the_page(texts: dict[str, str]) -> None:
    """A secret's row has no default: one that was published would be no secret."""
    rows = [row for row in texts["docs/settings.md"].splitlines() if "| secret |" in row]
    assert len(rows) >= 4
    assert all(row.split("|")[2].strip() == "" for row in rows)


def test_pages_live_where_the_repository_has_them() -> None:
    """The root is the repository's."""
    assert (ROOT / "pyproject.toml").exists()


def _subclasses(parent: type) -> set[type]:
    children: list[type] = parent.__subclasses__()
    return {one for child in children for one in (child, *_subclasses(child))}
