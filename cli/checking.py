"""Checks a configuration as the services will read it: the loader's checks, then the rules that each service builds from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cli.output import say, table, working
from services.bot.app import build_reducer as build_bot
from services.router.app import build_reducers as build_router
from services.sla.app import build_reducer as build_sla
from shared.channels.discover import channel_names, discover
from shared.contact_centre.checks import RefusedConfigurationError
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre
from shared.contact_centre.yaml_files import DataPath, Located, read_files
from shared.errors import ConfigurationError, Mistake


def report(directory: Path) -> bool:
    """Print every mistake in `directory`, or a summary where there is none; return whether there is none."""
    with working("Checking the configuration"):
        centre, found = mistakes(directory)
    if centre is None or found:
        for line in found:
            say(line)
        say(f"{len(found)} {'mistake' if len(found) == 1 else 'mistakes'} in {directory}")
        return False
    table(("part", "number", "which"), summary(centre), title=f"{centre.name} ({directory}): no mistake")
    return True


def mistakes(directory: Path) -> tuple[ContactCentre | None, list[str]]:
    """Return the contact centre, where its files can be read, and every mistake as a line."""
    try:
        centre = load_contact_centre(directory)
    except ConfigurationError as error:
        return None, [str(mistake) for mistake in error.mistakes] or [str(error)]
    places = _Places(directory)
    found = [
        places.mistake(("accounts", key), f"no channel is called {key.split(':', 1)[0]}; there is {', '.join(channel_names())}")
        for key in centre.accounts
        if key.split(":", 1)[0] not in channel_names()
    ]
    policies = {name: channel.policy for name, channel in discover().by_name.items()}
    builders: tuple[Callable[[], object], ...] = (
        lambda: build_router(centre),
        lambda: build_bot(centre),
        lambda: build_sla(centre, policies),
    )
    for build in builders:
        found += places.refused_by(build)
    return centre, [str(one) for one in sorted(found, key=lambda one: (one.file, one.line, one.message))]


class _Places:
    """Finds the line of a mistake that a service found: the services know the contact centre, not its files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._located: Located = read_files(directory)

    def mistake(self, path: DataPath, message: str) -> Mistake:
        """Return the mistake with the place of `path`."""
        mark = self._located.mark_of(path)
        return Mistake(str(self._directory), 1, message) if mark is None else Mistake(mark.file, mark.line, message)

    def refused_by(self, build: Callable[[], object]) -> list[Mistake]:
        """Return what `build` refuses, each with its place; of a refusal that names none, the place of everything."""
        try:
            build()
        except RefusedConfigurationError as error:
            return [self.mistake(problem.path, problem.message) for problem in error.problems]
        except ConfigurationError as error:
            return list(error.mistakes) or [self.mistake((), str(error))]
        return []


def summary(centre: ContactCentre) -> list[tuple[str, str, str]]:
    """Return what the configuration holds: part, how many, which."""
    parts = {
        "languages": centre.languages,
        "accounts": tuple(f"{key} ({account.department})" for key, account in centre.accounts.items()),
        "departments": tuple(centre.departments),
        "pools": tuple(centre.pools),
        "agents": tuple(centre.agents),
        "calendars": tuple(centre.calendars),
        "promises": tuple(promise.name for promise in centre.promises),
        "templates": tuple(f"{template.name} ({', '.join(template.languages)})" for template in centre.templates),
        "flows": tuple(f"{name} ({len(flow.steps)} steps)" for name, flow in centre.flows.items()),
        "FAQ entries": tuple(entry.id for entry in centre.faq),
    }
    return [(part, str(len(names)), ", ".join(names)) for part, names in parts.items()]
