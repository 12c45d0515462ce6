"""`parley check`: every mistake with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.cli_world import parley

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    """A copy of the example configuration that a test may spoil."""
    return Path(shutil.copytree(CONFIG, tmp_path / "centre"))


def line_of(path: Path, words: str) -> int:
    """Return the number of the first line that holds `words`."""
    return next(number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if words in line)


def test_the_example_is_right_and_summed_up() -> None:
    """A configuration without mistakes is shown in a table, with exit code 0."""
    ran = parley("check", str(CONFIG))
    assert ran.code == 0
    assert "Example Store" in ran.out
    assert any(line.split()[:2] == ["agents", "11"] for line in ran.out.splitlines())


def test_every_mistake_stands_with_file_and_line(centre: Path) -> None:
    """Two mistakes in two files are both told, each where it stands."""
    agents, departments = centre / "agents.yaml", centre / "departments.yaml"
    agents.write_text(agents.read_text(encoding="utf-8").replace("calendar: riga_night", "calendar: riga_nigth"), encoding="utf-8")
    departments.write_text(departments.read_text(encoding="utf-8").replace("pool: press\n", "pool: pres\n"), encoding="utf-8")
    ran = parley("check", str(centre))
    assert ran.code == 1
    assert f"{agents}:{line_of(agents, 'riga_nigth')}: unknown calendar 'riga_nigth'" in ran.out
    assert f"{departments}:{line_of(departments, 'pool: pres')}: " in ran.out
    assert "2 mistakes" in ran.out


def test_what_only_a_service_refuses_is_found_too(centre: Path) -> None:
    """A template that sla could not send by itself is a mistake, at its language's line."""
    templates = centre / "templates.yaml"
    spoilt = templates.read_text(encoding="utf-8").replace('pt: {code: pt-BR, body: "', 'pt: {code: pt-BR, parameters: 1, body: "{{1}} ')
    templates.write_text(spoilt, encoding="utf-8")
    ran = parley("check", str(centre))
    assert ran.code == 1
    assert f"{templates}:{line_of(templates, 'parameters: 1')}: the template come_back in pt" in ran.out


def test_an_account_on_a_channel_that_there_is_not_is_a_mistake(centre: Path) -> None:
    """The account's line is named, and the channels that there are."""
    house = centre / "centre.yaml"
    house.write_text(house.read_text(encoding="utf-8").replace("whatsapp:100000000000001:", "pigeon:1:"), encoding="utf-8")
    templates = centre / "templates.yaml"
    templates.write_text(templates.read_text(encoding="utf-8").replace('"whatsapp:100000000000001", ', ""), encoding="utf-8")
    ran = parley("check", str(centre))
    assert ran.code == 1
    assert f"{house}:{line_of(house, 'pigeon:1:')}: no channel is called pigeon" in ran.out


def test_a_directory_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    """One line, exit code 1."""
    ran = parley("check", str(tmp_path / "nowhere"))
    assert ran.code == 1
    assert "nowhere is no directory; name the one" in ran.out
