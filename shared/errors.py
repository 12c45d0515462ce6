"""The errors of Parley.

ParleyError                      everything we raise on purpose; one line that says what happened, where, and what to do
├── ConfigurationError           a setting or a file of config/ is wrong; carries file and line where there are some
├── RecoverableError             it may work later: wait and try again, nothing is dead-lettered
│   ├── BrokerUnavailableError   Kafka does not answer, or refused for now
│   │   └── engine.records.PartlyWrittenError   only some partitions did
│   └── store.StoreUnavailableError
├── InvalidEventError            a record is no valid event of its topic: dead letter, next record
└── store.StoreError …           see shared/store/port.py
"""

from __future__ import annotations

from dataclasses import dataclass


class ParleyError(Exception):
    """Root of all errors that Parley raises on purpose."""


class RecoverableError(ParleyError):
    """It may work later: wait and try again."""


class BrokerUnavailableError(RecoverableError):
    """Kafka does not answer in time, or refuses for now."""


class InvalidEventError(ParleyError):
    """A record is no valid event of its topic; `reason` is short and free of message text."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in the configuration: where it stands and what to write instead."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """Return `file:line: message`, which editors and terminals make clickable."""
        return f"{self.file}:{self.line}: {self.message}"


class ConfigurationError(ParleyError):
    """The configuration cannot be used; `mistakes` lists every one that was found, not only the first."""

    def __init__(self, message: str, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__("\n".join([message, *map(str, mistakes)]) if mistakes else message)
        self.mistakes = mistakes
