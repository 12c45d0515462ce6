# noqa: INP001 # a script of the image's build, in no package
"""Takes out of a virtual environment what the services do not need when they run: `python deploy/runtime_only.py --yes`.

The lock holds everything, tests and tools included, so that one set of hashes is checked everywhere. An image installs from it and
then keeps the distributions that `parley` requires, and theirs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, distributions

from packaging.requirements import Requirement

PROJECT = "parley"


def normalized(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(project: str) -> set[str]:
    """Return the names of `project` and of all that it requires in this environment, with the extras that are asked for."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(normalized(project), frozenset())]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        if one in done:
            continue
        done.add(one)
        name, extras = one
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting.extend(_required(requirements, extras))
    return found


def _required(requirements: Iterable[str], extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Return what holds of `requirements` here, with the extras that each asks for."""
    parsed = [Requirement(line) for line in requirements]
    return [
        (normalized(one.name), frozenset(one.extras))
        for one in parsed
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def surplus(project: str) -> list[str]:
    """Return the installed distributions that `project` does not need, sorted; pip, which has to take them out, comes last."""
    keep = needed(project)
    names = {normalized(one.metadata["Name"]) for one in distributions()}
    return sorted(names - keep, key=lambda name: (name == "pip", name))


def main() -> int:
    """Show what would go, or take it out; return pip's exit code."""
    parser = argparse.ArgumentParser(prog="runtime_only.py", description=__doc__, epilog="example: python deploy/runtime_only.py --yes")
    parser.add_argument("--yes", action="store_true", help="do it; without it, only shows what would go")
    names = surplus(PROJECT)
    if not parser.parse_args().yes:
        sys.stdout.write("".join(f"{name}\n" for name in names))
        return 0
    command = (sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *names)
    return subprocess.run(command, check=False).returncode  # noqa: S603 # our own command, names of installed distributions


if __name__ == "__main__":
    raise SystemExit(main())
