"""The documentation: every link leads somewhere, and what it says to run exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"`make ([a-z-]+)")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
DECISION = re.compile(r"^\d{4}-[a-z0-9-]+\.md$")
DECISION_PARTS = ("## Why", "## What follows")


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    return [*found, ROOT / "config/README.md", ROOT / "devstack/emulator/README.md", *(ROOT / "shared/channels").rglob("README.md")]


def anchors(text: str) -> set[str]:
    """Return the anchors that a rendered page has: its headings, lower case, without punctuation, blanks as dashes."""
    headings = re.findall(r"^#{1,6} (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[str]:
    """Return a page's links to files and headings of the project."""
    for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file that exists, and each anchor a heading in it."""
    for target in links(path):
        name, _, anchor = target.partition("#")
        where = (path.parent / name).resolve() if name else path
        assert where.exists(), f"{path}: {target}"
        if anchor:
            assert anchor in anchors(where.read_text(encoding="utf-8")), f"{path}: {target}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_exist(path: Path) -> None:
    """Whatever a page says to make is a target of the Makefile."""
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(MAKE.findall(path.read_text(encoding="utf-8"))) <= targets


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda path: path.name)
def test_decisions_have_one_shape(path: Path) -> None:
    """A decision is one numbered page: what was decided, why, and what follows from it."""
    assert DECISION.match(path.name) or path.name == "README.md"
    if path.name != "README.md":
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert [part for part in DECISION_PARTS if part not in text] == []
        assert f"({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")


def test_decisions_are_numbered_without_a_gap() -> None:
    """From 0001 on."""
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_integrators_page_shows_the_examples_as_they_are() -> None:
    """The code on the page is the code that the test runs."""
    page = (ROOT / "docs/integrators.md").read_text(encoding="utf-8")
    for name in ("consume.py", "publish.py", "consume.sh", "publish.sh"):
        assert (ROOT / "examples" / name).read_text(encoding="utf-8").strip() in page, name
