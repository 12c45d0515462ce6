"""What was counted where, as plain values: the provider's side, the topics, the channel's side, the stores. The judge reads only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Appended:
    """One message as `conversations` has it."""

    thread: str
    position: int
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Sends:
    """What became of sends, by their ids. `times_accepted` is the channel's own count per send; the others are what we published."""

    requested: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    times_accepted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """Everything that has to agree in the end.

    posted, acknowledged   native ids of messages that were posted, and of those that were answered 200
    received               native ids of the messages on `inbound`, each once, per thread in the order of the log
    appended               every customers' message on `conversations`, in the order of the log
    positions              the places that messages of a thread got, both directions
    statuses_made          how many statuses the channel made; `statuses_in` how many distinct ones are on `deliveries`
    dead_letters           how many there are; `dead_letters_expected` how many the faults made on purpose
    stored_positions       the last place per thread, as the router's store has it; `stored_phases` sends by phase in the ledger
    seq_gaps, differing    emitting states with a gap; repeated outputs that are not the same to the byte
    """

    posted: frozenset[str] = frozenset()
    acknowledged: frozenset[str] = frozenset()
    received: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    appended: tuple[Appended, ...] = ()
    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sends: Sends = field(default_factory=Sends)
    statuses_made: int = 0
    statuses_in: int = 0
    webhooks_given_up: int = 0
    dead_letters: int = 0
    dead_letters_expected: int = 0
    stored_positions: Mapping[str, int] = field(default_factory=dict)
    stored_phases: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seq_gaps: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
