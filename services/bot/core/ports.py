"""What the rules are handed at build time: deterministic functions, made of libraries that the core does not import."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from shared.contact_centre.models import FaqEntry, Flow


class Shift(NamedTuple):
    """Whether somebody is there. If not: when the next one is back, in the wall-clock time of `place`; None: nobody knows."""

    staffed: bool
    back: datetime | None = None
    place: str = ""


class Staff(Protocol):
    """Knows the shifts."""

    def __call__(self, *, department: str | None, language: str, at: datetime) -> Shift:
        """Return whether somebody of `department` who speaks `language` is on shift at `at`."""
        ...


class Understanding(Protocol):
    """Finds meaning in a customer's words. Every answer depends on the arguments alone and takes bounded time."""

    def wants_person(self, flow: Flow, language: str, text: str) -> bool:
        """Return whether `text` asks for a human being."""
        ...

    def says_goodbye(self, flow: Flow, language: str, text: str) -> bool:
        """Return whether `text` says goodbye and nothing else."""
        ...

    def faq(self, flow: Flow, language: str, text: str) -> FaqEntry | None:
        """Return the entry that `text` asks for, or None where none is near enough for the flow."""
        ...

    def option(self, titles: Mapping[str, str], text: str) -> str | None:
        """Return the option whose number, counted from 1, or title `text` is, or None; `titles` are by option id."""
        ...
