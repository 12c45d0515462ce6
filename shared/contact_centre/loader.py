"""Loads the contact centre from a directory of YAML files, and says every mistake with file and line.

The files' names are free; each holds sections of `ContactCentre` (`departments:`, `agents:`, …). What is wrong in one place is
set aside so that the rest can still be checked: a person corrects everything in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.contact_centre import models
from shared.contact_centre.checks import Names, Problem, check_centre, suggestion
from shared.contact_centre.flow_checks import check_flows
from shared.contact_centre.models import Configured, ContactCentre
from shared.contact_centre.yaml_files import DataPath, Located, read_files
from shared.errors import ConfigurationError, Mistake

PRUNING_ROUNDS_MAX = 32
"""How often wrong parts are set aside before giving up; each round removes at least one, outward from the deepest."""
INPUT_CHARACTERS_MAX = 60
"""How much of a wrong value is repeated in a message."""


def load_contact_centre(directory: Path) -> ContactCentre:
    """Return the contact centre that the `*.yaml` files of `directory` describe.

    Raises ConfigurationError with every mistake, in the order of files and lines.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"{directory} is no directory; name the one that holds the contact centre's YAML files")
    located = read_files(directory)
    if not located.marks:
        raise ConfigurationError(f"{directory} holds no *.yaml file; see config/README.md for what belongs there")
    centre, problems = _validate(located.data)
    mistakes = {*located.mistakes, *(_mistake(located, directory, problem) for problem in problems)}
    if mistakes or centre is None:
        ordered = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line, mistake.message)))
        count = "1 mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
        raise ConfigurationError(f"the contact centre in {directory} has {count}:", ordered)
    return centre


def _mistake(located: Located, directory: Path, problem: Problem) -> Mistake:
    """Return `problem` with the file and line at which it stands."""
    mark = located.mark_of(problem.path)
    return Mistake(str(directory), 1, problem.message) if mark is None else Mistake(mark.file, mark.line, problem.message)


def _validate(data: dict[str, Any]) -> tuple[ContactCentre | None, list[Problem]]:
    """Return the centre as far as it is valid, and what is wrong with it: in each part, then between the parts."""
    problems: list[Problem] = []
    pruned: set[DataPath] = set()
    for _ in range(PRUNING_ROUNDS_MAX):
        kept = _Kept(pruned)
        try:
            centre = ContactCentre.model_validate(kept.without(data))
        except ValidationError as error:
            found = [(kept.original(data, _location(detail)), detail) for detail in error.errors(include_url=False)]
            problems += [Problem(path, _explain(path, detail)) for path, detail in found if not _follows(path, pruned)]
            pruned = pruned | {path for path, _ in found}
            if () in pruned:
                return None, problems
        else:
            names = Names.declared_in(data)
            incomplete = {str(path[1]) for path in pruned if path[0] == "flows" and len(path) > 1}
            related = [*check_centre(centre, names), *check_flows(centre, names, incomplete=incomplete)]
            return centre, problems + [Problem(kept.original(data, problem.path), problem.message) for problem in related]
    return None, problems


class _Kept:
    """The data without the pruned parts, and the way back to where its list items stood."""

    def __init__(self, pruned: set[DataPath]) -> None:
        self._pruned = pruned
        self._indices: dict[DataPath, list[int]] = {}

    def without(self, value: Any, path: DataPath = ()) -> Any:
        """Return a copy of `value`, which stands at `path`, without what was pruned."""
        if isinstance(value, dict):
            return {key: self.without(item, (*path, key)) for key, item in value.items() if (*path, key) not in self._pruned}
        if isinstance(value, list):
            kept = [index for index in range(len(value)) if (*path, index) not in self._pruned]
            self._indices[path] = kept
            return [self.without(value[index], (*path, index)) for index in kept]
        return value

    def original(self, data: Any, location: tuple[str | int, ...]) -> DataPath:
        """Return the path in the whole `data` of a `location` in the copy, as deep as it exists there."""
        path: DataPath = ()
        value = data
        for part in location:
            if isinstance(value, dict) and part in value:
                path, value = (*path, part), value[part]
            elif isinstance(value, list) and isinstance(part, int):
                index = self._indices[path][part]
                path, value = (*path, index), value[index]
            else:
                break
        return path


def _location(detail: ErrorDetails) -> tuple[str | int, ...]:
    """Return where the error stands; what is missing stands nowhere, its container lacks it."""
    return detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"]


def _follows(path: DataPath, pruned: set[DataPath]) -> bool:
    """Return whether an error at `path` is only there because something inside of it was set aside."""
    return any(one[: len(path)] == path for one in pruned)


def _explain(path: DataPath, detail: ErrorDetails) -> str:  # noqa: PLR0911  # one return per kind of error: it reads as a table
    """Return what is wrong, in the words of who writes the file."""
    value = detail["input"]
    shown = f"'{value}'" if isinstance(value, str) else str(value)
    if len(shown) > INPUT_CHARACTERS_MAX:
        shown = f"{shown[:INPUT_CHARACTERS_MAX]}…"
    where = ".".join(map(str, path)) or "the contact centre"
    match detail["type"]:
        case "missing":
            return f"{where} lacks '{detail['loc'][-1]}'"
        case "extra_forbidden":
            return f"unknown field '{detail['loc'][-1]}'{suggestion(str(detail['loc'][-1]), _field_names())}"
        case "string_pattern_mismatch" if detail.get("ctx", {}).get("pattern") == models.NAME_PATTERN:
            return f"{shown} is no name; write lower case letters, digits, '_', '.' or '-', 64 at most"
        case "string_pattern_mismatch":
            return f"{shown} is no language; write its tag, for example pt or pt-BR"
        case "value_error":
            return f"{where} is {shown}; {detail['msg'].removeprefix('Value error, ')}"
        case _ if value is None:
            return f"{where} has no value"
        case _ if isinstance(value, dict | list):
            return f"{where}: {detail['msg']}"
        case _:
            return f"{where} is {shown}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _field_names() -> Iterator[str]:
    """Yield the fields that any part of the configuration has, as they are written."""
    for model in vars(models).values():
        if isinstance(model, type) and issubclass(model, Configured):
            yield from (info.alias or name for name, info in model.model_fields.items())
