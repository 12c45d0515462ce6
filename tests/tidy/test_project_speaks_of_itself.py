"""The files say nothing of the machine they were written on, nor where their dependencies are fetched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT, project_files

# Put together so that this file does not hold what it looks for.
HOMES = "|".join(("ho" + "me", "Us" + "ers", "ro" + "ot", "wo" + "rk", "mn" + "t"))
HOSTS = "|".join(("repo1.ma" + "ven", "repo.ma" + "ven", "ma" + "ven.org", "py" + "pi.org", "pythonho" + "sted", "npm" + "js.org"))
FORBIDDEN = (
    re.compile(rf"(?<![\w.$}}~-])/(?:{HOMES})/[\w.-]+"),
    re.compile(rf"(?:{HOSTS})", re.IGNORECASE),
)
"""An absolute path into somebody's directory; the host of a registry, which whoever installs chooses."""
ALLOWED = {
    "tests/tidy/test_project_speaks_of_itself.py": "the cases of this check",
}


def findings(text: str) -> list[str]:
    """Return what a text should not say."""
    return [match.group(0) for pattern in FORBIDDEN for match in pattern.finditer(text)]


def test_files_name_no_machine_and_no_registry() -> None:
    """Everything that git holds, or would, can be used on any machine and behind any mirror."""
    found = {}
    for path in project_files():
        name = str(path.relative_to(ROOT))
        if name not in ALLOWED and (said := findings(_text(path))):
            found[name] = said[:3]
    assert found == {}


@pytest.mark.parametrize("text", ["see /" + "home/someone/notes", "cd /" + "work/main", "https://py" + "pi.org/simple"])
def test_findings_are_found(text: str) -> None:
    """A home, a working directory, a registry."""
    assert findings(text)


@pytest.mark.parametrize("text", ["/channels/whatsapp", "~/.cache/parley", "and/or", "/etc/parley", "a registry of channels"])
def test_harmless_text_is_not(text: str) -> None:
    """Addresses, a home by its sign, words."""
    assert not findings(text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
