"""The class archive is an optimisation: what goes wrong with it never stops a broker."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from devstack.class_archive import archive_options, ensure_archive
from devstack.java import Java
from devstack.server import ServerStartError

DUMPING = '#!/bin/sh\nfor word in "$@"; do case "$word" in -XX:SharedArchiveFile=*) echo archive > "${word#*=}";; esac; done\n'
FAILING = "#!/bin/sh\necho 'Error: this Java cannot dump'\nexit 1\n"


class Trainer:
    """Counts how often a training run was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self._error = error

    def __call__(self, options: Sequence[str]) -> None:
        """Be the training run."""
        self.runs += 1
        assert options[0].startswith("-XX:DumpLoadedClassList=")
        if self._error is not None:
            raise self._error


def fake_java(directory: Path, script: str, version: int = 21) -> Java:
    """Return a Java whose executable is `script`."""
    executable = directory / "java"
    executable.write_text(script, encoding="ascii")
    executable.chmod(0o755)
    return Java(executable, version, "a fake Java")


def ensure(java: Java, cache: Path, trainer: Trainer) -> Path | None:
    """Ask for the archive of one jar."""
    jar = cache / "one.jar"
    if not jar.exists():
        jar.touch()
    return ensure_archive(java, [jar], ["-Xmx384m"], cache, train=trainer, given_up=threading.Event())


def test_an_archive_is_made_once(tmp_path: Path) -> None:
    """The second start finds it; nothing is left of the making."""
    java, trainer = fake_java(tmp_path, DUMPING), Trainer()
    archive = ensure(java, tmp_path, trainer)
    assert archive is not None
    assert ensure(java, tmp_path, trainer) == archive
    assert trainer.runs == 1
    assert list(archive.parent.iterdir()) == [archive]


def test_a_changed_jar_makes_a_new_archive(tmp_path: Path) -> None:
    """Java refuses an archive whose jars have changed, so it is keyed by them."""
    java, trainer = fake_java(tmp_path, DUMPING), Trainer()
    first = ensure(java, tmp_path, trainer)
    (tmp_path / "one.jar").write_bytes(b"changed")
    assert ensure(java, tmp_path, trainer) != first
    assert trainer.runs == 2


@pytest.mark.parametrize("error", [None, ServerStartError("the training broker did not start")])
def test_a_java_that_cannot_make_one_is_asked_once(tmp_path: Path, error: Exception | None) -> None:
    """The broker starts without it, the reason is kept, and the next start does not try again."""
    java, trainer = fake_java(tmp_path, FAILING), Trainer(error)
    assert ensure(java, tmp_path, trainer) is None
    assert ensure(java, tmp_path, trainer) is None
    assert trainer.runs == 1
    (reason,) = (tmp_path / "classes").glob("*.failed")
    assert "cannot dump" in reason.read_text(encoding="utf-8") or "did not start" in reason.read_text(encoding="utf-8")


def test_options_fit_the_java(tmp_path: Path) -> None:
    """Linked classes exist since Java 24; without an archive there is no option at all."""
    assert archive_options(fake_java(tmp_path, DUMPING), None) == []
    assert "-XX:+AOTClassLinking" not in archive_options(fake_java(tmp_path, DUMPING, 21), tmp_path / "a.jsa")
    assert "-XX:+AOTClassLinking" in archive_options(fake_java(tmp_path, DUMPING, 25), tmp_path / "a.jsa")
